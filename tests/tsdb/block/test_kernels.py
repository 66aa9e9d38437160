"""tsdb.block.kernels: decoding a part of each chunk."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tsdb.batch import Columns
from tsdb.block import kernels
from tsdb.codec import gorilla
from tsdb.codec.kernels import SOUND
from tsdb.codec.resolution import Resolution

INT64_MIN, INT64_MAX = -(1 << 63), (1 << 63) - 1
times = st.one_of(st.integers(0, 40), st.integers(0, 40), st.integers(INT64_MIN, INT64_MAX))
bits = st.one_of(st.integers(0, 3), st.integers(0, (1 << 64) - 1))
chunk = st.dictionaries(times, bits, max_size=20)


@given(
    chunks=st.lists(chunk, min_size=1, max_size=5),
    borders=st.tuples(times, times),
    resolution=st.sampled_from(Resolution),
)
def test_decoding_within_is_leaving_out(
    chunks: list[dict[int, int]], borders: tuple[int, int], resolution: Resolution
) -> None:
    low, high = min(borders), max(borders)
    runs = [sorted(each.items()) for each in chunks]
    points = [point for each in runs for point in each]
    columns = Columns(
        np.cumsum([0, *map(len, runs)], dtype=np.int64),
        np.array([t for t, _ in points], np.int64),
        np.array([v for _, v in points], np.uint64).view(np.float64),
    )
    data, offsets = gorilla.encode_runs(columns, resolution)
    padded = np.append(data[: offsets[-1]], np.full(gorilla.DECODE_SLACK_BYTES, 255, np.uint8))
    kept = np.empty(columns.runs, np.int64)
    stamps, found = np.empty(columns.points, np.uint64), np.empty(columns.points, np.uint64)

    verdict = kernels.decode_chunks_within(
        *(padded, offsets[:-1], offsets[1:], np.diff(columns.offsets)),
        *(resolution.packed_widths, low, high, kept, stamps, found),
    )

    inside = [[(t, v) for t, v in each if low <= t <= high] for each in runs]
    assert verdict == SOUND
    assert kept.tolist() == [len(each) for each in inside]
    size = sum(map(len, inside))
    pairs = zip(stamps[:size].view(np.int64).tolist(), found[:size].tolist(), strict=True)
    assert list(pairs) == [point for each in inside for point in each]
