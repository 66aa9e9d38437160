"""From an address that discovery found to something that can be asked.

    in   a job, a group, one address of it
    out  Target; or None where the job's rules drop it; InvalidInput where it makes no sense

As Prometheus' scrape/target.go: what is discovered gets the job's defaults as labels, the rules
may change all of them, then `__address__`, `__scheme__`, `__metrics_path__`, `__param_*` and the
two times say where and when; no label that begins with two underscores is left on the series.

Pure.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from urllib.parse import quote, quote_plus, urlsplit

import xxhash

from api import times
from api.scrape.config import Group, Job, duration_text
from api.scrape.relabel import relabel
from tsdb.errors import InvalidInput
from tsdb.index.quoting import shown

__all__ = ["Target", "discovered_labels", "target_of"]

ADDRESS, SCHEME, PATH = "__address__", "__scheme__", "__metrics_path__"
INTERVAL, TIMEOUT = "__scrape_interval__", "__scrape_timeout__"
PARAM, META, RESERVED = "__param_", "__meta_", "__"
_PATH_SAFE = "/:@!$&'()*+,;=~"


@dataclass(frozen=True, slots=True)
class Target:
    """Who is asked. Two targets with equal `identity` are one."""

    job: str
    labels: tuple[tuple[str, str], ...]  # those its series get, by name
    url: str
    interval_ms: int
    timeout_ms: int
    discovered: tuple[tuple[str, str], ...]

    @property
    def identity(self) -> tuple[object, ...]:
        return self.labels, self.url

    @property
    def spread(self) -> int:
        """Where in an interval its turn is: the same after every restart."""
        text = "\0".join([self.url, *(part for label in self.labels for part in label)])
        return int(struct.unpack("<Q", xxhash.xxh3_64_digest(text.encode()))[0])


def discovered_labels(job: Job, group: Group, address: str) -> dict[str, str]:
    """All a target has before the rules."""
    defaults = {
        "job": job.name,
        INTERVAL: duration_text(job.interval_ms),
        TIMEOUT: duration_text(job.timeout_ms),
        PATH: job.metrics_path,
        SCHEME: job.scheme,
    }
    defaults |= {PARAM + name: values[0] for name, values in job.params if values}
    given = dict(group.labels) | dict(group.meta) | {ADDRESS: address}
    return given | {name: text for name, text in defaults.items() if not given.get(name)}


def target_of(job: Job, discovered: dict[str, str]) -> Target | None:
    """The target, or None when the rules drop it."""
    labels = relabel(discovered, job.target_rules)
    if labels is None:
        return None
    address = labels.get(ADDRESS, "")
    if not address:
        raise InvalidInput("no address: the rules removed __address__")
    interval_ms, timeout_ms = _times(labels)
    kept = {name: text for name, text in labels.items() if not name.startswith(RESERVED)}
    kept.setdefault("instance", address)
    return Target(
        job.name,
        tuple(sorted(kept.items())),
        _url(job, labels, address),
        interval_ms,
        timeout_ms,
        tuple(sorted(discovered.items())),
    )


def _times(labels: dict[str, str]) -> tuple[int, int]:
    found = []
    for name in (INTERVAL, TIMEOUT):
        text = labels.get(name, "")
        try:
            found.append(times.duration_ticks(text, ticks_per_s=1_000))
        except InvalidInput as error:
            raise InvalidInput(f"label {name}: {error}") from error
        if not found[-1]:
            raise InvalidInput(f"label {name} may not be zero")
    interval_ms, timeout_ms = found
    if timeout_ms > interval_ms:
        raise InvalidInput(f"its timeout {labels[TIMEOUT]} is longer than {labels[INTERVAL]}")
    return interval_ms, timeout_ms


def _url(job: Job, labels: dict[str, str], address: str) -> str:
    scheme, path = labels.get(SCHEME, ""), labels.get(PATH, "")
    if scheme not in ("http", "https"):
        raise InvalidInput(f"scheme {shown(scheme)} is neither http nor https")
    _check_address(address)
    params = {name: list(values) for name, values in job.params}
    for name, text in labels.items():
        if name.startswith(PARAM):
            values = params.setdefault(name.removeprefix(PARAM), [""])
            values[:1] = [text]
    query = "&".join(
        f"{quote_plus(name)}={quote_plus(value)}"
        for name, values in sorted(params.items())
        for value in values
    )
    path = quote(path if path.startswith("/") else "/" + path, safe=_PATH_SAFE)
    return f"{scheme}://{address}{path}{'?' + query if query else ''}"


def _check_address(address: str) -> None:
    """A host, and a port perhaps; what is written into a request line must be nothing else."""
    try:
        split = urlsplit(f"//{address}")
        known = split.hostname and (split.port is None or split.port > 0)
    except ValueError:
        known = None
    plain = address.isascii() and address.isprintable() and not set(address) & set(' /@?#\\"<>')
    if not known or not plain:
        raise InvalidInput(f"address {shown(address)} is not host:port")
