"""tsdb.codec.reference: the paper's format, byte for byte what earlier versions wrote.

What holds for both encoders alike is in test_gorilla.py; here is what pins the format itself:
bytes written down, one chunk worked out by hand, and a decoder that shares nothing with ours.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsdb.codec import gorilla, reference
from tsdb.codec.reference import Code
from tsdb.codec.resolution import Resolution

VALUE_BITS = [
    0x4028000000000000,  # 12.0, 24.0, 15.0, 15.0, 12.0: the example of section 4.1.2
    0x4038000000000000,
    0x402E000000000000,
    0x402E000000000000,
    0x4028000000000000,
    0x7FF0000000000002,  # a stale marker, -0.0, the smallest denormal, -Inf, a NaN
    0x8000000000000000,
    0x0000000000000001,
    0xFFF0000000000000,
    0x7FF8000000000001,
]

# Deltas of deltas that visit every code of their resolution: 0, the ends of each width, 2^31
# (which resolution s cannot say in 32 bits), -2^63; and the chunk of those points.
GOLDEN = {
    Resolution.S: (
        [0, 64, -64, -256, 2048, -2048, 2147483648, -9223372036854775808],
        "09402800000000000085e2cfaa06d60dac4ba037023ef00c5effb0000000000007a00307fffe0000"
        "000000007fffffe0030010000000000000003f0000000000000001000000017ff8000000000000fc"
        "0000000400000000000000050010000000000002",
    ),
    Resolution.MS: (
        [0, 8192, -8192, -65536, 524288, -524288, 2147483648, -9223372036854775808],
        "09402800000000000085e2cfaa06d60dac4ba0006f00047de00018bdff6000000000000f4000060f"
        "fffc000000000000ffffffffffffc000060020000000000000007c0000000200000002fff0000000"
        "000001f8000000000000000a0020000000000004",
    ),
    Resolution.US: (
        [0, 4096, -4096, -131072, 33554432, -33554432, 2147483648, -9223372036854775808],
        "09402800000000000085e2cfaa06d60dac4ba000df80047dff000062f7fd8000000000003d000000"
        "60ffffc000000000000fffffffffff00000060020000000000000007c0000000200000002fff0000"
        "000000001f8000000000000000a00200000000000040",
    ),
    Resolution.NS: (
        [0, 65536, -65536, -16777216, 34359738368, -34359738368, 2147483648, -9223372036854775808],
        "09402800000000000085e2cfaa06d60dac4ba0000dff00008fbffc00000317bfec000000000001e8"
        "00000000c1ffff8000000000001ffffffff800000000c004000000000000000f0400000005ffe000"
        "0000000003f000000000000000140040000000000008",
    ),
}


def golden_run(resolution):
    dods, chunk = GOLDEN[resolution]
    timestamps = [-5, 1_700_000_000]
    delta = timestamps[1] - timestamps[0]
    for dod in dods:
        delta = reference.signed(delta + dod)
        timestamps.append(reference.signed(timestamps[-1] + delta))
    return timestamps, bytes.fromhex(chunk)


@pytest.mark.parametrize("resolution", Resolution)
def test_chunks_written_by_earlier_versions_read_the_same(resolution):
    """If this fails, do not change the bytes: stored blocks hold them. Add a codec id."""
    timestamps, chunk = golden_run(resolution)

    assert reference.encode(timestamps, VALUE_BITS, resolution) == chunk
    assert reference.decode(chunk, len(timestamps), resolution) == (timestamps, VALUE_BITS)
    back = gorilla.decode(chunk, len(timestamps), resolution)
    assert back[0].tolist() == timestamps
    assert back[1].view(np.uint64).tolist() == VALUE_BITS


@pytest.mark.parametrize("resolution", Resolution)
def test_the_golden_runs_visit_every_code(resolution):
    timestamps, _ = golden_run(resolution)
    visited = {code for code, _ in reference.fields(timestamps, VALUE_BITS, resolution)}

    unused = set() if resolution is Resolution.S else {Code.DOD_ESCAPE}
    assert visited | {Code.PADDING} == set(Code) - unused


def test_one_chunk_worked_out_by_hand():
    """Section 4.1 on five points, in seconds: 12 at 0, 24 at 10, 24 at 20, 15 at 33, 12 at 40."""
    stream = "".join(
        [
            "00000000",  # t0 = 0, zigzag varint
            "0100000000101000" + "0" * 48,  # 12.0 = 0x4028...
            "00001010",  # delta 10, varint
            "11" + "01011" + "000001" + "1",  # 24 ^ 12 = 0x0010...: 11 leading zeros, one bit
            "0",  # delta 10 again
            "0",  # 24 again
            "10" + "0000011",  # delta 13: dod 3 in 7 bits
            "11" + "01011" + "000100" + "1011",  # 15 ^ 24 = 0x0016...: trailing zeros 49 < 52
            "10" + "1111010",  # delta 7: dod -6
            "10" + "0011",  # 12 ^ 15 = 0x0006... lies in the window of the last one
        ]
    )
    padded = stream + "0" * (-len(stream) % 8)
    timestamps = [0, 10, 20, 33, 40]
    value_bits = np.array([12, 24, 24, 15, 12], np.float64).view(np.uint64).tolist()

    chunk = reference.encode(timestamps, value_bits, Resolution.S)

    assert chunk == int(padded, 2).to_bytes(len(padded) // 8, "big")
    assert gorilla.decode(chunk, 5, Resolution.S)[1].tolist() == [12, 24, 24, 15, 12]


def read_prometheus_chunk(data):
    """Prometheus' XOR chunk, from its description, on text of zeros and ones.

    tsdb/docs/format/chunks.md there: u16 count, varint t0, v0, uvarint delta and xor of point 1,
    then a delta of deltas and a xor a point, with 14, 17, 20 or 64 bits.
    """
    bits = "".join(f"{byte:08b}" for byte in data)

    def take(n):
        nonlocal bits
        head, bits = bits[:n], bits[n:]
        assert len(head) == n
        return head

    def uvarint():
        groups = []
        while not groups or groups[-1][0] == "1":
            groups.append(take(8))
        return int("".join(group[1:] for group in reversed(groups)), 2)

    def xor():
        nonlocal leading, significant
        if take(1) == "0":
            return 0
        if take(1) == "1":
            leading, significant = int(take(5), 2), int(take(6), 2) or 64
        return int(take(significant), 2) << (64 - leading - significant)

    def delta_of_deltas():
        for size in (0, 14, 17, 20):
            if take(1) == "0":
                x = int(take(size) or "0", 2)
                return x - (1 << size) if size and x > 1 << (size - 1) else x
        return int(take(64), 2)

    leading = significant = 0
    count, zigzag = int(take(16), 2), uvarint()
    t, v, delta = (zigzag >> 1) ^ -(zigzag & 1), int(take(64), 2), 0
    points = [(t, v)]
    for i in range(1, count):
        delta = uvarint() if i == 1 else delta + delta_of_deltas()
        t, v = reference.signed(t + delta), v ^ xor()
        points.append((t, v))
    assert len(bits) < 8
    assert "1" not in bits
    return points


@given(
    st.lists(
        st.tuples(
            st.integers(-(2**63), 2**63 - 1) | st.integers(0, 2**18) | st.integers(0, 20),
            st.integers(0, 2**64 - 1) | st.integers(0, 64).map(lambda k: k << 52),
        ),
        min_size=1,
        max_size=20,
    )
)
def test_a_chunk_of_ms_is_a_prometheus_chunk_without_its_count(points):
    """Remote read may hand our chunks out as they are; rot here is seen by nobody else."""
    chunk = reference.encode([t for t, _ in points], [v for _, v in points], Resolution.MS)

    assert read_prometheus_chunk(len(points).to_bytes(2, "big") + chunk) == points


def test_the_golden_ms_chunk_is_a_prometheus_chunk():
    timestamps, chunk = golden_run(Resolution.MS)

    points = read_prometheus_chunk(len(timestamps).to_bytes(2, "big") + chunk)

    assert points == list(zip(timestamps, VALUE_BITS, strict=True))
