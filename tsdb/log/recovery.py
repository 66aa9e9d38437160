"""What a directory of segments holds after a crash, and what of it is damage.

    in   segment files whose bytes may be anything
    out  `Recovered`: the entries that count, the holes among them, the bytes that were torn

Reads only. `tsdb.log.wal` acts on the answer, so recovery that is itself cut off, any number of
times, starts again from the same files.

The tail rule. Let D be the highest durable watermark in any valid record of the log. Entries
up to D were on disk before something later was written, so a gap among them is damage: it is
named (`Hole`) and everything valid around it is kept. Beyond D nothing is known to have been
durable, so the log is a prefix there: at the first gap it ends, and what follows is a torn
write. Truncating at the first bad record, as most logs do, would answer damage in the middle
of a log by throwing away everything after it. Bytes that cannot be read at all are named too.

What this cannot see: damage of the very last append, before a mark or a later append has
recorded that it was durable, looks like a torn write.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from xxhash import xxh3_128

from tsdb.errors import CorruptionError, NewerFormat
from tsdb.log import record
from tsdb.log.protocol import Hole, Kind
from tsdb.log.reading import PatientFile
from tsdb.log.record import ANY_SEQ, READ_BYTES, Walk, find_record
from tsdb.log.segment import (
    HEADER_RECORD_BYTES,
    SEAL_RECORD_BYTES,
    Header,
    Run,
    Seal,
    Segment,
    name_of,
    parse_name,
)
from tsdb.vfs import Files

Progress = Callable[[int, int], None]
"""Called with bytes checked and bytes to check."""


@dataclass(frozen=True, slots=True)
class Bad:
    """Bytes of one file that are no valid record; none at all where only the order is wrong."""

    path: Path
    offset: int
    end: int
    reason: str


@dataclass(slots=True)
class Recovered:
    """Entries of `segments` up to `last_seq` count; up to `durable_seq` they are surely on disk."""

    segments: list[Segment] = field(default_factory=list)
    last_seq: int = 0
    durable_seq: int = 0
    holes: list[Hole] = field(default_factory=list)
    torn: list[Bad] = field(default_factory=list)
    damaged: list[Bad] = field(default_factory=list)
    unreadable: set[Path] = field(default_factory=set)
    last_number: int = 0
    epoch: int = 0


@dataclass(slots=True)
class _Scan:
    """One segment as found; `parts` are runs and bad ranges in file order."""

    number: int
    first_seq: int
    through: int
    path: Path
    size: int
    parts: list[Run | Bad] = field(default_factory=list)
    dseq: int = 0
    tag: int = 0
    epoch: int = 0
    follows: int = 0
    unreadable: bool = False


def recover(
    files: Files,
    directory: Path,
    database_id: bytes,
    *,
    checkpoint_seq: int | None = None,
    on_progress: Progress | None = None,
) -> Recovered:
    """Read the log in `directory`. Raises NewerFormat, or CorruptionError for a foreign segment.

    Entries up to `checkpoint_seq` are kept elsewhere: gaps among them are no loss, and the log
    must begin there or before. None: the log may begin anywhere.
    """
    scans = _extents(files, directory)
    for scan in scans:
        _read_header(files, scan, database_id)
    done, total = 0, sum(scan.size for scan in scans)
    for scan in scans:
        scan.tag = record.segment_tag(database_id, scan.number, scan.first_seq)
        if max(checkpoint_seq or 0, scan.first_seq - 1) < scan.through:
            with closing(files.open_read(scan.path)) as file:
                source = PatientFile(file)
                if not _trust_seal(source, scan):
                    _walk(source, scan)
                scan.unreadable = source.unreadable
        done += scan.size
        if on_progress:
            on_progress(done, total)
    return _Verdict(scans, checkpoint_seq).result


def _extents(files: Files, directory: Path) -> list[_Scan]:
    """Segments, each with the seq through which it counts: up to where a later one begins."""
    names = sorted(found for found in map(parse_name, files.list(directory)) if found)
    scans: list[_Scan] = []
    through = ANY_SEQ
    for number, first_seq in reversed(names):
        path = directory / name_of(number, first_seq)
        with closing(files.open_read(path)) as file:
            scans.append(_Scan(number, first_seq, through, path, file.size()))
        through = min(through, first_seq - 1)
    return scans[::-1]


def _read_header(files: Files, scan: _Scan, database_id: bytes) -> None:
    """Refuse what is not ours to read; a damaged header is found again by the walk."""
    with closing(files.open_read(scan.path)) as file:
        peeked = record.peek(PatientFile(file).pread(HEADER_RECORD_BYTES, 0))
    if peeked is None or peeked.kind != Kind.SEGMENT:
        return
    if peeked.version > record.VERSION:
        raise NewerFormat(scan.path, peeked.version, record.VERSION)
    header = Header.decode(peeked.payload)
    if header.database_id != database_id:
        raise CorruptionError(
            scan.path,
            0,
            f"segment of database {header.database_id.hex()} among those of {database_id.hex()}: "
            "move it away",
        )
    scan.epoch, scan.follows = header.epoch, peeked.prev


def _trust_seal(source: PatientFile, scan: _Scan) -> bool:
    """Whether a valid seal vouches for the whole file: 5 GB/s instead of a walk."""
    start = scan.size - SEAL_RECORD_BYTES
    if start < HEADER_RECORD_BYTES or start % record.ALIGN_BYTES:
        return False
    walk = Walk(source, start, scan.size, tag=scan.tag)
    sealed = [Seal.decode(payload) for kind, *_, payload in walk if kind == Kind.SEAL]
    if not sealed or walk.seq is None or walk.seq > scan.through:
        return False
    digest = xxh3_128()
    for offset in range(0, start, READ_BYTES):
        digest.update(source.pread(min(READ_BYTES, start - offset), offset))
    if digest.digest() != sealed[0].digest:
        return False
    scan.parts = [Run(0, start, scan.first_seq, walk.seq, sealed[0].entry_check)]
    scan.dseq = walk.dseq
    return True


def _walk(source: PatientFile, scan: _Scan) -> None:
    """Record by record, and past every bad place to the next valid record."""
    offset: int | None = 0
    seq, check = scan.first_seq - 1, None
    known: int | None = seq
    while offset is not None:
        walk = Walk(source, offset, scan.size, tag=scan.tag, through=scan.through)
        walk.seq, walk.check = known, check
        records = iter(walk)
        first = next(records, None)
        deque(records, maxlen=0)
        if first is not None and walk.seq is not None:
            first_seq = first[1] if record.is_entry(first[0]) else first[1] + 1
            scan.parts.append(Run(offset, walk.offset, first_seq, walk.seq, walk.entry_check))
            scan.dseq = max(scan.dseq, walk.dseq)
            seq = walk.seq
        if walk.superseded or seq >= scan.through:
            return
        end = record.last_nonzero(source, walk.offset, scan.size)
        if end == walk.offset:
            return
        offset = find_record(source, walk.offset, scan.size, tag=scan.tag, after_seq=seq)
        bad_end = end if offset is None else offset
        scan.parts.append(Bad(scan.path, walk.offset, bad_end, walk.reason))
        known = check = None  # after damage any newer record is welcome


class _Verdict:
    """Goes through what was found in the order of seqs and applies the tail rule."""

    def __init__(self, scans: list[_Scan], checkpoint_seq: int | None) -> None:
        self._checkpoint_seq = checkpoint_seq or 0
        durable = [self._checkpoint_seq]
        durable += [max(scan.dseq, scan.first_seq - 1) for scan in scans]
        begins = [scan.first_seq - 1 for scan in scans[:1]]
        if checkpoint_seq is not None or not scans:
            begins.append(self._checkpoint_seq)
        self._last_seq = min(begins)
        self._entry_check = 0
        self.result = result = Recovered(durable_seq=max(durable))
        for scan in scans:
            self._take(scan)
            result.last_number = max(result.last_number, scan.number)
            result.epoch = max(result.epoch, scan.epoch)
            if scan.unreadable:
                result.unreadable.add(scan.path)
        if self._last_seq < result.durable_seq:
            path = scans[-1].path if scans else Path()
            self._hole(result.durable_seq, Bad(path, 0, 0, "entries are missing at the end"))
        result.last_seq = self._last_seq

    def _take(self, scan: _Scan) -> None:
        if scan.first_seq <= scan.through:
            self._border(scan)
        runs: list[Run] = []
        bad: Bad | None = None
        torn = False
        for part in scan.parts:
            if isinstance(part, Bad):
                bad = part
            elif self._joins(part, bad, scan):
                runs.append(part)
                self._last_seq = part.last_seq
                if part.first_seq <= part.last_seq:
                    self._entry_check = part.entry_check
                bad = None
            else:
                torn = True
                break
        if not torn:
            self._end(scan, bad)
        last = min(max(self._last_seq, scan.first_seq - 1), scan.through)
        self.result.segments.append(
            Segment(scan.number, scan.first_seq, last, scan.path, scan.size, scan.tag, tuple(runs))
        )

    def _border(self, scan: _Scan) -> None:
        """Between two segments: nothing may be missing, and the chain must hold."""
        if scan.first_seq > self._last_seq + 1:
            self._hole(scan.first_seq - 1, Bad(scan.path, 0, 0, "no segment holds these entries"))
        elif self._entry_check and scan.follows and scan.follows != self._entry_check:
            bad = Bad(scan.path, 0, 0, "segment does not follow the one before")
            self._hole(self._last_seq, bad)

    def _joins(self, run: Run, bad: Bad | None, scan: _Scan) -> bool:
        """Whether `run` counts; else the log ends before it. Names what is missing between."""
        durable, first_missing = self.result.durable_seq, self._last_seq + 1
        missing = run.first_seq - first_missing
        if bad is None and missing == 0:
            return True
        bad = bad or Bad(scan.path, run.offset, run.offset, "entries are missing")
        # Damaged framing between two entries that follow each other costs nothing. Where the
        # bytes are good and only the chain is broken, a durable record must vouch for them.
        only_framing = missing == 0 and bad.end > bad.offset
        if first_missing > durable and not only_framing:
            self._torn(scan, bad)
            return False
        if run.first_seq - 1 > max(durable, self._last_seq):
            self._hole(durable, bad)
            self._torn(scan, bad)
            return False
        self._hole(run.first_seq - 1, bad)
        return True

    def _end(self, scan: _Scan, bad: Bad | None) -> None:
        """After the last run of a segment: where a later one begins nothing may be missing."""
        needed = min(scan.through, self.result.durable_seq)
        if self._last_seq < needed:
            end = scan.parts[-1].end if scan.parts else 0
            self._hole(needed, bad or Bad(scan.path, end, end, "entries are missing at the end"))
        elif bad is not None and scan.through == ANY_SEQ:
            self._torn(scan, bad)

    def _hole(self, last_seq: int, bad: Bad) -> None:
        """Entries from the last one known to `last_seq` are lost, or none but `bad` is bad."""
        first_seq = self._last_seq + 1
        self._last_seq = max(self._last_seq, last_seq)
        lost = last_seq >= first_seq
        if lost:
            self._entry_check = 0
            first_seq = max(first_seq, self._checkpoint_seq + 1)
        if last_seq - lost < self._checkpoint_seq:
            return
        self.result.holes.append(
            Hole(first_seq, last_seq, bad.path, bad.offset, bad.end - bad.offset, bad.reason)
        )
        if bad.end > bad.offset:
            self.result.damaged.append(bad)

    def _torn(self, scan: _Scan, bad: Bad) -> None:
        end = max(part.end for part in scan.parts)
        if end > bad.offset:
            self.result.torn.append(Bad(scan.path, bad.offset, end, bad.reason))
        if scan.unreadable:  # not what a torn write looks like: whether something was here is open
            self._hole(self._last_seq, Bad(scan.path, bad.offset, end, "the disk cannot read this"))
