"""Every failure this database raises on purpose, and who must act on it.

TSDBError
├── InvalidInput       the caller must change the request    HTTP 400, not logged as our fault
│   └── LimitExceeded  ... or ask for less                   HTTP 413 / 422 / 429, names the limit
├── Unavailable        the caller may retry unchanged        HTTP 503 + Retry-After, `code` says why
├── StorageFailed      the operator must act; the database   HTTP 503, outcome of waiting writes
│                      stopped writing for good               unknown, process exits 74
├── CorruptionError    the operator must act; stored bytes   HTTP 500, file leaves service, alert
│                      contradict themselves
└── NewerFormat        the operator must upgrade             exit 78, nothing is touched

A new class is added only when some caller would react differently to it; otherwise the
message carries the difference. Bugs are AssertionError and are never caught.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import PurePath

__all__ = [
    "CorruptionError",
    "InvalidInput",
    "LimitExceeded",
    "NewerFormat",
    "StorageFailed",
    "TSDBError",
    "Unavailable",
]


class TSDBError(Exception):
    """Root of every error this package raises on purpose."""


class InvalidInput(TSDBError):
    """The request is wrong; repeating it unchanged cannot help.

    The message names the culprit: series, point number, line, parameter.
    """


class LimitExceeded(InvalidInput):
    """The request passes a bound of `tsdb.limits`; `limit` is that bound's name there."""

    def __init__(self, message: str, *, limit: str, value: int) -> None:
        super().__init__(f"{message} (limit {limit} = {value:,})")
        self.limit = limit
        self.value = value


class Unavailable(TSDBError):
    """Not now. `code` is one of: busy, closed, disk_full, locked, overloaded, starting.

    In a cluster also: absent, log_full, no_leader, sealed, unknown (replication/stream.py), and
    turn_over (api/duty.py).
    """

    def __init__(self, message: str, *, code: str, retry_after_s: int = 1) -> None:
        super().__init__(message)
        self.code = code
        self.retry_after_s = retry_after_s


class StorageFailed(TSDBError):
    """An fsync failed. What the disk holds is unknown, so nothing is acked any more.

    Never retried: after a failed fsync the kernel may report the next one as good although
    the bytes never arrived (docs/explanation/durability.md).
    """


class CorruptionError(TSDBError):
    """Stored bytes contradict their own header or checksum.

    The place is data, not prose: `silverback inspect` opens it, tests assert it.
    `path` is None for bytes that did not come from a file (a decoder fed directly).
    """

    def __init__(self, path: PurePath | str | None, offset_bytes: int, reason: str) -> None:
        assert offset_bytes >= 0
        super().__init__(f"{path or 'bytes'} at byte {offset_bytes}: {reason}")
        self.path = path
        self.offset_bytes = offset_bytes
        self.reason = reason


class NewerFormat(TSDBError):
    """A file was written by a newer version of this program than this one can read."""

    def __init__(self, path: PurePath | str, found: int, newest_known: int) -> None:
        super().__init__(
            f"{path} has format version {found}, this program reads up to {newest_known}: "
            "upgrade the program"
        )
        self.path = path
        self.found = found
        self.newest_known = newest_known
