"""tsdb.log.wal: any sequence of operations and restarts is a list; failures and full disks."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
from crash.disk import SimulatedDisk
from crash.faults import Fault, FaultyFiles
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tsdb.errors import StorageFailed, Unavailable
from tsdb.limits import GIB
from tsdb.log import record
from tsdb.log.protocol import FRAMING, Kind
from tsdb.log.segment import HEADER_RECORD_BYTES, parse_name
from tsdb.log.wal import Wal
from tsdb.vfs import OsFiles

FOLDER = Path("/wal")
DATABASE = b"0123456789abcdef"
KINDS = sorted(set(Kind) - FRAMING)
POINTS = Kind.POINTS
PAYLOADS = st.lists(st.tuples(st.sampled_from(KINDS), st.binary(max_size=300)), max_size=5)


def open_wal(files, **more) -> Wal:
    return Wal.open(files, FOLDER, database_id=DATABASE, segment_bytes_max=1000, **more)


class LogIsAList(RuleBasedStateMachine):
    """After a kill the page cache is still there, so nothing at all may be missing."""

    def __init__(self) -> None:
        super().__init__()
        self.disk = SimulatedDisk()
        self.wal = open_wal(self.disk)
        self.entries: list[tuple[int, Kind, bytes]] = []
        self.trimmed = 0

    @rule(payloads=PAYLOADS, sync=st.booleans())
    def append(self, payloads, sync):
        first = len(self.entries) + 1
        self.entries += [(first + n, *one) for n, one in enumerate(payloads)]
        assert self.wal.append(payloads, sync=sync) == len(self.entries)

    @rule()
    def barrier(self):
        assert self.wal.barrier() == len(self.entries)
        assert self.wal.info().durable_seq == len(self.entries)

    @rule()
    def mark(self):
        self.wal.mark()

    @rule()
    def seal(self):
        self.wal.seal()

    @rule(data=st.data())
    def trim(self, data):
        through = data.draw(st.integers(0, len(self.entries)))
        self.wal.trim(through)
        self.trimmed = max(self.trimmed, through)

    @rule(checkpoint=st.booleans())
    def restart(self, checkpoint):
        self.wal.close()
        self.wal = open_wal(self.disk, checkpoint_seq=self.trimmed if checkpoint else None)

    @rule()
    def kill(self):
        self.wal = open_wal(self.disk)

    @precondition(lambda self: self.entries)
    @rule(data=st.data())
    def read_from_the_middle(self, data):
        start = self.wal.info().first_seq
        seq = data.draw(st.integers(start, len(self.entries) + 1))
        assert self.read(seq) == self.entries[seq - 1 :]

    @invariant()
    def the_log_is_the_list(self):
        info = self.wal.info()
        assert info.first_seq <= self.trimmed + 1
        assert info.last_seq == len(self.entries)
        assert info.durable_seq <= info.last_seq
        assert not info.holes
        assert self.read(1) == self.entries[info.first_seq - 1 :]

    def read(self, from_seq: int) -> list[tuple[int, Kind, bytes]]:
        return [(entry.seq, entry.kind, entry.payload) for entry in self.wal.read(from_seq)]


TestLogIsAList = LogIsAList.TestCase
TestLogIsAList.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


def test_an_append_is_one_write_and_one_sync():
    disk = SimulatedDisk()
    wal = open_wal(disk)
    before = len(disk.ops)

    wal.append([(POINTS, b"1"), (POINTS, b"2" * 100), (Kind.SERIES, b"3")])

    assert [op[0] for op in disk.ops[before:]] == ["write", "sync"]


def test_records_lie_on_multiples_of_eight_and_padding_is_zero():
    disk = SimulatedDisk()
    wal = Wal.open(disk, FOLDER, database_id=DATABASE)
    for size in range(20):
        wal.append([(POINTS, b"\xff" * size)])
    (run,) = wal._segments[-1].runs
    (data,) = [data for path, data in disk.tree().items() if data]

    walk = record.Walk(
        disk.open_read(wal._segments[-1].path), 0, run.end, tag=wal._segments[-1].tag
    )
    ends = []
    for _, _, _, _, payload in walk:
        assert walk.offset % 8 == 0
        ends.append((walk.offset, len(payload)))
    assert len(ends) == 21
    for (end, size), before in zip(ends[1:], ends, strict=False):
        padding = data[before[0] + 48 + size : end]
        assert padding == bytes(len(padding))
    assert ends[0][0] == HEADER_RECORD_BYTES


def test_a_segment_stays_below_its_size_unless_one_append_is_larger():
    disk = SimulatedDisk()
    wal = open_wal(disk)
    for size in (100, 700, 300, 5000, 20, 20):
        wal.append([(POINTS, b"x" * size)])
    wal.close()

    sizes = [len(data) for path, data in sorted(disk.tree().items()) if data]
    assert [size for size in sizes if size > 1000] == [size for size in sizes if size > 5000]
    assert len([size for size in sizes if size > 5000]) == 1


def test_a_clean_restart_copies_nothing_and_keeps_the_number_of_files_down():
    disk = SimulatedDisk()
    wal = open_wal(disk)
    wal.append([(POINTS, b"1")])
    for _ in range(5):
        wal.close()
        wal = open_wal(disk)

    assert len(disk.list(FOLDER)) == 2  # one with the entry, one to go on
    assert wal.info().durable_seq == 1


def test_kills_without_writes_keep_the_number_of_files_down():
    disk = SimulatedDisk()
    open_wal(disk).append([(POINTS, b"1")])
    for _ in range(5):
        wal = open_wal(disk)

    assert [entry.payload for entry in wal.read(1)] == [b"1"]
    assert len(disk.list(FOLDER)) == 1


def test_a_mark_closes_the_window_of_the_last_append():
    """Damage of the last entry: before the mark it looks torn, after it, it is named."""
    for marked in (False, True):
        disk = SimulatedDisk()
        wal = open_wal(disk)
        wal.append([(POINTS, b"1" * 40)])
        wal.append([(POINTS, b"2" * 40)])
        if marked:
            wal.mark()
        (path,) = (p for p, data in disk.tree().items() if data)
        disk.poke(path, disk.tree()[path].replace(b"2" * 40, b"2" * 39 + b"3"))

        info = open_wal(disk).info()

        assert [hole.first_seq for hole in info.holes] == ([2] if marked else [])
        assert info.last_seq == (2 if marked else 1)
        assert (info.torn_bytes > 0) is not marked


def test_marks_are_not_repeated():
    disk = SimulatedDisk()
    wal = open_wal(disk)
    wal.append([(POINTS, b"1")])
    wal.mark()
    before = len(disk.ops)
    wal.mark()
    wal.mark()

    assert len(disk.ops) == before


def test_a_new_log_starts_above_the_checkpoint():
    """The log is gone, the blocks are not: seqs must not be given twice."""
    wal = open_wal(SimulatedDisk(), checkpoint_seq=41)

    assert wal.append([(POINTS, b"x")]) == 42
    assert wal.info().holes == ()
    assert wal.info().first_seq == 42


def test_segments_below_the_checkpoint_go_at_opening():
    disk = SimulatedDisk()
    wal = open_wal(disk)
    for _ in range(30):
        wal.append([(POINTS, b"x" * 100)])
    wal.close()
    wal = open_wal(disk, checkpoint_seq=17)

    assert 10 < wal.info().first_seq <= 18
    assert min(parse_name(name)[1] for name in disk.list(FOLDER)) == wal.info().first_seq


def test_a_full_disk_costs_one_append_and_heals():
    disk = SimulatedDisk()
    wal = open_wal(disk)
    wal.append([(POINTS, b"1")])
    wal._files = wal._reserve._files = FaultyFiles(disk, 1, Fault.ENOSPC, last=None)
    full = FaultyFiles(disk, 2, Fault.ENOSPC, last=3)
    wal._writer._file = full.open_write(wal._writer.path)

    with pytest.raises(Unavailable, match="disk full") as caught:  # at the sync, then at close
        wal.append([(POINTS, b"lost")])
    assert (caught.value.code, caught.value.retry_after_s) == ("disk_full", 30)
    with pytest.raises(Unavailable):
        wal.append([(POINTS, b"lost too")])  # no room for a segment either
    assert [entry.payload for entry in wal.read(1)] == [b"1"]

    wal._files = wal._reserve._files = disk
    assert wal.append([(POINTS, b"2")]) == 2
    assert [entry.payload for entry in wal.read(1)] == [b"1", b"2"]
    assert [entry.payload for entry in open_wal(disk).read(1)] == [b"1", b"2"]
    assert not [name for name in disk.list(FOLDER) if name.endswith(".tmp")]


def test_writing_stops_below_the_reserve_and_goes_on_with_enough():
    disk = SimulatedDisk()
    wal = open_wal(disk)
    wal.append([(POINTS, b"1")])
    disk.free = (GIB // 4, 2 * GIB)

    with pytest.raises(Unavailable, match="reserve"):
        for _ in range(200):  # looked up now and then
            wal.append([(POINTS, b"x")])
    disk.free = (GIB - 1, 2 * GIB)  # above the stop level, not yet enough
    with pytest.raises(Unavailable):
        wal.append([(POINTS, b"x")])
    disk.free = (GIB, 2 * GIB)
    last = wal.append([(POINTS, b"2")])

    assert [entry.seq for entry in wal.read(1)] == list(range(1, last + 1))


def test_a_full_disk_can_be_opened_read_and_written_once_there_is_room():
    disk = SimulatedDisk()
    open_wal(disk).append([(POINTS, b"1"), (POINTS, b"2")])
    disk.free = (0, GIB)

    wal = open_wal(disk)
    assert [entry.payload for entry in wal.read(1)] == [b"1", b"2"]
    with pytest.raises(Unavailable):
        wal.append([(POINTS, b"3")])
    disk.free = (GIB, GIB)
    assert wal.append([(POINTS, b"3")]) == 3
    assert wal.info().durable_seq == 3
    wal.close()
    assert [entry.payload for entry in open_wal(disk).read(1)] == [b"1", b"2", b"3"]


def test_too_many_open_files_can_be_tried_again():
    disk = SimulatedDisk()

    class Scarce(FaultyFiles):
        def error(self):
            return OSError(errno.EMFILE, "Too many open files")

    wal = open_wal(disk)
    wal.append([(POINTS, b"x" * 900)])
    wal._files = Scarce(disk, 1, Fault.EIO)

    with pytest.raises(Unavailable) as caught:
        wal.append([(POINTS, b"x" * 900)])
    assert caught.value.code == "busy"
    assert wal.append([(POINTS, b"y")]) == 2


def test_a_failed_append_is_not_there_after_the_next_one():
    disk = SimulatedDisk()
    wal = open_wal(disk)
    wal._writer._file = FaultyFiles(disk, 2, Fault.ENOSPC).open_write(wal._writer.path)
    with pytest.raises(Unavailable):
        wal.append([(POINTS, b"a" * 8), (POINTS, b"b" * 8)])  # half of it got written
    assert wal.append([(POINTS, b"c" * 8)]) == 1

    assert [entry.payload for entry in open_wal(disk).read(1)] == [b"c" * 8]


def test_a_read_only_log_touches_nothing():
    disk = SimulatedDisk()
    open_wal(disk).append([(POINTS, b"1"), (POINTS, b"2")])
    before, ops = disk.tree(), len(disk.ops)

    wal = open_wal(disk, read_only=True)

    assert [entry.payload for entry in wal.read(2)] == [b"2"]
    assert (wal.info().last_seq, wal.info().durable_seq) == (2, 0)
    wal.close()
    assert (disk.tree(), len(disk.ops)) == (before, ops)
    with pytest.raises(AssertionError):
        wal.append([(POINTS, b"3")])


def test_a_failed_sync_latches_with_its_cause():
    disk = SimulatedDisk()
    wal = open_wal(disk)
    wal._writer._file = FaultyFiles(disk, 3, Fault.EIO).open_write(wal._writer.path)

    with pytest.raises(StorageFailed, match="Input/output"):
        wal.append([(POINTS, b"1")])
    with pytest.raises(StorageFailed, match="Input/output"):
        wal.append([(POINTS, b"2")])
    assert list(wal.read(1)) == []
    wal.close()


def test_memory_stays_bounded_while_reading(tmp_path: Path):
    import tracemalloc

    wal = Wal.open(OsFiles(), tmp_path / "wal", database_id=DATABASE)
    for _ in range(40):
        wal.append([(POINTS, bytes(1 << 20))], sync=False)
    wal.close()
    tracemalloc.start()
    try:
        wal = Wal.open(OsFiles(), tmp_path / "wal", database_id=DATABASE)
        assert sum(len(entry.payload) for entry in wal.read(1)) == 40 << 20
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 << 20


def test_files_are_private(tmp_path: Path):
    wal = Wal.open(OsFiles(), tmp_path / "wal", database_id=DATABASE)
    wal.append([(POINTS, b"1")])

    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "wal").iterdir()}
    assert (tmp_path / "wal").stat().st_mode & 0o777 == 0o700
    assert set(modes.values()) == {0o600}
