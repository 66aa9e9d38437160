"""tsdb.codec.gorilla: every point comes back bit for bit, and damage never passes as points."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tsdb.batch import Columns
from tsdb.codec import gorilla, reference
from tsdb.codec.resolution import Resolution
from tsdb.errors import CorruptionError

WORD = 1 << 64
INT64_MIN, INT64_MAX = -(1 << 63), (1 << 63) - 1
SPECIAL_BITS = [
    0,
    1,  # the smallest denormal
    0x8000000000000000,  # -0.0
    0x7FF0000000000000,  # +Inf
    0xFFF0000000000000,  # -Inf
    0x7FF8000000000001,  # quiet NaN with a payload
    0x7FF0000000000002,  # signalling NaN: Prometheus' stale marker
    0xFFFFFFFFFFFFFFFF,
    0x3FF0000000000000,  # 1.0
]
resolutions = st.sampled_from(list(Resolution))


def signed(word):
    return (word + WORD // 2) % WORD - WORD // 2


def dods():
    """Deltas of deltas around every border of every resolution, and all others."""
    borders = st.builds(
        lambda width, below, sign: sign * ((1 << (width - 1)) - below),
        st.sampled_from(sorted({w for r in Resolution for w in r.widths})),
        st.integers(-3, 3),
        st.sampled_from([1, -1]),
    )
    return st.just(0) | st.integers(-20, 20) | borders | st.integers(INT64_MIN, INT64_MAX)


def xors():
    """Changes of a value: none, a few bits anywhere, all bits."""
    sparse = st.builds(
        lambda bits, shift: (bits << shift) % WORD, st.integers(0, 2**16), st.integers(0, 63)
    )
    return st.just(0) | sparse | st.integers(0, WORD - 1)


@st.composite
def runs(draw, size_max=30):
    """(timestamps, value bits) of one run: arbitrary columns, or a walk along the codes."""
    size = draw(st.integers(0, size_max))

    def column(elements):
        return draw(st.lists(elements, min_size=size, max_size=size))

    if draw(st.booleans()):
        timestamps = column(st.integers(INT64_MIN, INT64_MAX))
        return timestamps, column(st.sampled_from(SPECIAL_BITS) | st.integers(0, WORD - 1))
    timestamp, delta, word = draw(st.integers(INT64_MIN, INT64_MAX)), 0, 0
    timestamps, bits = [], []
    for dod, xor in zip(column(dods()), column(xors()), strict=True):
        delta += dod
        timestamp = signed(timestamp + delta)
        word ^= xor
        timestamps.append(timestamp)
        bits.append(word)
    return timestamps, bits


def arrays(timestamps, value_bits):
    return np.array(timestamps, np.int64), np.array(value_bits, np.uint64).view(np.float64)


def columns_of(many):
    sizes = [len(timestamps) for timestamps, _ in many]
    timestamps, values = arrays(
        [t for run, _ in many for t in run], [v for _, run in many for v in run]
    )
    return Columns(np.cumsum([0, *sizes], dtype=np.int64), timestamps, values)


def pad(data):
    return np.frombuffer(data + b"\xff" * gorilla.DECODE_SLACK_BYTES, np.uint8)


@given(runs(), resolutions)
@example(([INT64_MIN, INT64_MAX, INT64_MIN, INT64_MAX], SPECIAL_BITS[:4]), Resolution.S)
@example(([0, 0, 1 << 31, 1 << 31, 0], [0, 1, 0, 1, 0]), Resolution.S)  # the escape itself
def test_every_run_survives_and_both_encoders_agree(run, resolution):
    timestamps, value_bits = run

    chunk = gorilla.encode(*arrays(*run), resolution)

    assert chunk == reference.encode(timestamps, value_bits, resolution)
    assert reference.decode(chunk, len(timestamps), resolution) == (timestamps, value_bits)
    back_timestamps, back_values = gorilla.decode(chunk, len(timestamps), resolution)
    assert back_timestamps.tolist() == timestamps
    assert back_values.view(np.uint64).tolist() == value_bits


@given(st.lists(runs(size_max=8), max_size=6), resolutions)
def test_many_runs_are_their_chunks_one_after_another(many, resolution):
    columns = columns_of(many)

    data, offsets = gorilla.encode_runs(columns, resolution)

    chunks = [reference.encode(*run, resolution) for run in many]
    assert data.tobytes() == b"".join(chunks)
    assert np.diff(offsets).tolist() == [len(chunk) for chunk in chunks]
    assert data.size <= gorilla.encode_bound_bytes(columns.points, columns.runs)
    counts = np.diff(columns.offsets)
    back = gorilla.decode_chunks(pad(data.tobytes()), offsets[:-1], offsets[1:], counts, resolution)
    np.testing.assert_array_equal(back.offsets, columns.offsets)
    np.testing.assert_array_equal(back.timestamps, columns.timestamps)
    np.testing.assert_array_equal(back.values.view(np.uint64), columns.values.view(np.uint64))


@pytest.mark.parametrize("resolution", Resolution)
@pytest.mark.parametrize("size", [1, 2, 3, 40])
def test_the_bound_holds_for_the_worst_run(resolution, size):
    """Every timestamp escapes, every value opens a window of 64 bits."""
    timestamps = [(INT64_MIN, INT64_MAX, 5)[i % 3] for i in range(size)]
    value_bits = [(WORD - 1, 0)[i % 2] for i in range(size)]
    many = columns_of([(timestamps, value_bits)] * 50)

    data, _ = gorilla.encode_runs(many, resolution)

    assert data.tobytes() == reference.encode(timestamps, value_bits, resolution) * 50
    assert data.size <= gorilla.encode_bound_bytes(many.points, many.runs)


def sound(decode, *arguments):
    """The decoded points, or None for damage."""
    try:
        timestamps, values = decode(*arguments)
    except CorruptionError:
        return None
    if isinstance(values, np.ndarray):
        return timestamps.tolist(), values.view(np.uint64).tolist()
    return timestamps, values


@given(st.binary(max_size=60), st.integers(0, 30), resolutions)
@example(b"\x80" * 20, 2, Resolution.MS)  # a varint without end
@example(b"\x00" * 9 + b"\xff" * 9 + b"\x02" + b"\x00", 3, Resolution.MS)  # one that overflows
@example(b"\x00" * 10 + b"\xff\xff\xff\xff", 2, Resolution.MS)  # a window of more than 64 bits
def test_arbitrary_bytes_are_damage_or_exactly_that_many_points(data, count, resolution):
    points = sound(gorilla.decode, data, count, resolution)

    assert points == sound(reference.decode, data, count, resolution)
    assert points is None or len(points[0]) == len(points[1]) == count


@given(runs(), resolutions, st.data())
def test_a_damaged_chunk_is_damage_or_exactly_that_many_points(run, resolution, data):
    """Flipped bits, a cut, a longer tail: both decoders judge alike, neither fails otherwise."""
    chunk = bytearray(gorilla.encode(*arrays(*run), resolution))
    for _ in range(data.draw(st.integers(0, 3)) if chunk else 0):
        chunk[data.draw(st.integers(0, len(chunk) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    chunk = chunk[: data.draw(st.integers(0, len(chunk)))]
    chunk += data.draw(st.binary(max_size=3))
    count = len(run[0])

    points = sound(gorilla.decode, bytes(chunk), count, resolution)

    assert points == sound(reference.decode, bytes(chunk), count, resolution)
    assert points is None or len(points[0]) == len(points[1]) == count


@given(runs(), resolutions, st.integers(1, 20))
def test_a_cut_chunk_is_always_damage(run, resolution, cut):
    """Each byte of a chunk holds a bit of some point, so none can be missing unnoticed."""
    chunk = gorilla.encode(*arrays(*run), resolution)
    for data in (chunk[: max(len(chunk) - cut, 0)], chunk + b"\x00" * cut, chunk + b"\x01"):
        if data == chunk:
            continue
        with pytest.raises(CorruptionError):
            gorilla.decode(data, len(run[0]), resolution)
        with pytest.raises(CorruptionError):
            reference.decode(data, len(run[0]), resolution)


def test_damage_names_the_first_chunk_that_has_it():
    many = columns_of([([1, 2, 3], [1, 2, 3])] * 4)
    data, offsets = gorilla.encode_runs(many, Resolution.MS)
    counts = np.diff(many.offsets)
    counts[2:] = 2

    with pytest.raises(CorruptionError, match="goes on after its last point") as caught:
        gorilla.decode_chunks(pad(data.tobytes()), offsets[:-1], offsets[1:], counts, Resolution.MS)

    assert caught.value.path is None
    assert caught.value.offset_bytes == offsets[2]


def test_an_absurd_count_asks_for_no_memory():
    """A count comes from elsewhere on disk: 2^61 points must be damage, not a MemoryError."""
    chunk = gorilla.encode(*arrays([1, 2, 3], [1, 2, 3]), Resolution.MS)

    with pytest.raises(CorruptionError, match="ends before its last point"):
        gorilla.decode(chunk, 1 << 61, Resolution.MS)


def test_a_constant_series_costs_two_bits_a_point():
    """The claim of the paper for a regular series that does not move (section 4.1)."""
    timestamps = 1_700_000_000_000 + 15_000 * np.arange(4_002)
    values = np.full(4_002, 36.6)

    chunk = gorilla.encode(timestamps, values, Resolution.MS)

    first_two = gorilla.encode(timestamps[:2], values[:2], Resolution.MS)
    assert len(chunk) == len(first_two) + 4_000 * 2 // 8
