"""`silverback serve`: the HTTP server. Flags here, everything else in `api.server`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from api.exits import CommandFailed, Exit

LIMITS, LOGS, RULES, TIMES, WHO = "Limits", "Log lines", "Rules", "Time-outs", "Who may come in"


def register(app: typer.Typer) -> None:
    app.command("serve")(serve)


def _flag(name: str, help_: str, panel: str | None = None, metavar: str | None = None) -> object:
    return typer.Option(f"--{name}", help=help_, rich_help_panel=panel, metavar=metavar)


def serve(
    *,
    data: Annotated[
        Path | None, _flag("data", "Data directory, made if new.  [default: data]", metavar="DIR")
    ] = None,
    host: Annotated[
        str | None, _flag("host", "Address to listen on.  [default: 127.0.0.1]", metavar="ADDRESS")
    ] = None,
    port: Annotated[
        int | None,
        _flag("port", "Port to listen on; 0 picks a free one.  [default: 9292]", metavar="N"),
    ] = None,
    port_file: Annotated[
        Path | None,
        _flag("port-file", "Gets the port, once the server answers.", metavar="FILE"),
    ] = None,
    cluster: Annotated[
        Path | None,
        _flag("cluster", "Be a node of the cluster this file describes.", metavar="FILE.toml"),
    ] = None,
    graphite_port: Annotated[
        int | None,
        _flag("graphite-port", "Take Graphite's lines on this TCP and UDP port.", metavar="N"),
    ] = None,
    graphite_pickle_port: Annotated[
        int | None,
        _flag("graphite-pickle-port", "Take Graphite's pickles on this TCP port.", metavar="N"),
    ] = None,
    opentsdb_port: Annotated[
        int | None,
        _flag("opentsdb-port", "Take OpenTSDB's put lines on this TCP port.", metavar="N"),
    ] = None,
    influx_db_label: Annotated[
        str | None,
        _flag("influx-db-label", "Label for InfluxDB's database; '' for none.", metavar="NAME"),
    ] = None,
    influx_separator: Annotated[
        str | None,
        _flag("influx-separator", "Between measurement and field.  [default: _]", metavar="TEXT"),
    ] = None,
    influx_bare_value: Annotated[
        bool | None,
        typer.Option(
            "--influx-bare-value",
            help="A field called value adds nothing to the name.",
            show_default=False,
        ),
    ] = None,
    otlp_promote_resource_attributes: Annotated[
        str | None,
        _flag("otlp-promote", "OTLP resource attributes to be labels.", metavar="KEY,KEY"),
    ] = None,
    otlp_delta: Annotated[
        str | None,
        _flag("otlp-delta", "OTLP's deltas: as-is or refuse.  [default: as-is]", metavar="HOW"),
    ] = None,
    scrape_config: Annotated[
        Path | None,
        _flag("scrape-config", "Whom to scrape, as Prometheus' file says.", metavar="FILE.yml"),
    ] = None,
    rules: Annotated[
        list[str] | None,
        _flag("rules", "Rule files, by name or pattern; may be repeated.", RULES, "FILE.yml"),
    ] = None,
    alertmanager: Annotated[
        list[str] | None,
        _flag("alertmanager", "Who gets the alerts; may be repeated.", RULES, "URL"),
    ] = None,
    evaluation_interval: Annotated[
        str | None,
        _flag("evaluation-interval", "Of rules.  [default: 1m]", RULES, "DURATION"),
    ] = None,
    enable_feature: Annotated[
        list[str] | None,
        _flag("enable-feature", "promql-experimental-functions; may be repeated.", None, "NAME"),
    ] = None,
    external_url: Annotated[
        str | None, _flag("external-url", "Where people reach this server.", RULES, "URL")
    ] = None,
    config: Annotated[
        Path | None,
        _flag("config", "Settings by name; flags and environment win.", metavar="FILE.toml"),
    ] = None,
    web_config: Annotated[
        Path | None,
        _flag("web-config", "Accounts and certificates; read again on change.", WHO, "FILE.yml"),
    ] = None,
    allow_open_network: Annotated[
        bool | None,
        typer.Option(
            "--allow-open-network",
            help="Listen beyond loopback without accounts.",
            rich_help_panel=WHO,
        ),
    ] = None,
    resolution: Annotated[
        str | None,
        _flag(
            "resolution", "Ticks of a new database: s, ms, us or ns.  [default: ms]", metavar="UNIT"
        ),
    ] = None,
    retention: Annotated[
        str | None,
        _flag("retention", "Drop older points, as 90d.  [default: keep all]", metavar="DURATION"),
    ] = None,
    memory_limit: Annotated[
        str | None, _flag("memory-limit", "For points and index, as 2GiB.", LIMITS, "SIZE")
    ] = None,
    series_max: Annotated[
        int | None, _flag("series-max", "Series the database may hold.", LIMITS, "N")
    ] = None,
    queue_max: Annotated[
        str | None, _flag("queue-max", "Writes that may wait for the log.", LIMITS, "SIZE")
    ] = None,
    body_max: Annotated[
        str | None, _flag("body-max", "Largest body, decoded.", LIMITS, "SIZE")
    ] = None,
    body_encoded_max: Annotated[
        str | None, _flag("body-encoded-max", "Largest body on the wire.", LIMITS, "SIZE")
    ] = None,
    connections_max: Annotated[
        int | None, _flag("connections-max", "Open connections.", LIMITS, "N")
    ] = None,
    header_timeout: Annotated[
        str | None, _flag("header-timeout", "For a header to arrive.", TIMES, "DURATION")
    ] = None,
    body_timeout: Annotated[
        str | None, _flag("body-timeout", "Silence while a body arrives.", TIMES, "DURATION")
    ] = None,
    keep_alive_timeout: Annotated[
        str | None, _flag("keep-alive-timeout", "Silence between requests.", TIMES, "DURATION")
    ] = None,
    shutdown_timeout: Annotated[
        str | None, _flag("shutdown-timeout", "For requests under way.", TIMES, "DURATION")
    ] = None,
    log_format: Annotated[
        str | None, _flag("log-format", "console or json.", LOGS, "FORMAT")
    ] = None,
    log_level: Annotated[
        str | None, _flag("log-level", "debug, info, warning or error.", LOGS, "LEVEL")
    ] = None,
    access_log: Annotated[
        bool | None, typer.Option(help="Log every request.", rich_help_panel=LOGS)
    ] = None,
    slow_query: Annotated[
        str | None, _flag("slow-query", "PromQL that takes longer is logged.", LOGS, "DURATION")
    ] = None,
) -> None:
    """Run the server until Ctrl-C or SIGTERM; nothing that was acknowledged is lost either way.

    Every flag is also an environment variable (SILVERBACK_PORT) and a key of the configuration
    file (port); docs/reference/settings.md has them all with their defaults.

    **Examples**

    - `silverback serve --data ./data`
    - `silverback serve --data /srv/metrics --host 0.0.0.0 --web-config web.yml --retention 400d`
    """
    _run(
        {
            "data": data,
            "host": host,
            "port": port,
            "port_file": port_file,
            "cluster": cluster,
            "graphite_port": graphite_port,
            "graphite_pickle_port": graphite_pickle_port,
            "opentsdb_port": opentsdb_port,
            "influx_db_label": influx_db_label,
            "influx_separator": influx_separator,
            "influx_bare_value": influx_bare_value,
            "otlp_promote_resource_attributes": otlp_promote_resource_attributes,
            "otlp_delta": otlp_delta,
            "scrape_config": scrape_config,
            "rules": rules,
            "alertmanagers": alertmanager,
            "evaluation_interval_s": evaluation_interval,
            "features": enable_feature,
            "external_url": external_url,
            "web_config": web_config,
            "allow_open_network": allow_open_network,
            "resolution": resolution,
            "retention_s": retention,
            "memory_limit_bytes": memory_limit,
            "series_max": series_max,
            "queue_bytes_max": queue_max,
            "body_bytes_max": body_max,
            "body_encoded_bytes_max": body_encoded_max,
            "connections_max": connections_max,
            "header_timeout_s": header_timeout,
            "body_timeout_s": body_timeout,
            "keep_alive_timeout_s": keep_alive_timeout,
            "shutdown_timeout_s": shutdown_timeout,
            "log_format": log_format,
            "log_level": log_level,
            "access_log": access_log,
            "slow_query_s": slow_query,
        },
        config,
    )


def _run(flags: dict[str, object], config: Path | None) -> None:
    from api.settings import load
    from tsdb.errors import InvalidInput

    try:
        given = {name: value for name, value in flags.items() if value != []}
        settings = load(given, config=config)
    except InvalidInput as error:
        raise CommandFailed(str(error), Exit.CONFIG) from error
    from api.server import run

    raise typer.Exit(run(settings))
