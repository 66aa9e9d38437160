"""Requests become log entries: points of many are joined, deletes and horizons stand alone.

    in   admitted batches and control requests, in arrival order
    out  Pending entries in the same order, encoded

Joining is what makes small writes cheap: a hundred requests of one point are one entry, one
checksum and one call of each kernel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tsdb.batch import Batch, Exemplar, FamilyMetadata
from tsdb.codec.resolution import Resolution
from tsdb.commit.joining import joined
from tsdb.commit.request import Request
from tsdb.log.annotations import encode_exemplars, encode_metadata
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
    metadata: tuple[FamilyMetadata, ...] = ()
    exemplars: tuple[Exemplar, ...] = ()


class Assembly:
    """Entries in the making."""

    def __init__(self, resolution: Resolution) -> None:
        self._resolution = resolution
        self._entries: list[Pending] = []
        self._batches: list[Batch] = []
        self._owners: list[Request] = []
        self._points = 0
        self._metadata: dict[str, FamilyMetadata] = {}
        self._exemplars: list[Exemplar] = []

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

    def annotate(self, metadata: Sequence[FamilyMetadata], exemplars: Sequence[Exemplar]) -> None:
        """What a request says beside its points; in the same group, so one sync is for both."""
        self._metadata |= {family.family: family for family in metadata}
        self._exemplars += exemplars

    def finish(self) -> list[Pending]:
        self._close_entry()
        if self._metadata:
            metadata = tuple(self._metadata.values())
            payload = encode_metadata(metadata)
            self._entries.append(Pending(Kind.METADATA, payload, [], metadata=metadata))
        if self._exemplars:
            exemplars = tuple(self._exemplars)
            payload = encode_exemplars(exemplars)
            self._entries.append(Pending(Kind.EXEMPLARS, payload, [], exemplars=exemplars))
        return self._entries

    def _close_entry(self) -> None:
        if not self._batches:
            return
        batch = joined(self._batches)
        payload = encode_points(batch, self._resolution)
        self._entries.append(Pending(Kind.POINTS, payload, self._owners, batch=batch))
        self._batches, self._owners, self._points = [], [], 0
