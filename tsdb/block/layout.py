"""Every name, magic number and byte layout of a block on disk; docs/format/block.md explains them.

    in   BlockMeta
    out  header bytes; and back, or NewerFormat, or CorruptionError

A block is the folder `blocks/<name>` with two files:

    chunks   encoded runs back to back, ordered by (ref, time), then CHUNKS_TAIL_BYTES zeros
    index    header, section table, sections, second copies, table and header again

The name holds window, seqs, level and depth: no clock, no random, so a flush repeated after a
crash makes the same name. Times are written with 2^63 added, so names sort as times do.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from pathlib import PurePath

import numpy as np
import xxhash

from tsdb import limits
from tsdb.codec.resolution import Resolution
from tsdb.errors import CorruptionError, NewerFormat

INDEX, CHUNKS = "index", "chunks"
MAGIC = b"SBKBLOCK"
VERSION = 1
SECTION_ALIGN_BYTES = 64
CHUNK_BYTES_MIN = 9  # one of timestamp, eight of value
CHUNKS_TAIL_BYTES = 16
"""Zeros behind the last chunk: decoders may read (never interpret) that far past an end."""

HEADER = np.dtype(
    [
        ("magic", "S8"),
        ("version", "<u2"),
        ("sections", "<u2"),  # entries of the section table
        ("resolution", "u1"),  # Resolution.codec_id
        ("codec", "u1"),  # codec of every chunk; 0 is reserved for "a section says it per chunk"
        ("level", "u1"),
        ("reserved_0", "u1"),
        ("database_id", "V16"),
        ("window_start", "<i8"),
        ("window_end", "<i8"),
        ("seq_lo", "<u8"),
        ("seq_hi", "<u8"),
        ("deletes_seq", "<u8"),
        ("min_ts", "<i8"),
        ("max_ts", "<i8"),
        ("points", "<u8"),
        ("series", "<u8"),
        ("chunks", "<u8"),
        ("chunk_bytes", "<u8"),
        ("index_bytes", "<u8"),
        ("ref_min", "<u4"),
        ("ref_max", "<u4"),
        ("depth", "<u4"),
        ("stripe_bytes", "<u4"),  # of the chunks file; the last stripe may be shorter
        ("siblings", "<u4"),  # blocks of the flush that made this one; 1 for a merge
        ("reserved_1", "V28"),
        ("table_check", "<u8"),  # xxh3_64 of the section table
        ("header_check", "<u8"),  # xxh3_64 of the bytes before; same place in every version
    ]
)
HEADER_BYTES = 192
assert HEADER.itemsize == HEADER_BYTES
assert HEADER.fields is not None
assert HEADER.fields["header_check"][1] == HEADER_BYTES - 8

SECTION = np.dtype(
    [
        ("kind", "<u2"),  # Kind
        ("form", "u1"),  # Form
        ("width", "u1"),  # bytes of a stored number: 0, 1, 2, 4, 8
        ("reserved_0", "<u4"),
        ("count", "<u8"),  # numbers in the section once decoded
        ("base", "<u8"),  # added to each stored number, modulo 2^64
        ("first", "<u8"),  # Form.DELTA: the number before the first difference
        ("offset", "<u8"),  # in the index file, a multiple of SECTION_ALIGN_BYTES
        ("bytes", "<u8"),
        ("check", "<u8"),  # xxh3_64 of those bytes
        ("reserved_1", "<u8"),
    ]
)
SECTION_BYTES = 64
assert SECTION.itemsize == SECTION_BYTES
assert HEADER_BYTES % SECTION_ALIGN_BYTES == SECTION_BYTES % SECTION_ALIGN_BYTES == 0


class Kind(enum.IntEnum):
    """What a section holds: one number a series, a chunk or a stripe."""

    REFS = 1  # series: ref, ascending
    SERIES_CHUNKS = 2  # series: its chunks, which lie side by side
    MIN_TS = 3  # chunk: first timestamp
    SPAN_TS = 4  # chunk: last - first timestamp
    COUNT = 5  # chunk: points
    BYTES = 6  # chunk: encoded bytes
    STRIPES = 7  # stripe of the chunks file: xxh3_64
    STALE = 8  # chunk: points that are stale markers
    MIN = 9  # chunk: of the values that are no stale markers, as float64 bits
    MAX = 10
    SUM = 11
    FIRST = 12
    LAST = 13


TWICE = (
    Kind.REFS,
    Kind.SERIES_CHUNKS,
    Kind.MIN_TS,
    Kind.SPAN_TS,
    Kind.COUNT,
    Kind.BYTES,
    Kind.STRIPES,
)
"""Without these no point of the block can be found, so they are stored twice: one flipped bit
in 1 % of the bytes must not cost the other 99 %."""
ONCE = (Kind.STALE, Kind.MIN, Kind.MAX, Kind.SUM, Kind.FIRST, Kind.LAST)
"""Pre-aggregates: derived, a reader can do without them. All of them are there or none."""
AGGREGATES_POINTS_MIN = 32
"""Points a chunk, on average, from which on pre-aggregates are kept: 15 bytes that save decoding
a handful of points cost more than they save (5 points a chunk: 3 of 12 bytes a point)."""


class Form(enum.IntEnum):
    """How the numbers of a section are stored."""

    OFFSET = 0  # number[i] = base + stored[i]
    DELTA = 1  # number[0] = first, number[i] = number[i - 1] + base + stored[i - 1]
    PLANES = 2  # as OFFSET, but byte 0 of all numbers, then byte 1 of all, ..., through zstd


@dataclass(frozen=True, slots=True)
class BlockMeta:
    """What a manifest knows of a block. Times in ticks; window and min/max are inclusive."""

    window_start: int
    window_end: int
    level: int  # of the window: it spans BLOCK_WINDOW_S * BLOCK_WINDOW_FACTOR ** level
    seq_lo: int
    seq_hi: int
    depth: int  # merges between the log and this block; newer than everything it was made from
    deletes_seq: int  # deletes up to this seq were carried out when it was merged; 0 for a flush
    min_ts: int
    max_ts: int
    points: int
    series: int
    chunks: int
    chunk_bytes: int  # size of the chunks file
    index_bytes: int  # size of the index file
    ref_min: int
    ref_max: int
    resolution: Resolution
    codec: int

    def __post_init__(self) -> None:
        assert self.window_start <= self.min_ts <= self.max_ts <= self.window_end
        assert 1 <= self.seq_lo <= self.seq_hi
        assert 1 <= self.series <= self.chunks <= self.points
        assert self.ref_min <= self.ref_max
        assert self.chunks * CHUNK_BYTES_MIN + CHUNKS_TAIL_BYTES <= self.chunk_bytes

    @property
    def name(self) -> str:
        """Name of its folder."""
        return block_name(self)

    @property
    def bytes(self) -> int:
        return self.chunk_bytes + self.index_bytes

    @property
    def deleted_through(self) -> int:
        """Deletes with a seq up to this one hide nothing in this block any more."""
        return max(self.seq_hi, self.deletes_seq)

    def overlaps(self, start: int, end: int) -> bool:
        """Whether it may hold points from start to end."""
        return self.min_ts <= end and start <= self.max_ts


@dataclass(frozen=True, slots=True)
class Maker:
    """What a block says of its making, for the day no manifest can be read."""

    database_id: bytes  # 16
    siblings: int  # blocks of the same flush, this one included

    def __post_init__(self) -> None:
        assert len(self.database_id) == 16
        assert self.siblings >= 1


_NAME = re.compile(r"([0-9a-f]{16})-([0-9a-f]{16})-(\d{20})-(\d{20})-L\d\d-\d{4,}")


def block_name(meta: BlockMeta) -> str:
    start, end = meta.window_start + (1 << 63), meta.window_end + (1 << 63)
    seqs = f"{meta.seq_lo:020d}-{meta.seq_hi:020d}"
    return f"{start:016x}-{end:016x}-{seqs}-L{meta.level:02d}-{meta.depth:04d}"


def parse_block_name(name: str) -> tuple[int, int, int, int] | None:
    """Window start and end, seq_lo, seq_hi; None for a name that no block has."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    start, end, seq_lo, seq_hi = match.groups()
    return int(start, 16) - (1 << 63), int(end, 16) - (1 << 63), int(seq_lo), int(seq_hi)


def check_of(data: bytes | memoryview) -> int:
    """The checksum of all files of a block: xxh3_64."""
    return xxhash.xxh3_64_intdigest(data)


def encode_header(meta: BlockMeta, maker: Maker, table: bytes) -> bytes:
    """HEADER_BYTES that describe the block and vouch for `table`."""
    assert len(table) % SECTION_BYTES == 0
    header = np.zeros((), HEADER)
    header["magic"], header["version"] = MAGIC, VERSION
    header["sections"] = len(table) // SECTION_BYTES
    header["database_id"] = np.void(maker.database_id)
    header["siblings"] = maker.siblings
    header["table_check"] = check_of(table)
    for name in _META_FIELDS:
        header[name] = getattr(meta, name)
    header["resolution"] = meta.resolution.codec_id
    header["stripe_bytes"] = limits.STRIPE_BYTES
    header["header_check"] = check_of(header.tobytes()[:-8])
    return header.tobytes()


_META_FIELDS = [
    "window_start", "window_end", "level", "seq_lo", "seq_hi", "depth", "deletes_seq", "min_ts",
    "max_ts", "points", "series", "chunks", "chunk_bytes", "index_bytes", "ref_min", "ref_max",
    "codec",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Header:
    """A header that was read and holds what it must."""

    meta: BlockMeta
    maker: Maker
    sections: int
    stripe_bytes: int
    table_check: int

    @property
    def table_bytes(self) -> int:
        return self.sections * SECTION_BYTES

    def count(self, kind: int) -> int:
        """Numbers in a section of this kind."""
        if kind == Kind.STRIPES:
            return self.stripes
        return self.meta.series if kind in (Kind.REFS, Kind.SERIES_CHUNKS) else self.meta.chunks

    @property
    def stripes(self) -> int:
        return -(-self.meta.chunk_bytes // self.stripe_bytes)


def decode_header(data: bytes, path: PurePath | str | None, offset: int) -> Header:
    """The header at `offset` of `path`. NewerFormat only for one that is sound otherwise."""
    if len(data) != HEADER_BYTES:
        raise CorruptionError(path, offset, f"header ends after {len(data)} bytes")
    header = np.frombuffer(data, HEADER)[0]
    if header["magic"] != MAGIC:
        raise CorruptionError(path, offset, "not a block index: wrong magic")
    if int(header["header_check"]) != check_of(data[:-8]):
        raise CorruptionError(path, offset, "header checksum does not hold")
    if header["version"] > VERSION:
        raise NewerFormat(path or "block index", int(header["version"]), VERSION)
    resolution = Resolution.of_codec(int(header["resolution"]))
    if resolution is None or header["codec"] != resolution.codec_id or header["version"] < 1:
        raise CorruptionError(path, offset, "header names an unknown version or codec")
    if not 512 <= header["stripe_bytes"] <= 1 << 30:
        raise CorruptionError(path, offset, "header names an impossible stripe size")
    if header["siblings"] < 1:
        raise CorruptionError(path, offset, "header names no block of its flush")
    fields = {name: int(header[name]) for name in _META_FIELDS}
    try:
        meta = BlockMeta(resolution=resolution, **fields)
    except AssertionError as error:
        raise CorruptionError(path, offset, "header contradicts itself") from error
    return Header(
        meta,
        Maker(header["database_id"].tobytes(), int(header["siblings"])),
        int(header["sections"]),
        int(header["stripe_bytes"]),
        int(header["table_check"]),
    )
