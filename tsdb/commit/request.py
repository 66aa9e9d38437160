"""What a writer hands in and what it gets back.

`Ack` chooses what an answer means. DISK (default): fsynced and visible. APPLIED: the same on a
single node; in a cluster it waits for the local copy too. MEMORY: visible and handed to the
operating system, which a process kill does not lose but a power cut may.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from tsdb.batch import Parsed
from tsdb.errors import InvalidInput, LimitExceeded, TSDBError
from tsdb.log.control import Delete, Horizon

REFUSALS_TOLD_MAX = 100  # sentences in one answer; the count is always exact


class Ack(StrEnum):
    DISK = "disk"
    APPLIED = "applied"
    MEMORY = "memory"


@dataclass(frozen=True, slots=True)
class Written:
    """`points` of the request are in the log at `seq`, durable or not as asked.

    `refused` says in one sentence each what was not kept (at most REFUSALS_TOLD_MAX of
    `refused_count`); `limit` is the bound that refused some of them, if one did.
    """

    points: int
    seq: int
    durable: bool
    refused: tuple[str, ...] = ()
    refused_count: int = 0
    limit: LimitExceeded | None = None
    series: int = 0  # series touched by a delete
    position: str = ""  # in a cluster: a token for reads elsewhere that must see this


@dataclass(slots=True)
class Refusals:
    """What was not kept of one request, and why."""

    told: list[str] = field(default_factory=list)
    count: int = 0
    limit: LimitExceeded | None = None

    def add(self, why: str, count: int = 1) -> None:
        self.count += count
        if len(self.told) < REFUSALS_TOLD_MAX:
            self.told.append(why)

    def add_error(self, error: InvalidInput) -> None:
        if isinstance(error, LimitExceeded) and self.limit is None:
            self.limit = error
        self.add(str(error))

    def as_error(self) -> InvalidInput:
        """The error of a request of which nothing was kept."""
        if self.limit is not None:
            return self.limit
        more = f" (and {self.count - 1} more)" if self.count > 1 else ""
        return InvalidInput((self.told[0] if self.told else "no points") + more)


Done = Callable[[Written | TSDBError], None]


@dataclass(slots=True, eq=False)
class Request:
    """One write on its way. Exactly one of `parse`, `delete`, `horizon` is set.

    `parse` runs on the gate's thread; `done` is called exactly once, from a commit thread.
    """

    done: Done
    ack: Ack = Ack.DISK
    size_bytes: int = 0
    parse: Callable[[], Parsed] | None = None
    delete: Delete | None = None
    horizon: Horizon | None = None
    refusals: Refusals = field(default_factory=Refusals)
    points: int = 0
    answered: bool = False
