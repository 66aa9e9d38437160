"""Prometheus' configuration file, the part of it that scrapes.

    in   a YAML file as Prometheus 3.5 reads it: `global`, `scrape_configs`
    out  Config; or InvalidInput naming file, line and key

Keys nobody knows are refused, and so are those that Prometheus knows and we do not do: a scrape
that quietly leaves out half of what it was told to do is worse than none. Relative paths start
where the file is. `external_labels` are added to what is scraped, as if a Prometheus had scraped
and sent it here.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

from api.document import Entry, Section, read
from api.scrape.config import PROTOCOLS, Access, Bounds, Config, FileSource, Group, Job, Tls
from api.scrape.relabel import Action, Rule
from tsdb.errors import InvalidInput

__all__ = ["load"]

TIMEOUT_MS = 10_000
FILE_ENDINGS = (".json", ".yml", ".yaml")
OTHER_SECTIONS = (
    "alerting", "otlp", "remote_read", "remote_write", "rule_files", "scrape_config_files",
    "storage", "tracing",
)  # fmt: skip
OTHER_GLOBALS = ("query_log_file", "scrape_failure_log_file", "metric_name_escaping_scheme")
IDLE_GLOBALS = ("evaluation_interval", "rule_query_offset", "runtime")  # of rules and of Go
OTHER_CLIENT_KEYS = (
    "oauth2", "proxy_url", "no_proxy", "proxy_from_environment", "proxy_connect_header",
    "http_headers", "follow_redirects",
)  # fmt: skip
OTHER_JOB_KEYS = (
    "scrape_failure_log_file", "metric_name_escaping_scheme", "scrape_native_histograms",
    "extra_scrape_metrics", "bearer_token", "bearer_token_file",
)  # fmt: skip
# About histograms in protobuf form, which we never ask for: whatever they say, nothing changes.
IDLE_KEYS = (
    "scrape_classic_histograms", "always_scrape_classic_histograms",
    "native_histogram_bucket_limit", "native_histogram_min_bucket_factor", "enable_http2",
)  # fmt: skip
DISCOVERIES = (
    "azure", "consul", "digitalocean", "dns", "docker", "dockerswarm", "ec2", "eureka", "gce",
    "hetzner", "http", "ionos", "kubernetes", "kuma", "lightsail", "linode", "marathon", "nerve",
    "nomad", "openstack", "outscale", "ovhcloud", "puppetdb", "scaleway", "serverset", "stackit",
    "triton", "uyuni", "vultr",
)  # fmt: skip


def load(path: Path) -> Config:
    """The file as it is now; InvalidInput where it is missing or wrong."""
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise InvalidInput(f"{path}: {(error.strerror or str(error)).lower()}") from error
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{path}: {error}") from error
    return parse(text, path)


def parse(text: str, path: Path) -> Config:
    """`load` of a text; `path` is what messages call it and where its relative paths start."""
    document = read(text, str(path))
    if document is None:
        return Config()
    root = document.section()
    defaults = _globals(root)
    folder = path.parent
    jobs: list[Job] = []
    for entry in root.items("scrape_configs"):
        job = _job(entry.section(), defaults, folder)
        if any(job.name == other.name for other in jobs):
            entry.fail(f"there are two jobs called {job.name!r}")
        jobs.append(job)
    root.refuse(OTHER_SECTIONS, ": this file only says what to scrape")
    root.end()
    return Config(tuple(jobs))


def _globals(root: Section) -> Job:
    """Defaults of all jobs, as a job without a name."""
    entry = root.take("global")
    if entry is None:
        return Job("", external_labels=())
    section = entry.section()
    interval_ms = section.milliseconds("scrape_interval", 60_000) or 60_000
    named_ms = section.milliseconds("scrape_timeout", 0)
    if named_ms > interval_ms:
        section.fail("scrape_timeout", "is longer than scrape_interval")
    labels = section.labels("external_labels")
    defaults = Job(
        "",
        interval_ms=interval_ms,
        timeout_ms=named_ms or min(TIMEOUT_MS, interval_ms),
        protocols=_protocols(section, tuple(PROTOCOLS)),
        bounds=_bounds(section, Bounds()),
        keep_dropped_targets=section.number("keep_dropped_targets"),
        external_labels=tuple(sorted(labels.items())),
    )
    _check_names(section)
    for name in (*IDLE_GLOBALS, *IDLE_KEYS):
        section.take(name)
    section.refuse((*OTHER_GLOBALS, "convert_classic_histograms_to_nhcb"), "")
    section.end()
    return defaults


def _job(section: Section, defaults: Job, folder: Path) -> Job:
    name = section.text("job_name")
    if not name:
        section.fail("job_name", "is missing or empty")
    interval_ms, timeout_ms = _times(section, defaults)
    scheme = section.text("scheme", "http").lower()
    if scheme not in ("http", "https"):
        section.fail("scheme", f"is http or https, not {scheme!r}")
    fallback = section.text("fallback_scrape_protocol")
    if fallback and fallback not in PROTOCOLS:
        section.fail("fallback_scrape_protocol", f"there are {', '.join(PROTOCOLS)}")
    job = Job(
        name,
        interval_ms=interval_ms,
        timeout_ms=timeout_ms,
        metrics_path=section.text("metrics_path", "/metrics") or "/metrics",
        scheme=scheme,
        params=_params(section),
        honor_labels=section.flag("honor_labels", False),
        honor_timestamps=section.flag("honor_timestamps", True),
        track_timestamps_staleness=section.flag("track_timestamps_staleness", False),
        compressed=section.flag("enable_compression", True),
        protocols=_protocols(section, defaults.protocols),
        fallback_protocol=fallback,
        bounds=_bounds(section, defaults.bounds),
        keep_dropped_targets=section.number("keep_dropped_targets", defaults.keep_dropped_targets),
        groups=_groups(section, name),
        files=_files(section, folder),
        target_rules=_rules(section, "relabel_configs"),
        series_rules=_rules(section, "metric_relabel_configs"),
        external_labels=defaults.external_labels,
        access=_access(section, folder),
    )
    _check_names(section)
    for idle in IDLE_KEYS:
        section.take(idle)
    section.refuse((f"{kind}_sd_configs" for kind in DISCOVERIES), ": use file_sd_configs")
    section.refuse((*OTHER_CLIENT_KEYS, *OTHER_JOB_KEYS, "convert_classic_histograms_to_nhcb"), "")
    section.end()
    return job


def _times(section: Section, defaults: Job) -> tuple[int, int]:
    interval_ms = section.milliseconds("scrape_interval", 0) or defaults.interval_ms
    named_ms = section.milliseconds("scrape_timeout", 0)
    if named_ms > interval_ms:
        section.fail("scrape_timeout", "is longer than the interval")
    return interval_ms, named_ms or min(defaults.timeout_ms, interval_ms)


def _protocols(section: Section, default: tuple[str, ...]) -> tuple[str, ...]:
    entry = section.take("scrape_protocols")
    if entry is None:
        return default
    chosen = entry.texts()
    for name in chosen:
        if name == "PrometheusProto":
            entry.fail("PrometheusProto is not supported, only the text formats")
        if name not in PROTOCOLS:
            entry.fail(f"{name!r} is unknown; there are {', '.join(PROTOCOLS)}")
    if len(set(chosen)) < len(chosen) or not chosen:
        entry.fail("each protocol once, and one at least")
    return chosen


def _bounds(section: Section, defaults: Bounds) -> Bounds:
    return Bounds(
        samples=section.number("sample_limit", defaults.samples),
        labels=section.number("label_limit", defaults.labels),
        name_bytes=section.number("label_name_length_limit", defaults.name_bytes),
        value_bytes=section.number("label_value_length_limit", defaults.value_bytes),
        targets=section.number("target_limit", defaults.targets),
        body_bytes=section.size_bytes("body_size_limit", defaults.body_bytes),
    )


def _check_names(section: Section) -> None:
    scheme = section.text("metric_name_validation_scheme", "utf8")
    if scheme not in ("", "utf8"):
        section.fail("metric_name_validation_scheme", f"only utf8 is supported, not {scheme!r}")


def _params(section: Section) -> tuple[tuple[str, tuple[str, ...]], ...]:
    entry = section.take("params")
    if entry is None:
        return ()
    return tuple(sorted((name, values.texts()) for name, values in entry.section().entries()))


def _groups(section: Section, job: str) -> tuple[Group, ...]:
    return tuple(
        group_of(entry, f"{job}/{i}") for i, entry in enumerate(section.items("static_configs"))
    )


def group_of(entry: Entry, source: str, meta: tuple[tuple[str, str], ...] = ()) -> Group:
    """One list of targets with their labels, of this file or of one that discovery reads."""
    section = entry.section()
    addresses = section.texts("targets")
    for address in addresses:
        if "/" in address:
            section.fail("targets", f"{address!r} is not host:port; a path goes to metrics_path")
    labels = tuple(sorted(section.labels("labels").items()))
    section.end()
    return Group(source, addresses, labels, meta)


def _files(section: Section, folder: Path) -> tuple[FileSource, ...]:
    found = []
    for entry in section.items("file_sd_configs"):
        source = entry.section()
        patterns = source.texts("files")
        for text in patterns:
            if not text.endswith(FILE_ENDINGS):
                source.fail("files", f"{text!r} does not end in .json, .yml or .yaml")
            if "*" in str(Path(text).parent):
                source.fail("files", f"{text!r}: only the last part of a path may hold *")
        if not patterns:
            source.fail("files", "there are none")
        refresh_ms = source.milliseconds("refresh_interval", 300_000) or 300_000
        source.end()
        found.append(FileSource(tuple(folder / text for text in patterns), refresh_ms))
    return tuple(found)


def _rules(section: Section, name: str) -> tuple[Rule, ...]:
    rules = []
    for entry in section.items(name):
        one = entry.section()
        action = one.text("action", "replace").lower()
        if action not in set(Action):
            one.fail("action", f"{action!r} is unknown; there are {', '.join(Action)}")
        given = {key: one.take(key) for key in ("separator", "regex", "target_label")}
        texts = {key: value.text() for key, value in given.items() if value is not None}
        replacement = one.take("replacement")
        if replacement is not None:
            texts["replacement"] = replacement.text()
        rule = Rule(
            action=Action(action),
            source_labels=one.texts("source_labels"),
            modulus=one.number("modulus"),
            **texts,
        )
        one.end()
        try:
            rule.check()
        except InvalidInput as error:
            entry.fail(str(error))
        rules.append(rule)
    return tuple(rules)


def _access(section: Section, folder: Path) -> Access:
    access = Access(tls=_tls(section, folder))
    basic, bearer = section.take("basic_auth"), section.take("authorization")
    if basic is not None and bearer is not None:
        basic.fail("there is authorization too: one of them")
    if basic is not None:
        user = basic.section()
        access = dataclasses.replace(
            access,
            scheme="Basic",
            username=user.text("username"),
            password=user.text("password"),
            password_file=_path(user, "password_file", folder),
        )
        if access.password and access.password_file:
            user.fail("password_file", "there is password too: one of them")
        user.refuse(("username_file", "username_ref", "password_ref"), "")
        user.end()
    if bearer is not None:
        token = bearer.section()
        access = dataclasses.replace(
            access,
            scheme=token.text("type", "Bearer"),
            credentials=token.text("credentials"),
            credentials_file=_path(token, "credentials_file", folder),
        )
        if access.scheme.lower() == "basic":
            token.fail("type", "use basic_auth for it")
        if access.credentials and access.credentials_file:
            token.fail("credentials_file", "there is credentials too: one of them")
        token.refuse(("credentials_ref",), "")
        token.end()
    return access


def _tls(section: Section, folder: Path) -> Tls:
    entry = section.take("tls_config")
    if entry is None:
        return Tls()
    one = entry.section()
    tls = Tls(
        ca_file=_path(one, "ca_file", folder),
        cert_file=_path(one, "cert_file", folder),
        key_file=_path(one, "key_file", folder),
        server_name=one.text("server_name"),
        insecure_skip_verify=one.flag("insecure_skip_verify", False),
    )
    if (tls.cert_file is None) != (tls.key_file is None):
        entry.fail("cert_file and key_file go together")
    one.refuse(
        ("ca", "cert", "key", "ca_ref", "cert_ref", "key_ref", "min_version", "max_version"), ""
    )
    one.end()
    return tls


def _path(section: Section, name: str, folder: Path) -> Path | None:
    text = section.text(name)
    return folder / text if text else None
