"""The one shape in which points travel between stages: runs of points in columns.

A run is a stretch of points of one series. A scrape is many runs of one point, a bulk import
few runs of many points; both are the same four arrays, so every stage has one loop.

    Columns   runs of points, in an order the producer states (per series, ascending in answers)
    Parsed    what a parser made of a body: `Columns` whose series are named by byte ranges,
              and what senders say beside points: metadata and exemplars
    Batch     `Columns` whose series are refs of one shard, plus the series that are new

Never one Python object per point. Arrays are C-contiguous; nobody mutates them after handing
them on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

U8s: TypeAlias = npt.NDArray[np.uint8]
U32s: TypeAlias = npt.NDArray[np.uint32]
I64s: TypeAlias = npt.NDArray[np.int64]
U64s: TypeAlias = npt.NDArray[np.uint64]
F64s: TypeAlias = npt.NDArray[np.float64]

TAIL_MARK = b"\xff"  # between head and tail of a key; never in UTF-8


@dataclass(frozen=True, slots=True)
class Columns:
    """`offsets[i]:offsets[i+1]` are the points of run i. Invariant: offsets[0] == 0, ascending."""

    offsets: I64s  # [runs + 1]
    timestamps: I64s  # [points] ticks
    values: F64s  # [points]

    def __post_init__(self) -> None:
        assert self.offsets.size >= 1
        assert self.timestamps.size == self.values.size == self.offsets[-1]

    @property
    def points(self) -> int:
        return self.timestamps.size

    @property
    def runs(self) -> int:
        return self.offsets.size - 1


@dataclass(slots=True)
class Decoded:
    """What a read had to do. One thread adds to one of these."""

    blocks_opened: int = 0
    blocks_skipped: int = 0  # no chunk of the wanted series lies in the range
    chunks: int = 0  # of blocks; damaged ones are left out
    points: int = 0  # in these chunks, also those outside the range
    bytes: int = 0  # of these chunks
    memory_points: int = 0  # that were not in blocks


@dataclass(frozen=True, slots=True)
class SeriesDefinitions:
    """Series named by ref, explicitly: a hole in a log cannot renumber the others.

    `keys` holds canonical label bytes (tsdb.index.labels) back to back;
    `offsets[i]:offsets[i+1]` is the key of `refs[i]`.
    """

    refs: U32s  # [series]
    offsets: I64s  # [series + 1]
    keys: bytes

    @property
    def count(self) -> int:
        return self.refs.size

    @classmethod
    def none(cls) -> SeriesDefinitions:
        return cls(np.empty(0, np.uint32), np.zeros(1, np.int64), b"")


@dataclass(frozen=True, slots=True)
class Batch:
    """Points of known series: what the log stores and the head appends. `refs[i]` owns run i.

    Points of one series may appear in several runs and in any time order; the later one in the
    batch wins where timestamps are equal.
    """

    refs: U32s  # [runs]
    columns: Columns
    definitions: SeriesDefinitions

    def __post_init__(self) -> None:
        assert self.refs.size == self.columns.runs

    @property
    def points(self) -> int:
        return self.columns.points


@dataclass(frozen=True, slots=True)
class FamilyMetadata:
    """What a sender says about all series of one name. The latest one counts."""

    family: str  # metric family, as /api/v1/metadata names it
    kind: str  # counter, gauge, histogram, gaugehistogram, summary, info, stateset, unknown
    help: str = ""
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Exemplar:
    """One observed case behind a point, such as a trace id."""

    series: bytes  # canonical label bytes of the series it belongs to
    labels: bytes  # canonical label bytes of its own labels
    timestamp: int  # ticks
    value: float


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a parser made of one body.

    The series of run i is named by the bytes `key_bytes[key_starts[i]:key_ends[i]]`, in whatever
    form the sender used; `form` names that form, and `canonical` turns one such range into
    canonical label bytes (raising InvalidInput). It is called once per distinct range ever
    seen: afterwards the range itself is found in a table.

    Where many series share their head (a line with several fields), the key has a tail as well:
    run i is named by head and tail, and `canonical` gets both with TAIL_MARK between them. Heads
    of neighbouring runs that are equal should be the same range: they are hashed once.

    `canonical_many`, where a parser has it, does the same for many runs at once: it takes indices
    of runs and gives canonical keys back to back with their offsets; an empty key means that
    `canonical` must say what is wrong with it.
    """

    form: str
    key_bytes: U8s
    key_starts: I64s  # [runs]
    key_ends: I64s  # [runs]
    columns: Columns
    canonical: Callable[[bytes], bytes]
    skipped: tuple[str, ...] = ()  # one sentence for each line or point that was refused
    skipped_more: int = 0  # refused beyond those that `skipped` tells
    tail_starts: I64s | None = None  # [runs]
    tail_ends: I64s | None = None  # [runs]
    canonical_many: Callable[[I64s], tuple[U8s, I64s]] | None = None
    metadata: tuple[FamilyMetadata, ...] = ()
    exemplars: tuple[Exemplar, ...] = ()

    def __post_init__(self) -> None:
        assert self.key_starts.size == self.key_ends.size == self.columns.runs
        assert (self.tail_starts is None) == (self.tail_ends is None)
