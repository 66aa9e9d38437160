"""The log of a single node: segment files, one writer, durable before it answers.

    in   payloads
    out  entries (tsdb/log/protocol.py), durable when `append` returns

`append` frames its payloads into one buffer, writes it, and makes one fdatasync. A whole append
lies in one segment; segments change when the next append would not fit.

Opening recovers (tsdb/log/recovery.py), then starts a fresh segment. Entries above the durable
watermark were perhaps never synced: what was read of them may be nothing but page cache, where
even bytes of a failed fsync still look fine. So they are copied into the fresh segment and
synced there before anything relies on them. Old segments are never written again.

Failures. ENOSPC costs the append it hits: the segment is given up as it is, and the next one,
which begins with the same seq, supersedes what was written of it. Any other error of a write or
sync latches: StorageFailed, now and for everything after. A sync is never tried twice, since
the kernel may report success for bytes it dropped (docs/decisions/0003-log-record.md).

Threads: appenders are serialised by a lock (one thread appends in practice); `read`, `info`
and `trim` run beside it, on the tuple of segments that was published last.
"""

from __future__ import annotations

import contextlib
import errno
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from tsdb import limits
from tsdb.errors import CorruptionError, StorageFailed, TSDBError, Unavailable
from tsdb.log import record
from tsdb.log.protocol import Entry, Hole, Kind, LogInfo
from tsdb.log.quarantine import keep_copies, set_aside
from tsdb.log.reading import check_of_entry, first_record_for, read_entries, read_records
from tsdb.log.recovery import Progress, Recovered, recover
from tsdb.log.reserve import Reserve, disk_full
from tsdb.log.segment import (
    PREALLOCATE_BYTES,
    SEAL_RECORD_BYTES,
    Header,
    Segment,
    SegmentWriter,
    is_leftover,
)
from tsdb.vfs import Buffer, Files

_COPY_BYTES = 1 << 20
_FULL = {errno.ENOSPC, errno.EDQUOT}
_SCARCE = {errno.EMFILE, errno.ENFILE, errno.ENOMEM}


class Wal:
    """A `Log` in a directory of its own. Make one with `Wal.open`."""

    def __init__(
        self,
        files: Files,
        directory: Path,
        *,
        database_id: bytes,
        quarantine: Path | None = None,
        segment_bytes_max: int = limits.SEGMENT_BYTES_MAX,
        read_only: bool = False,
    ) -> None:
        assert len(database_id) == 16
        self._files, self._directory, self._database_id = files, directory, database_id
        self._segment_bytes_max = segment_bytes_max
        self._read_only = read_only
        self._quarantine = quarantine
        self._unreadable: set[Path] = set()
        self._lock, self._trim_lock = threading.Lock(), threading.Lock()
        self._segments: tuple[Segment, ...] = ()  # published: the last one may be growing
        self._writer: SegmentWriter | None = None
        self._last_seq = self._durable_seq = 0
        self._witnessed_seq = 0  # highest durable watermark that is itself on disk
        self._entry_check = 0
        self._number = self._epoch = 0
        self._holes: tuple[Hole, ...] = ()
        self._torn_bytes = 0
        self._failed: OSError | None = None
        self._closed = self._is_placed = False
        self._reserve = Reserve(files, directory)

    @classmethod
    def open(
        cls,
        files: Files,
        directory: Path,
        *,
        database_id: bytes,
        quarantine: Path | None = None,
        checkpoint_seq: int | None = None,
        segment_bytes_max: int = limits.SEGMENT_BYTES_MAX,
        read_only: bool = False,
        on_progress: Progress | None = None,
    ) -> Wal:
        """Recover the log in `directory`, which is made if missing, and be ready to append.

        `quarantine` is the folder for copies of torn and damaged bytes. `checkpoint_seq` is the
        last entry that is safe elsewhere: segments up to it are removed, new seqs are above it.
        On a full disk the log opens all the same, and appends raise Unavailable until there is
        room. Raises NewerFormat and CorruptionError (a segment of another database) before
        anything is touched, StorageFailed if what was found cannot be made durable.
        """
        wal = cls(
            files,
            directory,
            database_id=database_id,
            quarantine=quarantine,
            segment_bytes_max=segment_bytes_max,
            read_only=read_only,
        )
        found = Recovered(last_seq=checkpoint_seq or 0, durable_seq=checkpoint_seq or 0)
        try:
            if files.exists(directory):
                found = recover(
                    files,
                    directory,
                    database_id,
                    checkpoint_seq=checkpoint_seq,
                    on_progress=on_progress,
                )
            wal._adopt(found)
        except OSError as error:
            raise StorageFailed(f"log in {directory} cannot be read: {error}") from error
        if not read_only:
            with wal._lock:
                wal._start(found)
            wal.trim(checkpoint_seq or 0)
        return wal

    def append(self, entries: Sequence[tuple[Kind, Buffer]], *, sync: bool = True) -> int:
        with self._lock:
            self._check_writable()
            framed = record.split(entries, self._last_seq + 1)
            if not framed:
                return self._last_seq
            size_bytes = sum(record.record_bytes(len(item[1])) for item in framed)
            self._check_room(size_bytes)
            writer = self._room_for(size_bytes)
            try:
                writer.append(framed, self._durable_seq)
            except OSError as error:
                raise self._give_up(error) from error
            if sync:
                self._sync(writer)
            self._last_seq, self._entry_check = writer.last_seq, writer.entry_check
            if sync:
                self._durable_seq = self._last_seq
            self._segments = (*self._segments[:-1], writer.segment())
            return self._last_seq

    def read(self, from_seq: int) -> Iterator[Entry]:
        records = read_records(
            self._files,
            self._segments,
            first_record_for(from_seq),
            is_current=self._is_current,
            wanted_seq=from_seq,
        )
        return read_entries(records, from_seq)

    def barrier(self) -> int:
        with self._lock:
            self._check_writable()
            self._make_durable()
            return self._last_seq

    def mark(self) -> None:
        with self._lock:
            self._check_writable()
            self._make_durable()
            writer = self._writer
            if writer is None or self._witnessed_seq == self._durable_seq:
                return
            try:
                writer.mark(self._durable_seq)
            except OSError as error:
                raise self._give_up(error) from error
            self._sync(writer)
            self._segments = (*self._segments[:-1], writer.segment())
            self._witnessed_seq = self._durable_seq

    def seal(self) -> None:
        with self._lock:
            self._check_writable()
            self._make_durable()
            if self._writer is not None and self._last_seq >= self._writer.first_seq:
                with contextlib.suppress(Unavailable):  # no room for the next: append will say so
                    self._close_segment()
                    self._open_segment()

    def trim(self, through_seq: int) -> None:
        """Remove whole segments, oldest first, but never the last one."""
        with self._trim_lock:
            with self._lock:
                self._check_writable()
                segments = self._segments
                count = 0
                while count < len(segments) - 1 and segments[count].last_seq <= through_seq:
                    count += 1
                self._segments = segments[count:]
                if count:
                    first = self._segments[0].first_seq
                    self._holes = tuple(hole for hole in self._holes if hole.last_seq >= first)
            self._remove([segment.path for segment in segments[:count]])

    def info(self) -> LogInfo:
        segments, last_seq, durable_seq = self._segments, self._last_seq, self._durable_seq
        return LogInfo(
            first_seq=min(segments[0].first_seq, last_seq + 1) if segments else last_seq + 1,
            last_seq=last_seq,
            durable_seq=min(durable_seq, last_seq),
            segments=len(segments),
            size_bytes=sum(segment.size_bytes for segment in segments),
            torn_bytes=self._torn_bytes,
            holes=self._holes,
        )

    def close(self) -> None:
        """Make everything durable and close; entries can still be read."""
        with self._lock:
            if self._closed:
                return
            try:
                if self._failed is None and self._writer is not None:
                    self._make_durable()
                    with contextlib.suppress(Unavailable):  # a seal is a help, not a need
                        self._close_segment()
            finally:
                self._closed = True

    # --- opening ---------------------------------------------------------------------------

    def _adopt(self, found: Recovered) -> None:
        self._segments = tuple(found.segments)
        self._last_seq, self._durable_seq = found.last_seq, found.durable_seq
        self._number, self._epoch = found.last_number, min(found.epoch + 1, record.SEQ_MAX)
        self._unreadable = found.unreadable
        self._holes = tuple(found.holes)
        self._torn_bytes = sum(bad.end - bad.offset for bad in found.torn)
        self._entry_check = check_of_entry(self._files, self._segments, self._durable_seq)

    def _start(self, found: Recovered) -> None:
        """Begin a fresh segment; on a full disk leave that to the first append."""
        try:
            if not self._files.exists(self._directory):
                self._files.mkdir(self._directory)
            keep_copies(self._files, self._quarantine, found.torn + found.damaged)
            names = self._files.list(self._directory)
        except OSError as error:
            if error.errno in _FULL:
                return
            raise self._latch(error) from error
        try:
            self._check_room(0)
            self._open_segment()
        except Unavailable as error:
            if error.code == "disk_full":
                return
            raise
        kept = {segment.path for segment in self._segments}
        gone = [segment.path for segment in found.segments if segment.path not in kept]
        self._remove([self._directory / name for name in names if is_leftover(name)] + gone)

    # --- segments --------------------------------------------------------------------------

    def _room_for(self, size_bytes: int) -> SegmentWriter:
        """The segment that takes the next append, a new one if need be."""
        writer = self._writer
        if writer is None:
            return self._open_segment()
        end = writer.end + size_bytes + SEAL_RECORD_BYTES
        if end <= self._segment_bytes_max or self._last_seq < writer.first_seq:
            return writer
        self._make_durable()
        self._close_segment()
        return self._open_segment()

    def _open_segment(self) -> SegmentWriter:
        """A new segment from the durable watermark on, holding what lies above it."""
        assert self._writer is None
        first_seq = self._durable_seq + 1
        header = Header(self._database_id, self._number + 1, first_seq, self._epoch)
        step = min(PREALLOCATE_BYTES, self._segment_bytes_max)
        writer: SegmentWriter | None = None
        try:
            if not self._is_placed:
                # Whoever made the directory may have failed to make its name durable.
                self._files.sync_dir(self._directory.parent)
                self._is_placed = True
            writer = SegmentWriter.create(
                self._files,
                self._directory,
                header,
                dseq=self._durable_seq,
                prev=self._entry_check,
                step=step,
            )
            self._copy_doubtful(writer)
            self._number += 1  # from here on its name may exist
            writer.publish(self._files)
        except (OSError, CorruptionError) as error:
            if writer is not None:
                with contextlib.suppress(OSError):
                    writer.discard(self._files)
            if isinstance(error, CorruptionError):
                raise
            raise self._refusal(error) from error
        clipped = (segment.clipped(first_seq - 1) for segment in self._segments)
        self._segments = (*(s for s in clipped if s.last_seq >= s.first_seq), writer.segment())
        self._witnessed_seq, self._durable_seq = self._durable_seq, self._last_seq
        self._entry_check = writer.entry_check
        self._writer = writer
        return writer

    def _copy_doubtful(self, writer: SegmentWriter) -> None:
        batch: list[record.Framed] = []
        size = 0
        for _, (kind, seq, part, parts, payload) in read_records(
            self._files, self._segments, self._durable_seq + 1
        ):
            if seq <= self._durable_seq:
                continue
            batch.append((kind, bytes(payload), seq, part, parts))
            size += record.record_bytes(len(payload))
            if size >= _COPY_BYTES:
                writer.append(batch, self._durable_seq)
                batch, size = [], 0
        if batch:
            writer.append(batch, self._durable_seq)
        assert writer.last_seq == self._last_seq

    def _close_segment(self) -> None:
        """Seal the segment in use. Everything in it must be durable."""
        writer = self._writer
        assert writer is not None
        assert self._durable_seq == self._last_seq
        try:
            writer.seal()
        except OSError as error:
            raise self._give_up(error) from error
        self._segments = (*self._segments[:-1], writer.segment())
        self._witnessed_seq = self._durable_seq
        self._writer = None

    def _remove(self, paths: list[Path]) -> None:
        """In order, each removal durable before the next: the log never loses its middle."""
        for path in paths:
            try:
                if path in self._unreadable:
                    set_aside(self._files, self._quarantine, path)
                else:
                    self._files.unlink(path)
                self._files.sync_dir(self._directory)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise self._refusal(error) from error

    def _is_current(self, path: Path) -> bool:
        return any(segment.path == path for segment in self._segments)

    # --- durability and its failures ---------------------------------------------------------

    def _make_durable(self) -> None:
        if self._durable_seq == self._last_seq:
            return
        if self._writer is None:
            self._open_segment()
        else:
            self._sync(self._writer)
            self._durable_seq = self._last_seq

    def _sync(self, writer: SegmentWriter) -> None:
        """One fdatasync. If it fails, appends it was to cover without `sync` may be lost."""
        try:
            writer.datasync()
        except OSError as error:
            if self._durable_seq < self._last_seq:
                raise self._latch(error) from error
            raise self._give_up(error) from error

    def _give_up(self, error: OSError) -> TSDBError:
        """Leave the segment in use as it is; what earlier appends put there must be durable."""
        writer, self._writer = self._writer, None
        assert writer is not None
        try:
            if error.errno in _FULL and self._durable_seq < self._last_seq:
                writer.datasync()
                self._durable_seq = self._last_seq
        except OSError as second:
            return self._latch(second)
        try:
            writer.abandon()
        except OSError as second:
            if second.errno not in _FULL:  # then it speaks of what was not kept anyhow
                return self._latch(second)
        return self._refusal(error)

    def _refusal(self, error: OSError) -> TSDBError:
        if error.errno in _FULL:
            return disk_full(f"{self._directory}: {error}")
        if error.errno in _SCARCE:
            return Unavailable(f"log cannot open a segment: {error}", code="busy")
        return self._latch(error)

    def _latch(self, error: OSError) -> StorageFailed:
        """From here on nothing is written: what the disk holds is unknown."""
        self._failed = self._failed or error
        writer, self._writer = self._writer, None
        if writer is not None:
            with contextlib.suppress(OSError):
                writer.abandon()
        return StorageFailed(f"log in {self._directory} failed: {error}")

    def _check_room(self, size_bytes: int) -> None:
        try:
            self._reserve.check(size_bytes, now=self._writer is None)
        except OSError as error:
            raise self._latch(error) from error

    def _check_writable(self) -> None:
        assert not self._read_only, "log was opened read-only"
        if self._failed is not None:
            raise StorageFailed(f"log in {self._directory} has failed: {self._failed}")
        if self._closed:
            raise Unavailable("log is closed", code="closed")
