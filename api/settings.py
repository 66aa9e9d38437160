"""What a server can be told: one frozen value, few fields, a unit in each name.

    in   flags, environment SILVERBACK_*, a TOML file, defaults; the first that says something wins
    out  Settings, or InvalidInput naming the setting and where it came from

Sizes are read as people write them (512MiB, 2GB), durations too (30d, 1h30m, 500ms). The TOML
file is named by --config or SILVERBACK_CONFIG and holds the field names at its top level. Every
field is described in docs/reference/settings.md, which is made from it.

The sources are joined here rather than by pydantic-settings, so that an error can say which of
them it means and a misspelt variable is not passed over.

Price: pydantic takes a quarter of a second to import, so only the server imports this.
"""

from __future__ import annotations

import ipaddress
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ByteSize,
    ConfigDict,
    Field,
    InstanceOf,
    ValidationError,
)

from api import times
from replication.settings import ClusterSettings
from tsdb import limits
from tsdb.errors import InvalidInput

__all__ = ["ENV_PREFIX", "Settings", "load"]

ENV_PREFIX = "SILVERBACK_"
# Read elsewhere (tsdb.jit, the command line, tests of real clients); not a misspelt setting.
ENV_OTHERS = {
    "SILVERBACK_CACHE_DIR",
    "SILVERBACK_CA_FILE",
    "SILVERBACK_CONFIG",
    "SILVERBACK_PEERS",
    "SILVERBACK_TOKEN",
    "SILVERBACK_USER",
}
# What Kubernetes sets in every container when a service is called `silverback`.
ENV_OF_SERVICES = re.compile(r"SILVERBACK_(SERVICE_(HOST|PORT).*|PORT_\d+_.*)")
CLOCK_TICKS_PER_S = 1_000


def _seconds(value: object) -> object:
    """`30d` or a number of seconds, as a float of seconds."""
    if not isinstance(value, str):
        return value
    try:
        return times.duration_ticks(value, ticks_per_s=CLOCK_TICKS_PER_S) / CLOCK_TICKS_PER_S
    except InvalidInput as error:
        raise ValueError(str(error)) from error


def _texts(value: object) -> object:
    """`a,b` or a list, as a tuple; nothing is none."""
    if isinstance(value, str):
        return tuple(text.strip() for text in value.split(",") if text.strip())
    return value


Seconds = Annotated[float, BeforeValidator(_seconds)]
Texts = Annotated[tuple[str, ...], BeforeValidator(_texts)]
Feature = Literal["promql-experimental-functions"]
WholeSeconds = Annotated[int, BeforeValidator(_seconds)]
TimeoutSeconds = Annotated[Seconds, Field(gt=0, le=3600)]


class Settings(BaseModel):
    """`silverback serve`'s settings; each is also a flag, an environment variable, a TOML key."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: Path = Field(Path("data"), description="data directory; made if it is not there")
    host: str = Field("127.0.0.1", min_length=1, description="address to listen on")
    port: int = Field(9292, ge=0, le=65535, description="port to listen on; 0 picks a free one")
    cluster: InstanceOf[ClusterSettings] | None = Field(
        None,
        description="file that makes this server a node of a cluster; says host and port, too",
    )
    graphite_port: int | None = Field(
        None, ge=0, le=65535, description="TCP and UDP port for Graphite's lines; none unless given"
    )
    graphite_pickle_port: int | None = Field(
        None, ge=0, le=65535, description="TCP port for Graphite's pickles; none unless given"
    )
    opentsdb_port: int | None = Field(
        None, ge=0, le=65535, description="TCP port for OpenTSDB's put lines; none unless given"
    )
    influx_db_label: str = Field(
        "db",
        max_length=limits.LABEL_NAME_BYTES_MAX,
        description="label for the database or bucket of InfluxDB's writes; none if empty",
    )
    influx_separator: str = Field(
        "_",
        max_length=16,
        description="what stands between measurement and field in a series' name",
    )
    influx_bare_value: bool = Field(
        False, description="a field called `value` adds nothing to the measurement's name"
    )
    otlp_promote_resource_attributes: str = Field(
        "",
        max_length=16 * limits.KIB,
        description="OTLP resource attributes that become labels of every series; between commas",
    )
    otlp_delta: Literal["as-is", "refuse"] = Field(
        "as-is", description="OTLP sums and histograms in deltas: kept as they were sent, or not"
    )
    port_file: Path | None = Field(
        None, description="file that gets the bound port, once the server answers"
    )
    scrape_config: Path | None = Field(
        None, description="whom to scrape, as Prometheus' configuration file says it"
    )
    rules: Texts = Field(
        (), description="rule files as Prometheus reads them, by name or pattern, comma between"
    )
    alertmanagers: Texts = Field(
        (), description="addresses of Alertmanagers that get the alerts, comma between"
    )
    evaluation_interval_s: Seconds = Field(
        60.0, ge=0.1, description="how often rules are evaluated whose group does not say"
    )
    features: Annotated[tuple[Feature, ...], BeforeValidator(_texts)] = Field(
        (), description="what is off unless named, comma between: `promql-experimental-functions`"
    )
    external_url: str = Field(
        "", max_length=2_048, description="where people reach this server, for links in alerts"
    )
    web_config: Path | None = Field(
        None, description="file of accounts and certificates, as Prometheus' exporters take it"
    )
    allow_open_network: bool = Field(
        False, description="listen beyond loopback although nobody is asked who it is"
    )
    resolution: Literal["s", "ms", "us", "ns"] | None = Field(
        None, description="ticks of a new database (ms unless given); never changes afterwards"
    )
    memory_limit_bytes: ByteSize | None = Field(
        None, ge=64 * limits.MIB, description="memory for points and index; parts account to it"
    )
    retention_s: WholeSeconds | None = Field(
        None, ge=1, description="points older than this are dropped; unlimited unless given"
    )
    series_max: int = Field(
        limits.SERIES_MAX, ge=1, description="series the database may hold; new ones get 429 then"
    )
    queue_bytes_max: ByteSize = Field(
        ByteSize(limits.QUEUE_BYTES_MAX),
        ge=limits.MIB,
        description="bytes of writes that may wait for the log; past it writers get 429",
    )
    body_bytes_max: ByteSize = Field(
        ByteSize(limits.BODY_BYTES_MAX),
        ge=1,
        le=limits.BODY_BYTES_MAX,
        description="largest request body, decoded",
    )
    body_encoded_bytes_max: ByteSize = Field(
        ByteSize(limits.BODY_ENCODED_BYTES_MAX),
        ge=1,
        le=limits.BODY_ENCODED_BYTES_MAX,
        description="largest request body on the wire",
    )
    connections_max: int = Field(
        512, ge=1, le=60_000, description="open connections; more are answered 503"
    )
    header_timeout_s: TimeoutSeconds = Field(
        5.0, description="time for a request's header to arrive"
    )
    body_timeout_s: TimeoutSeconds = Field(10.0, description="silence allowed while a body arrives")
    keep_alive_timeout_s: TimeoutSeconds = Field(
        60.0, description="silence allowed between requests of a connection"
    )
    shutdown_timeout_s: TimeoutSeconds = Field(
        30.0, description="time for requests under way to finish at shutdown"
    )
    log_format: Literal["console", "json"] = Field("console", description="form of the log lines")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="least level that is logged"
    )
    access_log: bool = Field(False, description="log every request, not only slow and failed ones")
    slow_query_s: Seconds = Field(
        limits.SLOW_QUERY_S,
        ge=0,
        allow_inf_nan=False,
        description="a PromQL query that takes longer is logged with its text; 0 logs all",
    )

    @property
    def loopback(self) -> bool:
        """Only this machine can connect: no accounts are needed, and Host is checked."""
        if self.host.lower() == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host.strip("[]")).is_loopback
        except ValueError:
            return False  # a name: it may resolve to anything

    def shown(self) -> dict[str, Any]:
        """Fields as the log prints them at start. None of them is a secret."""
        return {name: _shown(value) for name, value in self if value is not None}


def load(
    flags: Mapping[str, object] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    config: Path | None = None,
) -> Settings:
    """Join the sources; flags that are None were not given.

    `environ` is os.environ unless given. Raises InvalidInput.
    """
    environ = os.environ if environ is None else environ
    named = config or environ.get("SILVERBACK_CONFIG")
    sources = [
        ("the configuration file", _from_file(Path(named)) if named else {}),
        ("the environment", _from_environment(environ)),
        ("the command line", {k: v for k, v in (flags or {}).items() if v is not None}),
    ]
    chosen: dict[str, object] = {}
    origin: dict[str, str] = {}
    for where, values in sources:
        chosen |= values
        origin |= dict.fromkeys(values, where)
    if chosen.get("cluster") is not None:
        cluster = ClusterSettings.read(Path(str(chosen["cluster"])))
        chosen = {"host": cluster.http.host, "port": cluster.http.port} | chosen
        chosen["cluster"] = cluster
    try:
        return Settings(**chosen)  # type: ignore[arg-type]
    except ValidationError as error:
        problem = error.errors()[0]
        field = str(problem["loc"][0])
        where = origin.get(field, "the defaults")
        raise InvalidInput(_complaint(field, where, problem["msg"], problem["input"])) from error


def _complaint(field: str, where: str, message: str, value: object) -> str:
    if field not in Settings.model_fields:
        known = ", ".join(Settings.model_fields)
        return f"setting {field!r} in {where} is unknown; there are {known}"
    message = message.removeprefix("Value error, ")
    return f"setting {field} in {where}: {message[:1].lower()}{message[1:]} (it is {value!r})"


def _from_environment(environ: Mapping[str, str]) -> dict[str, object]:
    return {
        name.removeprefix(ENV_PREFIX).lower(): value
        for name, value in environ.items()
        if name.startswith(ENV_PREFIX)
        and name not in ENV_OTHERS
        and not ENV_OF_SERVICES.fullmatch(name)
        and not (name == "SILVERBACK_PORT" and value.startswith("tcp://"))
    }


def _from_file(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InvalidInput(f"configuration file {path}: {reason}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(f"configuration file {path}: {error}") from error


def _shown(value: object) -> object:
    if isinstance(value, ByteSize):
        return value.human_readable() if value % 1024 == 0 else int(value)
    if isinstance(value, ClusterSettings):
        return f"{value.path}: {value.node} of {value.cluster}"
    return str(value) if isinstance(value, Path) else value
