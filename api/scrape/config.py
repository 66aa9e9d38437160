"""What the configuration says, as values: nothing here reads a file or asks a target.

    in   `api.scrape.reading`
    out  Config: jobs, each with its targets' sources, rules, bounds and ways to ask

Durations are milliseconds. A bound of zero is none. Values compare by content: a job that is equal
after a reload is left in peace.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from api.scrape.relabel import Rule

__all__ = [
    "PROTOCOLS",
    "Access",
    "Bounds",
    "Config",
    "FileSource",
    "Group",
    "Job",
    "Tls",
    "accept_header",
    "duration_text",
]

PROTOCOLS = {
    "OpenMetricsText1.0.0": "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8",
    "OpenMetricsText0.0.1": "application/openmetrics-text;version=0.0.1",
    "PrometheusText1.0.0": "text/plain;version=1.0.0;escaping=allow-utf-8",
    "PrometheusText0.0.4": "text/plain;version=0.0.4",
}
_UNITS_MS = (
    ("y", 365 * 86_400_000, True),
    ("w", 7 * 86_400_000, True),
    ("d", 86_400_000, False),
    ("h", 3_600_000, False),
    ("m", 60_000, False),
    ("s", 1_000, False),
    ("ms", 1, False),
)


@dataclass(frozen=True, slots=True)
class Tls:
    """How a target is to be believed."""

    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    server_name: str = ""
    insecure_skip_verify: bool = False


@dataclass(frozen=True, slots=True)
class Access:
    """Who we say we are. Secrets never appear in a text of this value."""

    username: str = ""
    password: str = field(default="", repr=False)
    password_file: Path | None = None
    scheme: str = ""  # of the Authorization header; Basic when there is a user name
    credentials: str = field(default="", repr=False)
    credentials_file: Path | None = None
    tls: Tls = field(default_factory=Tls)


@dataclass(frozen=True, slots=True)
class Bounds:
    """Past one of them a whole scrape fails; zero is no bound."""

    samples: int = 0
    labels: int = 0
    name_bytes: int = 0
    value_bytes: int = 0
    targets: int = 0
    body_bytes: int = 0

    @property
    def of_labels(self) -> bool:
        return bool(self.labels or self.name_bytes or self.value_bytes)


@dataclass(frozen=True, slots=True)
class Group:
    """Addresses with labels they share; `source` is where they are written."""

    source: str
    addresses: tuple[str, ...]
    labels: tuple[tuple[str, str], ...] = ()
    meta: tuple[tuple[str, str], ...] = ()  # what the discovery itself adds


@dataclass(frozen=True, slots=True)
class FileSource:
    """Files that list groups: patterns whose last part may hold `*`."""

    patterns: tuple[Path, ...]
    refresh_ms: int = 300_000


@dataclass(frozen=True, slots=True)
class Job:
    """One entry of scrape_configs."""

    name: str
    interval_ms: int = 60_000
    timeout_ms: int = 10_000
    metrics_path: str = "/metrics"
    scheme: str = "http"
    params: tuple[tuple[str, tuple[str, ...]], ...] = ()
    honor_labels: bool = False
    honor_timestamps: bool = True
    track_timestamps_staleness: bool = False
    compressed: bool = True
    protocols: tuple[str, ...] = tuple(PROTOCOLS)
    fallback_protocol: str = ""
    bounds: Bounds = field(default_factory=Bounds)
    keep_dropped_targets: int = 0
    groups: tuple[Group, ...] = ()
    files: tuple[FileSource, ...] = ()
    target_rules: tuple[Rule, ...] = ()
    series_rules: tuple[Rule, ...] = ()
    external_labels: tuple[tuple[str, str], ...] = ()
    access: Access = field(default_factory=Access)


@dataclass(frozen=True, slots=True)
class Config:
    jobs: tuple[Job, ...] = ()


def accept_header(protocols: tuple[str, ...]) -> str:
    """As Prometheus asks: what comes first weighs most, anything is taken at last."""
    weights = range(len(protocols) + 1, 0, -1)
    forms = [*(PROTOCOLS[name] for name in protocols), "*/*"]
    return ",".join(f"{form};q=0.{w + 1}" for form, w in zip(forms, weights, strict=True))


def duration_text(milliseconds: int) -> str:
    """As Prometheus prints it: years and weeks only where nothing is left over."""
    text, rest = "", milliseconds
    for unit, size, exact in _UNITS_MS:
        if exact and rest % size:
            continue
        count, rest = divmod(rest, size)
        if count:
            text += f"{count}{unit}"
    return text or "0s"
