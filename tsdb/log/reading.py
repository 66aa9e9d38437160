"""Reading entries back out of segments, beside the thread that appends.

    in   segments as they were published (tsdb/log/segment.py)
    out  entries in order, split payloads joined

Every record is checked again: the disk may have changed since the log was opened. What fails
here is damage found late and raises CorruptionError with its place; the next opening of the
log turns it into a named hole. Memory: one read (1 MiB) plus the entry in hand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

from tsdb.errors import CorruptionError
from tsdb.limits import ENTRY_PARTS_MAX
from tsdb.log.protocol import Entry, Kind
from tsdb.log.record import Found, Walk, is_entry
from tsdb.log.segment import Segment
from tsdb.vfs import File, Files

_READ_TRIES = 3
_SECTOR_BYTES = 4096
_KINDS = {int(kind): kind for kind in Kind}


class PatientFile:
    """Reads again what failed; gives up on single sectors, which then read as 0xFF.

    0xFF and not 0, so that a sector that cannot be read never looks like unused space.
    `unreadable` says that this happened: the bytes may be fine once the disk is.
    """

    def __init__(self, file: File) -> None:
        self._file = file
        self.unreadable = False

    def pread(self, size: int, offset: int) -> bytes:
        data = self._attempt(size, offset)
        if data is not None:
            return data
        pieces = []
        size = min(size, max(self._file.size() - offset, 0))
        for start in range(offset, offset + size, _SECTOR_BYTES):
            part = min(_SECTOR_BYTES, offset + size - start)
            data = self._attempt(part, start)
            if data is None:
                self.unreadable = True
                data = b"\xff" * part
            pieces.append(data)
        return b"".join(pieces)

    def _attempt(self, size: int, offset: int) -> bytes | None:
        for _ in range(_READ_TRIES):
            try:
                return self._file.pread(size, offset)
            except OSError:
                continue
        return None


def read_records(
    files: Files,
    segments: Sequence[Segment],
    from_seq: int,
    *,
    is_current: Callable[[Path], bool] = lambda _path: True,
    wanted_seq: int = 1,
) -> Iterator[tuple[Path, Found]]:
    """Entries as they are framed, from the segment that holds `from_seq` on, with their file.

    Starts at the beginning of that segment's run, so entries before `from_seq` come too.
    A segment that `is_current` no longer knows was trimmed meanwhile. Before the first entry from
    `wanted_seq` on it is left out; after it the reading ends: to go on would show a gap that the
    log never had.
    """
    begun = False
    for segment in segments:
        if segment.last_seq < max(from_seq, segment.first_seq):
            continue
        try:
            file = files.open_read(segment.path)
        except FileNotFoundError:
            if is_current(segment.path):
                raise CorruptionError(segment.path, 0, "segment is gone") from None
            if begun:
                return
            continue
        with closing(file):
            for found in _read_segment(PatientFile(file), segment, from_seq):
                begun = begun or found[1] >= wanted_seq
                yield segment.path, found


def _read_segment(source: PatientFile, segment: Segment, from_seq: int) -> Iterator[Found]:
    for run in segment.runs:
        through = min(run.last_seq, segment.last_seq)
        if through < max(from_seq, run.first_seq):
            continue
        walk = Walk(source, run.offset, run.end, tag=segment.tag, through=through)
        walk.seq = run.first_seq - 1
        for found in walk:
            if is_entry(found[0]):
                yield found
        if walk.seq != through:
            raise CorruptionError(segment.path, walk.offset, walk.reason)


def read_entries(records: Iterator[tuple[Path, Found]], from_seq: int) -> Iterator[Entry]:
    """Join split payloads; leave out those that a crash cut off, and those before `from_seq`."""
    pieces: list[bytes] = []
    follows = (0, 0, 0)  # seq, part, parts of the next piece of the payload in hand
    for path, (number, seq, part, parts, payload) in records:
        kind = _KINDS.get(number)
        if kind is None:
            raise CorruptionError(path, 0, f"entry {seq} is of unknown kind {number}")
        if parts == 1:
            if seq >= from_seq:
                yield Entry(seq, kind, bytes(payload))
            continue
        if part == 0:
            pieces = []
        elif not pieces or (seq, part, parts) != follows:
            pieces = []
            continue
        pieces.append(bytes(payload))
        follows = (seq + 1, part + 1, parts)
        if part == parts - 1 and seq >= from_seq:
            yield Entry(seq, kind, b"".join(pieces), part, parts)


def first_record_for(from_seq: int) -> int:
    """Where to start reading so that a split payload that ends at `from_seq` is seen whole."""
    return max(from_seq - ENTRY_PARTS_MAX + 1, 1)


def check_of_entry(files: Files, segments: Sequence[Segment], seq: int) -> int:
    """The checksum that the record after entry `seq` must name; 0 if that entry is not here."""
    for segment in segments:
        for run in segment.runs:
            if not run.first_seq <= seq <= min(run.last_seq, segment.last_seq):
                continue
            if seq == run.last_seq:
                return run.entry_check
            with closing(files.open_read(segment.path)) as file:
                walk = Walk(PatientFile(file), run.offset, run.end, tag=segment.tag, through=seq)
                for _ in walk:
                    pass
                return walk.entry_check if walk.seq == seq else 0
    return 0
