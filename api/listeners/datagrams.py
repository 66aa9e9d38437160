"""Lines in UDP datagrams.

    in   datagrams, each of whole lines; the last newline may lack
    out  blocks to the intake, one at a time

UDP has no way to tell a sender to wait: what arrives while a write is under way is kept up to
LISTENER_DATAGRAM_BYTES_MAX, then dropped and counted.
"""

from __future__ import annotations

import asyncio
from asyncio import Task

from api.listeners.intake import Intake, Said
from api.logs import LOG
from tsdb import limits

__all__ = ["Datagrams"]

NEWLINE = b"\n"


class Datagrams(asyncio.DatagramProtocol):
    """The socket of one port."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self._loop = asyncio.get_running_loop()
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._writing: Task[Said] | None = None
        self._called = False
        self._client = ""

    def datagram_received(self, data: bytes, addr: tuple[str | object, int]) -> None:
        counts = self._intake.counts
        counts.received_bytes_total += len(data)
        if self._waiting_bytes + len(data) > limits.LISTENER_DATAGRAM_BYTES_MAX:
            counts.lost_total += data.count(NEWLINE) + (data[-1:] != NEWLINE)
            return
        self._client = str(addr[0])
        self._waiting.append(data if data[-1:] == NEWLINE else data + NEWLINE)
        self._waiting_bytes += len(data)
        if self._writing is None and not self._called:
            self._called = True
            self._loop.call_soon(self._begin)  # after all that came in this turn of the loop

    async def drain(self) -> None:
        """Write what was read."""
        while self._waiting or self._writing is not None:
            if self._writing is None:
                self._begin()
            assert self._writing is not None
            await asyncio.wait([self._writing])
            await asyncio.sleep(0)

    def _begin(self) -> None:
        self._called = False
        if self._writing is not None or not self._waiting:
            return
        block = b"".join(self._waiting)
        self._waiting.clear()
        self._waiting_bytes = 0
        self._writing = self._loop.create_task(self._intake.write(block, self._client))
        self._writing.add_done_callback(self._written)

    def _written(self, task: Task[Said]) -> None:
        self._writing = None
        if not task.cancelled() and task.exception() is not None:
            LOG.error(
                "internal_error", listener=self._intake.dialect.name, exc_info=task.exception()
            )
        self._begin()
