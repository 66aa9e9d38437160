"""Requests become log entries: points of many are joined, deletes and horizons stand alone.

    in   admitted batches and control requests, in arrival order
    out  Pending entries in the same order, encoded

Joining is what makes small writes cheap: a hundred requests of one point are one entry, one
checksum and one call of each kernel.
"""

from __future__ import annotations

from dataclasses import dataclass

from tsdb.batch import Batch
from tsdb.codec.resolution import Resolution
from tsdb.commit.gate import joined
from tsdb.commit.request import Request
from tsdb.log.control import Delete, Horizon, encode_delete, encode_horizon
from tsdb.log.points import encode_points
from tsdb.log.protocol import Kind

ENTRY_POINTS = 1 << 16  # requests are joined into entries of about this many points


@dataclass(slots=True)
class Pending:
    """One log entry and the requests that it answers."""

    kind: Kind
    payload: bytes
    requests: list[Request]
    batch: Batch | None = None
    delete: Delete | None = None
    horizon: Horizon | None = None


class Assembly:
    """Entries in the making."""

    def __init__(self, resolution: Resolution) -> None:
        self._resolution = resolution
        self._entries: list[Pending] = []
        self._batches: list[Batch] = []
        self._owners: list[Request] = []
        self._points = 0

    def add(self, batch: Batch, owners: list[Request]) -> None:
        """Points of `owners`, after all that was added before."""
        self._batches.append(batch)
        self._owners += owners
        self._points += batch.points
        if self._points >= ENTRY_POINTS:
            self._close_entry()

    def add_control(self, request: Request) -> None:
        """A delete or a horizon: it takes effect between what was added before and after."""
        self._close_entry()
        if request.delete is not None:
            payload = encode_delete(request.delete)
            pending = Pending(Kind.TOMBSTONE, payload, [request], delete=request.delete)
        else:
            assert request.horizon is not None
            payload = encode_horizon(request.horizon)
            pending = Pending(Kind.CONTROL, payload, [request], horizon=request.horizon)
        self._entries.append(pending)

    def finish(self) -> list[Pending]:
        self._close_entry()
        return self._entries

    def _close_entry(self) -> None:
        if not self._batches:
            return
        batch = joined(self._batches)
        payload = encode_points(batch, self._resolution)
        self._entries.append(Pending(Kind.POINTS, payload, self._owners, batch=batch))
        self._batches, self._owners, self._points = [], [], 0
