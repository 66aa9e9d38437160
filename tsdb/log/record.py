"""One record of a log segment: 48 bytes of header, the payload, zeros up to the next multiple of 8.

    in   payloads to frame; files whose bytes may be anything
    out  buffers to write; the valid records of a file, in order, up to the first that is not

Integers are little-endian; docs/format/log.md is the reference, docs/decisions/0003-log-record.md
has the reasons. A record is believed only if all of this holds:

    check   xxh3_64 of the 40 bytes before it and of the payload: the bytes are as written
    tag     names this segment of this database: bytes of a deleted file, of another database,
            or planted by a user inside a payload are not taken for records
    seq     one more than the entry before (framing records repeat it): nothing is missing
    prev    the check of the record before: nothing was swapped for another valid record

`dseq` is the durable watermark: when the record was built, entries up to it were known to be
on disk. Recovery tells a torn write from damage by it (tsdb/log/recovery.py).

Price: 1.5 µs a record to scan in Python, plus 0.1 ns a byte to check.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, Protocol

from xxhash import xxh3_64, xxh3_64_intdigest

from tsdb.errors import LimitExceeded
from tsdb.limits import ENTRY_BYTES_MAX, ENTRY_PARTS_MAX
from tsdb.log.protocol import FRAMING, Kind
from tsdb.vfs import Buffer

MAGIC = b"SW"
VERSION = 1
HEADER_BYTES = 48
ALIGN_BYTES = 8
SEQ_MAX = (1 << 62) - 1
"""A billion entries a second for 146 years; more is damage that got past a checksum."""
ANY_SEQ = (1 << 64) - 1

READ_BYTES = 1 << 20
"""One read. Larger ones gain nothing; smaller ones pay for the call."""
_JOIN_BYTES = 2048
"""Up to here joining header and payload is cheaper than a streaming hash."""

_HEAD = struct.Struct("<2sBBIQQIHHQ")  # what `check` covers, before the payload
_CHECK = struct.Struct("<Q")
_HEADER = struct.Struct("<HBBIQQIHHQQ")
_MAGIC_INT = int.from_bytes(MAGIC, "little")
_TAG_OFFSET = 24
_PADDING = [bytes(count) for count in range(ALIGN_BYTES)]
# By the flags byte: how far the kind moves the seq. Codec bits (6 and 7) are reserved as 0.
_STEP = [0 if kind in FRAMING else 1 for kind in range(64)] + [-1] * 192
assert _HEAD.size + _CHECK.size == _HEADER.size == HEADER_BYTES

Framed = tuple[int, Buffer, int, int, int]
"""kind, payload, seq, part, parts."""
Found = tuple[int, int, int, int, Buffer]
"""kind, seq, part, parts, payload: as `Walk` yields it; a payload view lives until the next."""


class Source(Protocol):
    """What a walk reads from: a `vfs.File`, or one that knows how to answer read errors."""

    def pread(self, size: int, offset: int) -> bytes: ...


def segment_tag(database_id: bytes, segment: int, first_seq: int) -> int:
    """The 32 bits that every record of one segment of one database carries."""
    return xxh3_64_intdigest(database_id + struct.pack("<QQ", segment, first_seq)) & 0xFFFFFFFF


def record_bytes(payload_bytes: int) -> int:
    """Size of a record in the file, padding included."""
    return (HEADER_BYTES + payload_bytes + ALIGN_BYTES - 1) & -ALIGN_BYTES


def check_of(head: bytes, payload: Buffer) -> int:
    if len(payload) <= _JOIN_BYTES:
        return xxh3_64_intdigest(head + payload)
    digest = xxh3_64(head)
    digest.update(payload)
    return digest.intdigest()


def encode(records: Iterable[Framed], *, dseq: int, tag: int, prev: int) -> tuple[bytes, int, int]:
    """One buffer of all records; the check of the last, and of the last that is an entry.

    The third is `prev` when there is no entry among them.
    """
    pieces: list[Buffer] = []
    entry_check = prev
    for kind, payload, seq, part, parts in records:
        head = _HEAD.pack(MAGIC, VERSION, kind, len(payload), seq, dseq, tag, part, parts, prev)
        prev = check_of(head, payload)
        if _STEP[kind]:
            entry_check = prev
        pieces += (head, _CHECK.pack(prev), payload, _PADDING[-len(payload) % ALIGN_BYTES])
    return b"".join(pieces), prev, entry_check


def split(entries: Sequence[tuple[Kind, Buffer]], first_seq: int) -> list[Framed]:
    """Give payloads their seqs, and several to those larger than one record may be."""
    framed: list[Framed] = []
    seq = first_seq
    for kind, payload in entries:
        assert kind not in FRAMING, f"{kind.name} records are the log's own"
        data = _as_bytes(payload)
        size = len(data)
        if size <= ENTRY_BYTES_MAX:
            framed.append((kind, data, seq, 0, 1))
            seq += 1
            continue
        parts = -(-size // ENTRY_BYTES_MAX)
        if parts > ENTRY_PARTS_MAX:
            raise LimitExceeded(
                f"a payload of {size:,} bytes takes {parts} log entries",
                limit="ENTRY_PARTS_MAX",
                value=ENTRY_PARTS_MAX,
            )
        for part in range(parts):
            start = part * ENTRY_BYTES_MAX
            piece = data[start : start + ENTRY_BYTES_MAX]
            framed.append((kind, piece, seq, part, parts))
            seq += 1
    return framed


def _as_bytes(payload: Buffer) -> memoryview:
    """Any contiguous buffer as bytes, without a copy."""
    view = memoryview(payload)
    return view if view.itemsize == 1 and view.ndim == 1 else view.cast("B")


class Walk:
    """Iterates over consecutive valid records; afterwards says where it stopped, and why.

    `seq` and `check` are what the next record must follow: None where that is unknown (at the
    start, after damage). Stops before entries above `through`: those are `superseded`.
    """

    __slots__ = ("_end", "_source", "_tag", "_through", "check", "dseq", "entry_check", "offset",
                 "reason", "seq", "superseded")  # fmt: skip

    def __init__(
        self, source: Source, offset: int, end: int, *, tag: int, through: int = ANY_SEQ
    ) -> None:
        self._source, self._end = source, end
        self._tag, self._through = tag, through
        self.offset = offset
        self.seq: int | None = None
        self.check: int | None = None
        self.entry_check = 0
        self.dseq = 0
        self.superseded = False
        self.reason = ""

    def __iter__(self) -> Iterator[Found]:
        unpack, step_of = _HEADER.unpack_from, _STEP
        offset, tag, through = self.offset, self._tag, self._through
        base, data = offset, b""
        while True:
            at = offset - base
            if at + HEADER_BYTES > len(data):
                base, at, data = offset, 0, self._load(offset, READ_BYTES)
                if len(data) < HEADER_BYTES:
                    self.reason = "record is cut short" if data else "end of file"
                    return
            magic, version, flags, length, seq, dseq, mark, part, parts, prev, check = unpack(
                data, at
            )
            step = step_of[flags]
            if (
                mark != tag
                or magic != _MAGIC_INT
                or version != VERSION
                or length > ENTRY_BYTES_MAX
                or step < 0
                or dseq > seq
            ):
                self.reason = "no record header"
                return
            stop = at + HEADER_BYTES + length
            if stop > len(data):
                base, at, stop = offset, 0, HEADER_BYTES + length
                data = self._load(offset, max(READ_BYTES, stop))
                if len(data) < stop:
                    self.reason = "record is cut short"
                    return
            payload: Buffer
            if length <= _JOIN_BYTES:
                payload = data[at + HEADER_BYTES : stop]
            else:
                payload = memoryview(data)[at + HEADER_BYTES : stop]
            if check_of(data[at : at + _HEAD.size], payload) != check:
                self.reason = "checksum does not match"
                return
            if not self._follows(seq - step, prev):
                self.reason = "record does not follow the one before"
                return
            if seq > through:
                self.reason, self.superseded = "superseded", True
                return
            offset += (stop - at + ALIGN_BYTES - 1) & -ALIGN_BYTES
            self.offset, self.seq, self.check = offset, seq, check
            self.dseq = dseq  # never falls within a segment
            if step:
                self.entry_check = check
            yield flags, seq, part, parts, payload

    def _follows(self, seq_before: int, prev: int) -> bool:
        return (self.seq is None or seq_before == self.seq) and (
            self.check is None or prev == self.check
        )

    def _load(self, offset: int, size: int) -> bytes:
        return self._source.pread(min(size, max(self._end - offset, 0)), offset)


class Peeked(NamedTuple):
    """A record of any version and segment: what its header claims, once its check holds."""

    version: int
    kind: int
    prev: int
    payload: bytes


def peek(data: bytes) -> Peeked | None:
    """The record at the start of `data`, unless damaged. Only a segment header may be read so."""
    if len(data) < HEADER_BYTES:
        return None
    magic, version, kind, length, _, _, _, _, _, prev, check = _HEADER.unpack_from(data)
    payload = data[HEADER_BYTES : HEADER_BYTES + length]
    if magic != _MAGIC_INT or len(payload) != length:
        return None
    return Peeked(version, kind, prev, payload) if check_of(data[:40], payload) == check else None


def find_record(source: Source, offset: int, end: int, *, tag: int, after_seq: int) -> int | None:
    """Where the next valid record starts, at or after `offset`, that is none of the past.

    `after_seq` is the last entry known: entries must be newer, framing records may repeat it.
    A candidate must hold the tag, which random and hostile bytes do not know, so few are tried.
    """
    wanted = tag.to_bytes(4, "little")
    offset = (offset + ALIGN_BYTES - 1) & -ALIGN_BYTES
    while offset + HEADER_BYTES <= end:
        data = source.pread(min(READ_BYTES, end - offset), offset)
        found = data.find(wanted, _TAG_OFFSET)
        while found >= 0:
            place = offset + found - _TAG_OFFSET
            if place % ALIGN_BYTES == 0 and _follows(source, place, end, tag, after_seq):
                return place
            found = data.find(wanted, found + 1)
        if len(data) < HEADER_BYTES:
            return None
        # Keep a header's worth, so that one lying across two reads is seen whole.
        offset += max(len(data) - HEADER_BYTES, ALIGN_BYTES) & -ALIGN_BYTES
    return None


def _follows(source: Source, offset: int, end: int, tag: int, after_seq: int) -> bool:
    for kind, seq, *_ in Walk(source, offset, end, tag=tag):
        return after_seq + _STEP[kind] <= seq < SEQ_MAX
    return False


def is_entry(kind: int) -> bool:
    return kind not in FRAMING


def is_zero(source: Source, offset: int, end: int) -> bool:
    """Whether nothing but zeros is there: preallocated space that was never written."""
    return last_nonzero(source, offset, end) == offset


def last_nonzero(source: Source, offset: int, end: int) -> int:
    """End of the bytes in [offset, end) that are not the trailing zeros; `offset` if all are."""
    last = offset
    while offset < end:
        data = source.pread(min(READ_BYTES, end - offset), offset)
        if not data:
            break
        if data != bytes(len(data)):
            last = offset + len(data.rstrip(b"\0"))
        offset += len(data)
    return last


assert all(kind < 64 for kind in Kind), "flags keep two bits for a codec"
