"""Blocks of lines into the database: written, counted, and complained about now and then.

    in   a block, its dialect
    out  what to answer; counts for /metrics; at most one log line every LOG_EVERY_S

These senders get no word about most of what happens, so the counts and the log are all there is.
A block that the database cannot take now waits here and is tried again; it is lost only when the
server stops first or storage fails, and then it is counted.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from api.listeners.dialects import Block, Dialect
from api.logs import LOG
from api.node import Node
from tsdb.commit.request import Ack
from tsdb.errors import InvalidInput, LimitExceeded, TSDBError, Unavailable

if TYPE_CHECKING:
    from tsdb.batch import Parsed

__all__ = ["Counts", "Intake", "Said"]

LOG_EVERY_S = 10.0
RETRY_S, RETRY_S_MAX = 0.02, 1.0


@dataclass(slots=True)
class Counts:
    """Since the server started; each is a metric of this name with the label `listener`."""

    connections: int = 0
    connections_refused_total: int = 0
    received_bytes_total: int = 0
    points_total: int = 0
    nan_total: int = 0
    refused_total: int = 0  # lines that are wrong, or past a bound
    lost_total: int = 0  # lines read and not written: the server stopped or was too busy for UDP
    answers_unread_total: int = 0


@dataclass(frozen=True, slots=True)
class Said:
    """What came of a block."""

    refused: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()


class Intake:
    """One listener's way into the database. Lives on the event loop's thread."""

    def __init__(self, node: Node, dialect: Dialect) -> None:
        self.counts = Counts()
        self.dialect = dialect
        self.pending_bytes = 0  # read and not handed over yet, of all connections
        self._node = node
        self._closing = asyncio.Event()
        self._logged_at = float("-inf")
        self._unlogged = 0

    def stop_waiting(self) -> None:
        """From now on a block that cannot be taken at once is lost."""
        self._closing.set()

    async def write(self, block: bytes, client: str) -> Said:
        """Write a block, however long that takes."""
        pause_s = RETRY_S
        while True:
            try:
                return await self._attempt(block, client)
            except Unavailable as error:
                if error.code == "closed" or self._closing.is_set():
                    return self._lose(block, client, str(error))
                await self._pause(pause_s)
                pause_s = min(2 * pause_s, RETRY_S_MAX)
            except TSDBError as error:
                return self._lose(block, client, str(error))

    def refuse(self, lines: int, why: str, client: str) -> None:
        """Count lines that are no points, and log it if that was not done lately."""
        self.counts.refused_total += lines
        self._complain("lines_refused", lines, why, client)

    async def _attempt(self, block: bytes, client: str) -> Said:
        """Raises Unavailable, StorageFailed and our bugs; what is wrong with lines is said."""
        database = self._node.database()
        read: list[Block] = []

        def parse() -> Parsed:
            read.append(self.dialect.parse(block, database))
            return read[-1].points

        try:
            written = await self._node.ingest.write(database, parse, len(block), Ack.DISK)
        except InvalidInput as error:
            return self._nothing_kept(block, read[-1] if read else None, error, client)
        found = read[-1]
        self.counts.points_total += written.points
        self._count(found, written.refused_count - found.dropped, written.refused, client)
        return Said(written.refused, found.commands)

    def _nothing_kept(
        self, block: bytes, found: Block | None, error: InvalidInput, client: str
    ) -> Said:
        if found is None:  # refused whole
            self.refuse(self.dialect.count(block), str(error), client)
            return Said((str(error),))
        wrong = found.lines - found.dropped
        if not wrong:
            self._count(found, 0, (), client)
            return Said((), found.commands)
        told = found.points.skipped
        if not told or isinstance(error, LimitExceeded):
            told = (*told, str(error))
        self._count(found, wrong, told, client)
        return Said(told, found.commands)

    def _count(self, found: Block, refused: int, told: tuple[str, ...], client: str) -> None:
        self.counts.nan_total += found.dropped
        if refused:
            self.refuse(refused, told[0] if told else "", client)

    def _lose(self, block: bytes, client: str, why: str) -> Said:
        lines = self.dialect.count(block)
        self.counts.lost_total += lines
        self._complain("lines_lost", lines, why, client)
        return Said((why,))

    def _complain(self, event: str, lines: int, why: str, client: str) -> None:
        self._unlogged += lines
        now = time.monotonic()
        if now - self._logged_at >= LOG_EVERY_S:
            LOG.warning(
                event, listener=self.dialect.name, lines=self._unlogged, last=why, client=client
            )
            self._logged_at = now
            self._unlogged = 0

    async def _pause(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._closing.wait(), seconds)
        except TimeoutError:
            return
