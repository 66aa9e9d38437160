"""The tests of the log's safety are tested: each planted bug must be found by one of them.

Each case is one change of production source and the trials that have to notice. HARMLESS lists
changes that look dangerous and are not, with the reason; if a trial finds one of them after
all, the reason was wrong.
"""

from __future__ import annotations

import dataclasses
import functools

import pytest
from crash import wal_scripts, wal_trials
from crash.faults import Fault
from crash.mutants import mutant

from tsdb.errors import TSDBError

WAL, SEGMENT, RECORD = "tsdb/log/wal.py", "tsdb/log/segment.py", "tsdb/log/record.py"
RECOVERY, VFS = "tsdb/log/recovery.py", "tsdb/vfs.py"


@dataclasses.dataclass(frozen=True)
class Bug:
    what: str
    file: str
    old: str
    new: str
    trials: tuple

    def __str__(self) -> str:
        return self.what.replace(" ", "-")


CRASH = tuple(
    functools.partial(wal_trials.check_script, script=script)
    for script in (wal_scripts.life, wal_scripts.unsynced, wal_scripts.restarts)
)
EIO = (functools.partial(wal_trials.check_sweep, fault=Fault.EIO),)
ENOSPC = (functools.partial(wal_trials.check_sweep, fault=Fault.ENOSPC),)
SHORT = (functools.partial(wal_trials.check_sweep, fault=Fault.SHORT),)
FLIPS = (functools.partial(wal_trials.check_bit_flips, count=300, seed=3),)
SPLICE = (wal_trials.check_splice,)
STALE = (wal_trials.check_stale_bytes,)
MISDIRECTED = (wal_trials.check_misdirected_write,)
GAP = (wal_trials.check_gap_over_watermark,)
LATCH = (wal_trials.check_latch,)

FOUND = [
    Bug(
        "append without fdatasync",
        WAL,
        """
        try:
            writer.datasync()
        except OSError as error:
            if self._durable_seq < self._last_seq:
        """,
        """
        try:
            pass
        except OSError as error:
            if self._durable_seq < self._last_seq:
        """,
        CRASH,
    ),
    Bug("barrier without fdatasync", WAL, "self._sync(self._writer)", "pass", CRASH),
    Bug(
        "mark without fdatasync",
        WAL,
        """
        self._sync(writer)
        self._segments = (*self._segments[:-1], writer.segment())
        self._witnessed_seq = self._durable_seq
        """,
        """
        self._segments = (*self._segments[:-1], writer.segment())
        self._witnessed_seq = self._durable_seq
        """,
        CRASH,
    ),
    Bug(
        "segment named before it is durable",
        SEGMENT,
        """
        self._file.sync()
        files.rename(self.path.with_name(self.path.name + TEMPORARY), self.path)
        """,
        """
        files.rename(self.path.with_name(self.path.name + TEMPORARY), self.path)
        self._file.sync()
        """,
        CRASH,
    ),
    Bug(
        "segment never synced as a whole",
        SEGMENT,
        """
        self._file.sync()
        files.rename(self.path.with_name(self.path.name + TEMPORARY), self.path)
        """,
        """
        files.rename(self.path.with_name(self.path.name + TEMPORARY), self.path)
        """,
        CRASH,
    ),
    Bug("segment name not synced", SEGMENT, "files.sync_dir(self.path.parent)", "pass", CRASH),
    Bug(
        "folder name not synced",
        WAL,
        "self._files.sync_dir(self._directory.parent)",
        "pass",
        CRASH,
    ),
    Bug(
        "folder name trusted if there",
        WAL,
        """
            if not self._files.exists(self._directory):
                self._files.mkdir(self._directory)
        """,
        """
            self._is_placed = self._files.exists(self._directory)
            if not self._is_placed:
                self._files.mkdir(self._directory)
        """,
        EIO,
    ),
    Bug(
        "watermark ahead of the sync",
        WAL,
        "writer.append(framed, self._durable_seq)",
        "writer.append(framed, framed[0][2])",
        CRASH,
    ),
    Bug(
        "sealed before it is synced",
        WAL,
        """
        self._make_durable()
        self._close_segment()
        return self._open_segment()
        """,
        """
        self._durable_seq = self._last_seq
        self._close_segment()
        return self._open_segment()
        """,
        CRASH,
    ),
    Bug("checksum ignored", RECORD, ", payload) != check:", ", payload) == 0:", CRASH),
    Bug(
        "neither gaps nor chain checked",
        RECORD,
        "if not self._follows(seq - step, prev):",
        "if False:",
        MISDIRECTED,
    ),
    Bug("chain ignored", RECORD, "self.check is None or prev == self.check", "True", SPLICE),
    Bug("tag ignored", RECORD, "mark != tag", "mark == -1", STALE),
    Bug(
        "after any gap the rest is thrown away",
        RECOVERY,
        "if first_missing > durable and not only_framing:",
        "if True:",
        FLIPS,
    ),
    Bug(
        "any gap is damage",
        RECOVERY,
        "if first_missing > durable and not only_framing:",
        "if False:",
        CRASH,
    ),
    Bug(
        "gap above the watermark kept",
        RECOVERY,
        "if run.first_seq - 1 > max(durable, self._last_seq):",
        "if False:",
        GAP,
    ),
    Bug(
        "watermarks of records not gathered",
        RECOVERY,
        "scan.dseq = max(scan.dseq, walk.dseq)",
        "pass",
        FLIPS,
    ),
    Bug(
        "no search past damage",
        RECOVERY,
        "offset = find_record(",
        "offset = None and find_record(",
        FLIPS,
    ),
    Bug(
        "old records taken after damage",
        RECORD,
        "return after_seq + _STEP[kind] <= seq < SEQ_MAX",
        "return True",
        MISDIRECTED,
    ),
    Bug(
        "seal believed without its digest",
        RECOVERY,
        "if digest.digest() != sealed[0].digest:",
        "if False:",
        FLIPS,
    ),
    Bug(
        "superseded entries believed",
        RECOVERY,
        "through = min(through, first_seq - 1)",
        "pass",
        CRASH,
    ),
    Bug(
        "page cache trusted",
        WAL,
        "first_seq = self._durable_seq + 1",
        "self._durable_seq = self._last_seq; first_seq = self._durable_seq + 1",
        EIO,
    ),
    Bug(
        "fsync tried again",
        WAL,
        """
            if self._durable_seq < self._last_seq:
                raise self._latch(error) from error
            raise self._give_up(error) from error
        """,
        """
            writer.datasync()
        """,
        EIO,
    ),
    Bug("short writes ignored", VFS, "if written == len(data):", "if True:", SHORT),
    Bug(
        "a failed append keeps its seqs",
        WAL,
        """
        writer, self._writer = self._writer, None
        assert writer is not None
        try:
        """,
        """
        writer, self._writer = self._writer, None
        self._last_seq += 1
        try:
        """,
        ENOSPC,
    ),
    Bug(
        "unsynced entries forgotten on a full disk",
        WAL,
        """
                writer.datasync()
                self._durable_seq = self._last_seq
        """,
        """
                self._durable_seq = self._last_seq
        """,
        ENOSPC,
    ),
    Bug(
        "trim takes a segment too many",
        WAL,
        "segments[count].last_seq <= through_seq",
        "segments[count].first_seq <= through_seq",
        CRASH,
    ),
    Bug(
        "removals overtake each other",
        WAL,
        """
                self._files.sync_dir(self._directory)
            except FileNotFoundError:
        """,
        """
                pass
            except FileNotFoundError:
        """,
        CRASH,
    ),
    Bug(
        "old segments removed before the copy is safe",
        WAL,
        "self._number += 1  # from here on its name may exist",
        "self._number += 1; self._remove([s.path for s in self._segments "
        "if s.first_seq >= first_seq])",
        CRASH,
    ),
    Bug("no latch", WAL, "self._failed = self._failed or error", "pass", LATCH),
]

HARMLESS = [
    # Without its seal a segment is walked record by record.
    Bug(
        "seal without fsync",
        SEGMENT,
        """
        self._file.truncate(self.end)
        self._file.sync()
        """,
        """
        self._file.truncate(self.end)
        """,
        CRASH,
    ),
    # Zeros after the seal only cost the fast way of checking.
    Bug("preallocated tail kept", SEGMENT, "self._file.truncate(self.end)", "pass", CRASH),
    # The chain sees a missing record too, wherever there is one before it.
    Bug(
        "gaps not checked",
        RECORD,
        "self.seq is None or seq_before == self.seq",
        "True",
        CRASH + MISDIRECTED + SPLICE,
    ),
    # What is overwritten was not durable, and the chain tells old bytes from new. Given up all
    # the same: what a failed write leaves behind is the file system's business.
    Bug(
        "after a full disk the segment goes on",
        WAL,
        """
            try:
                writer.append(framed, self._durable_seq)
            except OSError as error:
                raise self._give_up(error) from error
        """,
        """
            try:
                writer.append(framed, self._durable_seq)
            except OSError as error:
                raise self._refusal(error) from error
        """,
        ENOSPC,
    ),
]


@pytest.mark.parametrize("bug", FOUND, ids=str)
def test_planted_bug_is_found(bug):
    with mutant(bug.file, bug.old, bug.new, module="tsdb.log.wal", reload=("tsdb.vfs",)) as module:
        wal_trials.check_smoke(module)
        with pytest.raises((AssertionError, TSDBError)):
            for trial in bug.trials:
                trial(module)


@pytest.mark.parametrize("bug", HARMLESS, ids=str)
def test_what_only_looks_like_a_bug(bug):
    with mutant(bug.file, bug.old, bug.new, module="tsdb.log.wal") as module:
        wal_trials.check_smoke(module)
        for trial in bug.trials:
            trial(module)  # it asserts
