"""Blocks as dictionaries: the model that tests of tsdb.block compare with.

    from blocks.model import ...

A model is {ref: {timestamp: value bits}}. `columns` and `model` translate; `flush` writes a
model to a (simulated) disk and returns what was written.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from crash.disk import SimulatedDisk
from hypothesis import strategies as st

from tsdb.batch import Columns
from tsdb.block.layout import BlockMeta
from tsdb.block.reader import Block
from tsdb.block.windows import choose_level
from tsdb.block.writer import FlushWriter, Origin
from tsdb.codec.resolution import Resolution

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1
STALE = 0x7FF0000000000002
BLOCKS = Path("/db/blocks")
DATABASE = bytes(range(16))
HOURS_2_MS = 7_200_000
Model = dict[int, dict[int, int]]

# A few windows around 1970, far ones, and the ends of time.
times = st.one_of(
    st.integers(-50, 50),
    st.integers(-3 * HOURS_2_MS, 3 * HOURS_2_MS),
    st.sampled_from([INT64_MIN, INT64_MIN + 1, INT64_MAX - 1, INT64_MAX, 1_700_000_000_000]),
    st.integers(INT64_MIN, INT64_MAX),
)
bits = st.one_of(
    st.sampled_from([0, 1 << 63, STALE, 0x7FF8000000000000, 0x7FF4000000000001, 0x7FF << 52]),
    st.floats(width=64).map(lambda f: int(np.float64(f).view(np.uint64))),
    st.integers(0, 2**64 - 1),
)
refs = st.one_of(st.integers(0, 9), st.integers(0, 2**32 - 2))
models = st.dictionaries(refs, st.dictionaries(times, bits, max_size=12), max_size=6)


def disk() -> SimulatedDisk:
    files = SimulatedDisk()
    files.mkdir(BLOCKS.parent)
    files.mkdir(BLOCKS)
    return files


def columns(model: Model, refs: np.ndarray) -> Columns:
    runs = [model.get(ref, {}) for ref in refs.tolist()]
    return Columns(
        np.cumsum([0, *(len(r) for r in runs)], dtype=np.int64),
        np.array([t for r in runs for t in sorted(r)], np.int64),
        np.array([r[t] for r in runs for t in sorted(r)], np.uint64).view(np.float64),
    )


def model_of(refs: np.ndarray, found: Columns) -> Model:
    answer: Model = {}
    for i, ref in enumerate(refs.tolist()):
        lo, hi = found.offsets[i], found.offsets[i + 1]
        t = found.timestamps[lo:hi].tolist()
        assert t == sorted(set(t)), "a run must ascend strictly"
        points = dict(zip(t, found.values[lo:hi].view(np.uint64).tolist(), strict=True))
        if points:
            answer[ref] = points
    return answer


def between(model: Model, start: int, end: int) -> Model:
    """The points from start to end; series without any are left out."""
    clipped = {r: {t: v for t, v in p.items() if start <= t <= end} for r, p in model.items()}
    return {r: p for r, p in clipped.items() if p}


def all_refs(model: Model) -> np.ndarray:
    return np.array(sorted(model), np.uint32)


def flush(
    files: SimulatedDisk,
    model: Model,
    seq: tuple[int, int] = (1, 1),
    *,
    resolution: Resolution = Resolution.MS,
    per_slice: int = 2,
) -> tuple[BlockMeta, ...]:
    refs = all_refs(model)
    slices = [refs[i : i + per_slice] for i in range(0, refs.size, per_slice)]
    every = [t for points in model.values() for t in points]
    if not every:
        return ()
    level = choose_level(
        resolution, (min(every), max(every)), lambda: [columns(model, s) for s in slices]
    )
    writer = FlushWriter(files, BLOCKS, Origin(DATABASE, resolution, *seq), level=level)
    for part in slices:
        writer.add(part, columns(model, part))
    return writer.finish()


def opened(files: SimulatedDisk, metas: tuple[BlockMeta, ...]) -> list[Block]:
    return [Block.open(files, BLOCKS / meta.name) for meta in metas]


def scrapes(series: int, points: int, *, start: int = 0, step: int = 10_000) -> Model:
    """What a scraped target looks like: regular times, counters and gauges; seeded."""
    rng = np.random.default_rng(seed=series * 1_000_003 + points)
    model: Model = {}
    for ref in range(series):
        values = np.round(rng.normal(100, 10, points), 1) if ref % 2 else np.arange(points) * 7.0
        stamps = (start + step * np.arange(points)).tolist()
        words = values.astype(np.float64).view(np.uint64).tolist()
        model[ref] = dict(zip(stamps, words, strict=True))
    return model
