"""tsdb.codec.kernels: its append helpers, called point by point, write what a batch writes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numba import types

from tsdb.codec import gorilla, kernels, reference
from tsdb.codec.resolution import Resolution
from tsdb.jit import kernel

WORD = 1 << 64
WORDS = types.Array(types.uint64, 1, "C")
BYTES = types.Array(types.uint8, 1, "C")
POSITION, COUNT, LEAD, TRAIL, TIMESTAMP, DELTA, VALUE, POINTS = range(8)


@kernel(types.void(WORDS, types.uint64, types.uint64, types.uint64, BYTES))
def append(state, timestamp, value, widths, out):
    """One point, as a head does it: a line of state a series, no accumulator kept."""
    pos, cnt = state[POSITION], state[COUNT]
    delta = timestamp - state[TIMESTAMP]
    x = value ^ state[VALUE]
    lead, trail = state[LEAD], state[TRAIL]
    if state[POINTS] == 0:
        pos = kernels.put_first(out, pos, timestamp, value)
        delta = np.uint64(0)
    elif state[POINTS] == 1:
        pos, acc, cnt, lead, trail = kernels.put_second(out, pos, delta, x)
    else:
        acc = np.uint64(out[pos]) << np.uint64(56)
        dod = delta - state[DELTA]
        pos, acc, cnt, lead, trail = kernels.put_point(
            out, pos, acc, cnt, dod, x, lead, trail, widths
        )
    state[POSITION], state[COUNT], state[LEAD], state[TRAIL] = pos, cnt, lead, trail
    state[TIMESTAMP], state[DELTA], state[VALUE] = timestamp, delta, value
    state[POINTS] += np.uint64(1)


def appended(timestamps, value_bits, resolution):
    """Bytes after each point; the buffer is full of ones where nothing was written."""
    out = np.full(gorilla.encode_bound_bytes(len(timestamps), 1), 0xFF, np.uint8)
    state = np.zeros(8, np.uint64)
    state[LEAD] = kernels.NO_WINDOW
    prefixes = []
    for timestamp, bits in zip(timestamps, value_bits, strict=True):
        before = int(state[POSITION])
        append(state, np.uint64(timestamp % WORD), np.uint64(bits), resolution.packed_widths, out)
        size = int(state[POSITION]) + (int(state[COUNT]) > 0)
        assert (out[before + kernels.POINT_BYTES_MAX :] == 0xFF).all()
        prefixes.append(out[:size].tobytes())
    return prefixes


timestamps = st.integers(-(2**63), 2**63 - 1) | st.integers(0, 100) | st.integers(0, 2**33)
value_bits = st.integers(0, WORD - 1) | st.sampled_from([0, 1, 1 << 63, 0x3FF << 52, 3 << 51])


@given(st.lists(st.tuples(timestamps, value_bits), max_size=12), st.sampled_from(list(Resolution)))
def test_appending_point_by_point_is_encoding_every_prefix(points, resolution):
    """Readers of a head see the stream after any point: it must be a whole chunk each time."""
    columns = [t for t, _ in points], [v for _, v in points]

    for i, prefix in enumerate(appended(*columns, resolution)):
        chunk = reference.encode(columns[0][: i + 1], columns[1][: i + 1], resolution)
        assert prefix == chunk


@pytest.mark.parametrize("resolution", Resolution)
def test_every_border_of_every_width_takes_the_code_of_the_format(resolution):
    """One dod on each side of each border, each decoded again."""
    borders = [s * (1 << (w - 1)) for w in {*resolution.widths, 31, 32, 33, 63} for s in (1, -1)]
    dods = [b + near for b in borders for near in range(-3, 4)] + [0, 1, -1, 2**63 - 1, -(2**63)]
    deltas = np.cumsum(np.array([dod % WORD for dod in dods], np.uint64))
    stamps = np.cumsum(np.concatenate([[np.uint64(0), np.uint64(0)], deltas])).view(np.int64)
    values = np.zeros(stamps.size)

    chunk = gorilla.encode(stamps, values, resolution)

    assert chunk == reference.encode(stamps.tolist(), [0] * stamps.size, resolution)
    np.testing.assert_array_equal(gorilla.decode(chunk, stamps.size, resolution)[0], stamps)


@pytest.mark.parametrize("used", range(8))
def test_every_window_at_every_bit_of_a_byte(used):
    """Sizes 1 to 64 of a new window, started at each of the eight bit positions."""
    value_bits, word = [0] * (used + 2), 0
    for size in range(1, 65):
        for shift in {0, 64 - size, (64 - size) // 2}:
            word ^= ((1 << size) - 1) << shift
            value_bits.append(word)
    stamps = list(range(len(value_bits)))

    chunk = gorilla.encode(
        np.array(stamps), np.array(value_bits, np.uint64).view(np.float64), Resolution.MS
    )

    assert chunk == reference.encode(stamps, value_bits, Resolution.MS)
    back = gorilla.decode(chunk, len(stamps), Resolution.MS)[1]
    assert back.view(np.uint64).tolist() == value_bits
