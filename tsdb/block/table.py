"""Where the points of a block are: one row a series, one row a chunk, columns throughout.

    in   the columns of the index file, or those a writer gathered
    out  ChunkTable: which chunks a question needs, which bytes they are

Chunks are ordered by (ref, time); those of one series lie side by side and do not overlap.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tsdb import limits
from tsdb.batch import F64s, I64s, U32s
from tsdb.block import kernels


@dataclass(frozen=True, slots=True)
class ChunkTable:
    """`firsts[i]:firsts[i + 1]` are the chunks of refs[i]; `starts[c]:starts[c + 1]` the bytes
    of chunk c in the chunks file."""

    refs: U32s  # [series] ascending
    firsts: I64s  # [series + 1]
    min_ts: I64s  # [chunks]
    max_ts: I64s  # [chunks]
    counts: I64s  # [chunks] 1 to CHUNK_POINTS_MAX
    starts: I64s  # [chunks + 1]

    @property
    def memory_bytes(self) -> int:
        columns = (self.refs, self.firsts, self.min_ts, self.max_ts, self.counts, self.starts)
        return sum(c.nbytes for c in columns)

    def select(self, refs: U32s, start: int, end: int) -> Selected:
        """Chunks of `refs` (ascending) that may hold points from start to end."""
        refs = np.ascontiguousarray(refs)
        lows, counts = np.empty(refs.size, np.int64), np.empty(refs.size, np.int64)
        total = kernels.select_chunks(
            refs, self.refs, self.firsts, self.min_ts, self.max_ts, start, end, lows, counts
        )
        bounds = np.zeros(refs.size + 1, np.int64)
        np.cumsum(counts, out=bounds[1:])
        assert bounds[-1] == total
        chunks = np.repeat(lows - bounds[:-1], counts) + np.arange(total)
        return Selected(chunks, bounds)

    def contradiction(self) -> str | None:
        """What makes this no table of a block, or None. Every index that is read is asked."""
        checks = {
            "refs do not ascend": (self.refs[1:] > self.refs[:-1]).all(),
            "a series has no chunk": (self.firsts[1:] > self.firsts[:-1]).all(),
            "series and chunks differ in number": self.firsts[-1] == self.min_ts.size,
            "a chunk ends before it begins": (self.min_ts <= self.max_ts).all(),
            "a chunk has too few or too many points": (
                self.counts.min() >= 1 and self.counts.max() <= limits.CHUNK_POINTS_MAX
            ),
            "a chunk has no bytes": (self.starts[1:] > self.starts[:-1]).all(),
            "chunks of a series overlap": self._chunks_ascend(),
        }
        return next((what for what, holds in checks.items() if not holds), None)

    def _chunks_ascend(self) -> bool:
        apart = self.min_ts[1:] > self.max_ts[:-1]
        inner = self.firsts[1:-1]
        if (inner <= 0).any() or (inner >= self.min_ts.size).any():
            return False
        apart[inner - 1] = True  # the next chunk belongs to the next series
        return bool(apart.all())


@dataclass(frozen=True, slots=True)
class Selected:
    """Chunk numbers, ascending; `chunks[bounds[i]:bounds[i + 1]]` are those of wanted ref i."""

    chunks: I64s
    bounds: I64s  # [refs + 1]


@dataclass(frozen=True, slots=True)
class Aggregates:
    """Of each chunk, over its values that are no stale markers.

    `counts` may be 0: then `minima`, `maxima`, `firsts` and `lasts` are NaN. `sums` were added
    from left to right inside a chunk; adding chunks gives other bits than adding points.
    """

    counts: I64s
    minima: F64s
    maxima: F64s
    sums: F64s
    firsts: F64s
    lasts: F64s
