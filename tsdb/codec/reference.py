"""The Gorilla chunk, said slowly: the specification, the oracle of the tests, a second decoder.

    in   timestamps (int64) and value bit patterns (uint64) as Python ints, any order, any pattern
    out  bytes of one chunk, docs/format/chunk.md; and back

Follows Pelkonen et al., "Gorilla: A Fast, Scalable, In-Memory Time Series Database", VLDB 2015,
section 4.1, and names each departure:

    4.1.1  The paper's block header holds a start aligned to two hours, and the first delta takes
           14 bits. Our runs start and end anywhere, so point 0 is a zigzag varint and the first
           delta an unsigned varint, as in a Prometheus XOR chunk.
    4.1.1  The paper's widths are 7, 9, 12 and 32 bits (resolution s); ms, us and ns have wider
           ones. The paper's ranges, [-63, 64] for 7 bits, are kept: see `fits`.
    4.1.1  32 bits cannot hold every delta of deltas; the one pattern of theirs that is not worth
           a code, 2^31, announces 64 raw bits. The wider last buckets hold everything.
    4.1.2  Six bits cannot say 64 significant bits: 0 says it. Five bits cap leading zeros at 31.

Slow on purpose (about 5 µs a point): `fields` says what is written and why, nothing else. It
imports no kernel, so a miscompiled kernel cannot agree with it by accident.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence

from bitarray import bitarray
from bitarray.util import ba2int, int2ba

from tsdb.codec.resolution import Resolution
from tsdb.errors import CorruptionError

__all__ = ["Code", "decode", "encode", "fields"]

WORD = 1 << 64
ESCAPE = 1 << 31


class Code(enum.IntEnum):
    """What a stretch of bits says. Four of a timestamp's codes carry a payload (section 4.1.1)."""

    FIRST_TIMESTAMP = 0
    FIRST_DELTA = 1
    DOD_0 = 2
    DOD_10 = 3
    DOD_110 = 4
    DOD_1110 = 5
    DOD_1111 = 6
    DOD_ESCAPE = 7
    FIRST_VALUE = 8
    XOR_0 = 9
    XOR_10 = 10
    XOR_11 = 11
    PADDING = 12


DOD_PREFIXES = {
    Code.DOD_10: "10",
    Code.DOD_110: "110",
    Code.DOD_1110: "1110",
    Code.DOD_1111: "1111",
}


def signed(word: int) -> int:
    """The int64 with the bits of `word`, taken modulo 2^64."""
    return (word + WORD // 2) % WORD - WORD // 2


def fits(dod: int, width: int) -> bool:
    """The ranges of the paper, [-63, 64] for 7 bits: one more above zero than below."""
    half = 1 << (width - 1)
    return width == 64 or -(half - 1) <= dod <= half


def uvarint(value: int) -> bitarray:
    """LEB128: seven bits a byte, lowest first, the top bit says that more follow."""
    out = bitarray()
    while value >= 128:
        out += int2ba(value % 128 + 128, 8)
        value //= 128
    return out + int2ba(value, 8)


def dod_field(dod: int, resolution: Resolution) -> tuple[Code, bitarray]:
    """Section 4.1.1: the code of one delta of deltas."""
    if dod == 0:
        return Code.DOD_0, bitarray("0")
    for (code, prefix), width in zip(DOD_PREFIXES.items(), resolution.widths, strict=True):
        escapes = resolution is Resolution.S and dod == ESCAPE
        if fits(dod, width) and not escapes:
            return code, bitarray(prefix) + int2ba(dod % 2**width, width)
    return Code.DOD_ESCAPE, bitarray("1111") + int2ba(ESCAPE, 32) + int2ba(dod % WORD, 64)


def fields(
    timestamps: Sequence[int], value_bits: Sequence[int], resolution: Resolution
) -> Iterator[tuple[Code, bitarray]]:
    """Every stretch of bits of one chunk, in order, with what it says."""
    assert len(timestamps) == len(value_bits)
    size = 0
    delta = 0
    window: tuple[int, int] | None = None  # leading and trailing zeros of the last new window
    for i, (timestamp, bits) in enumerate(zip(timestamps, value_bits, strict=True)):
        if i == 0:
            zigzag = 2 * timestamp if timestamp >= 0 else -2 * timestamp - 1
            field = Code.FIRST_TIMESTAMP, uvarint(zigzag)
        elif i == 1:
            delta = signed(timestamp - timestamps[0])
            field = Code.FIRST_DELTA, uvarint(delta % WORD)
        else:
            delta_before, delta = delta, signed(timestamp - timestamps[i - 1])
            field = dod_field(signed(delta - delta_before), resolution)
        yield field
        size += len(field[1])

        if i == 0:
            field = Code.FIRST_VALUE, int2ba(bits, 64)
        else:
            code, xor_bits, window = xor_field(bits ^ value_bits[i - 1], window)
            field = code, xor_bits
        yield field
        size += len(field[1])
    if size % 8:
        yield Code.PADDING, bitarray("0") * (8 - size % 8)


def xor_field(
    xor: int, window: tuple[int, int] | None
) -> tuple[Code, bitarray, tuple[int, int] | None]:
    """Section 4.1.2: the code of one value, and the window it leaves behind."""
    if xor == 0:
        return Code.XOR_0, bitarray("0"), window
    leading = min(64 - xor.bit_length(), 31)
    trailing = (xor & -xor).bit_length() - 1
    if window and leading >= window[0] and trailing >= window[1]:
        leading, trailing = window
        size = 64 - leading - trailing
        return Code.XOR_10, bitarray("10") + int2ba(xor >> trailing, size), window
    size = 64 - leading - trailing
    header = bitarray("11") + int2ba(leading, 5) + int2ba(size % 64, 6)
    return Code.XOR_11, header + int2ba(xor >> trailing, size), (leading, trailing)


def encode(timestamps: Sequence[int], value_bits: Sequence[int], resolution: Resolution) -> bytes:
    """One chunk of all points; no points give no bytes."""
    chunk = bitarray()
    for _, bits in fields(timestamps, value_bits, resolution):
        chunk += bits
    return chunk.tobytes()


class _Reader:
    """Bits of one chunk, taken from the front."""

    def __init__(self, data: bytes) -> None:
        self.bits = bitarray()
        self.bits.frombytes(data)
        self.at = 0

    def corrupt(self, reason: str) -> CorruptionError:
        return CorruptionError(None, self.at // 8, reason)

    def take(self, size: int) -> int:
        if self.at + size > len(self.bits):
            raise self.corrupt("chunk ends before its last point")
        self.at += size
        return ba2int(self.bits[self.at - size : self.at])

    def uvarint(self) -> int:
        value = 0
        for i in range(10):
            byte = self.take(8)
            value += byte % 128 << 7 * i
            if byte < 128:
                if value >= WORD:
                    break
                return value
        raise self.corrupt("chunk starts with a broken varint")

    def dod(self, resolution: Resolution) -> int:
        """Section 4.1.1 read back."""
        ones = 0
        while ones < 4 and self.take(1):
            ones += 1
        if ones == 0:
            return 0
        width = resolution.widths[ones - 1]
        field = self.take(width)
        if resolution is Resolution.S and ones == 4 and field == ESCAPE:
            return signed(self.take(64))
        return field if fits(field, width) else field - 2**width

    def xor(self, window: tuple[int, int]) -> tuple[int, tuple[int, int]]:
        """Section 4.1.2 read back."""
        if not self.take(1):
            return 0, window
        if self.take(1):
            leading = self.take(5)
            size = self.take(6) or 64
            if leading + size > 64:
                raise self.corrupt("chunk has a value window wider than 64 bits")
            window = leading, 64 - leading - size
        leading, trailing = window
        return self.take(64 - leading - trailing) << trailing, window

    def finish(self) -> None:
        rest = self.bits[self.at :]
        if len(rest) >= 8 or rest.any():
            raise self.corrupt("chunk goes on after its last point")


def decode(data: bytes, count: int, resolution: Resolution) -> tuple[list[int], list[int]]:
    """Timestamps and value bits; CorruptionError when `data` is not exactly `count` points."""
    reader = _Reader(data)
    timestamps: list[int] = []
    value_bits: list[int] = []
    delta = 0
    window = (0, 0)  # before the first new window: the whole word. No encoder uses it.
    for i in range(count):
        if i == 0:
            zigzag = reader.uvarint()
            timestamps.append(-(zigzag + 1) // 2 if zigzag % 2 else zigzag // 2)
            value_bits.append(reader.take(64))
            continue
        delta = reader.uvarint() if i == 1 else delta + reader.dod(resolution)
        timestamps.append(signed(timestamps[-1] + delta))
        xor, window = reader.xor(window)
        value_bits.append(value_bits[-1] ^ xor)
    reader.finish()
    return timestamps, value_bits
