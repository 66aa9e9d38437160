"""One file of the log: its name, its first and last record, and writing to it.

    in   records (tsdb/log/record.py)
    out  `wal/<segment, 10 digits>-<first seq, 20 digits>.log`

The name holds the first seq, so the extent of every segment is known before a byte is read: a
segment's entries end where the next one begins, whatever else its file holds. That one rule
makes retries safe. A torn tail, the rest of a write that met a full disk, entries copied to a
fresh file by recovery: all are superseded by the name of the next segment, nothing has to be
erased.

A segment gets its name only when its header (and the entries recovery put there) are on disk:
written under a temporary name, synced, renamed, folder synced. So a named segment without a
valid header is damage, never a crash. The header's layout is fixed for all versions.

A closed segment ends with a seal: record count and xxh3_128 of all before it, so that the next
start checks it at the speed of memory instead of record by record.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, replace
from pathlib import Path

from xxhash import xxh3_128

from tsdb.errors import CorruptionError
from tsdb.limits import MIB
from tsdb.log import record
from tsdb.log.protocol import Kind
from tsdb.vfs import TEMPORARY, Buffer, File, Files, write_all

PREALLOCATE_BYTES = 4 * MIB
"""Zeros laid out ahead of the writes: fdatasync takes 280 µs on them, 430 µs where the file grows
with each write (ext4, p50)."""

_NAME = re.compile(r"(\d{10,19})-(\d{20})\.log")
_HEADER = struct.Struct("<16sQQQ")
_SEAL = struct.Struct("<QQ16s")
HEADER_RECORD_BYTES = record.record_bytes(_HEADER.size)
SEAL_RECORD_BYTES = record.record_bytes(_SEAL.size)


@dataclass(frozen=True, slots=True)
class Header:
    """Payload of a segment's first record. `epoch` counts the openings of the log."""

    database_id: bytes
    segment: int
    first_seq: int
    epoch: int

    def encode(self) -> bytes:
        return _HEADER.pack(self.database_id, self.segment, self.first_seq, self.epoch)

    @staticmethod
    def decode(payload: Buffer) -> Header:
        if len(payload) != _HEADER.size:
            raise CorruptionError(None, 0, f"segment header of {len(payload)} bytes")
        return Header(*_HEADER.unpack(payload))


@dataclass(frozen=True, slots=True)
class Seal:
    """Payload of a segment's last record: what all bytes before it amount to."""

    records: int
    entry_check: int
    """`check` of the last entry at or before this seal: what the next segment's header follows."""
    digest: bytes

    def encode(self) -> bytes:
        return _SEAL.pack(self.records, self.entry_check, self.digest)

    @staticmethod
    def decode(payload: Buffer) -> Seal:
        if len(payload) != _SEAL.size:
            raise CorruptionError(None, 0, f"segment seal of {len(payload)} bytes")
        return Seal(*_SEAL.unpack(payload))


@dataclass(frozen=True, slots=True)
class Run:
    """Valid records without a gap, bytes `offset` to `end`; no entries if last < first."""

    offset: int
    end: int
    first_seq: int
    last_seq: int
    entry_check: int


@dataclass(frozen=True, slots=True)
class Segment:
    """What is known of one file: entries `first_seq` to `last_seq` are in `runs`, but for holes.

    Runs may hold entries above `last_seq`: those are superseded by the next segment.
    """

    number: int
    first_seq: int
    last_seq: int
    path: Path
    size_bytes: int
    tag: int
    runs: tuple[Run, ...]

    def clipped(self, last_seq: int) -> Segment:
        """Without what a newer segment supersedes."""
        return self if self.last_seq <= last_seq else replace(self, last_seq=last_seq)


def name_of(number: int, first_seq: int) -> str:
    return f"{number:010d}-{first_seq:020d}.log"


def parse_name(name: str) -> tuple[int, int] | None:
    """Number and first seq; None for files that are not ours."""
    match = _NAME.fullmatch(name)
    if match is None or max(int(match[1]), int(match[2])) > record.SEQ_MAX:
        return None
    return int(match[1]), int(match[2])


def is_leftover(name: str) -> bool:
    """A segment that never got its name: it holds nothing that is needed."""
    return name.endswith(TEMPORARY) and parse_name(name.removesuffix(TEMPORARY)) is not None


class SegmentWriter:
    """The one segment that grows. Raises OSError as the file does; the caller decides.

    After an error the writer is given up (`abandon`): nothing is ever written over or truncated
    back, since that could fail too.
    """

    def __init__(self, file: File, path: Path, header: Header, allocate_bytes: int) -> None:
        self.path, self.number, self.first_seq = path, header.segment, header.first_seq
        self.tag = record.segment_tag(header.database_id, header.segment, header.first_seq)
        self.end = 0
        self.last_seq = header.first_seq - 1
        self.check = self.entry_check = 0
        self._file = file
        self._records = 0
        self._digest = xxh3_128()
        self._allocated, self._allocate_bytes = 0, allocate_bytes

    @classmethod
    def create(
        cls, files: Files, directory: Path, header: Header, *, dseq: int, prev: int, step: int
    ) -> SegmentWriter:
        """A new file under its temporary name; `publish` makes it part of the log."""
        path = directory / name_of(header.segment, header.first_seq)
        temporary = path.with_name(path.name + TEMPORARY)
        if files.exists(temporary):
            files.unlink(temporary)
        writer = cls(files.create(temporary), path, header, step)
        writer.entry_check = writer.check = prev
        try:
            writer._frame(Kind.SEGMENT, header.encode(), dseq)
        except OSError:
            writer.abandon()
            raise
        return writer

    def publish(self, files: Files) -> None:
        """Durable, then named, then the name durable."""
        self._file.sync()
        files.rename(self.path.with_name(self.path.name + TEMPORARY), self.path)
        files.sync_dir(self.path.parent)

    def append(self, entries: list[record.Framed], dseq: int) -> None:
        """Entries with the seqs that follow; in the file, but not yet durable."""
        data, check, entry_check = record.encode(entries, dseq=dseq, tag=self.tag, prev=self.check)
        self._write(data, len(entries))
        self.check, self.entry_check, self.last_seq = check, entry_check, entries[-1][2]

    def mark(self, dseq: int) -> None:
        self._frame(Kind.MARK, b"", dseq)

    def datasync(self) -> None:
        self._file.datasync()

    def seal(self) -> None:
        """Write the last record, cut off what was laid out ahead, sync and close.

        Only after `datasync`: the seal says that all entries are durable.
        """
        seal = Seal(self._records, self.entry_check, self._digest.digest())
        self._frame(Kind.SEAL, seal.encode(), self.last_seq)
        self._file.truncate(self.end)
        self._file.sync()
        self._file.close()

    def abandon(self) -> None:
        self._file.close()

    def discard(self, files: Files) -> None:
        """Undo `create`, as far as the disk lets us."""
        self._file.close()
        files.unlink(self.path.with_name(self.path.name + TEMPORARY))

    def segment(self) -> Segment:
        run = Run(0, self.end, self.first_seq, self.last_seq, self.entry_check)
        return Segment(
            self.number, self.first_seq, self.last_seq, self.path, self.end, self.tag, (run,)
        )

    def _frame(self, kind: Kind, payload: bytes, dseq: int) -> None:
        data, self.check, _ = record.encode(
            [(kind, payload, self.last_seq, 0, 1)], dseq=dseq, tag=self.tag, prev=self.check
        )
        self._write(data, 1)

    def _write(self, data: bytes, records: int) -> None:
        if self.end + len(data) > self._allocated:
            size = max(self._allocate_bytes, self.end + len(data) - self._allocated)
            self._file.allocate(self._allocated, size)
            self._allocated += size
        write_all(self._file, data, self.end)
        self._digest.update(data)
        self.end += len(data)
        self._records += records
