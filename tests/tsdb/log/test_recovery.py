"""tsdb.log.recovery: damage is named and costs only itself; a wrong payload never comes back."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
from crash import wal_trials
from crash.disk import SimulatedDisk
from crash.wal_scripts import FOLDER, QUARANTINE, open_wal
from crash.wal_trials import check_bit_flips, check_damaged, make_log, segments_of

from tsdb.errors import CorruptionError, NewerFormat
from tsdb.log import record, wal
from tsdb.log.protocol import Kind
from tsdb.log.record import HEADER_BYTES
from tsdb.log.segment import HEADER_RECORD_BYTES, name_of


def test_a_flipped_bit_costs_one_entry_and_is_named():
    assert check_bit_flips(wal, count=1500, seed=1) > 500


def test_damage_in_the_middle_keeps_what_follows():
    disk, wanted = make_log(wal, closed=False)
    log = open_wal(wal, disk)
    run = log._segments[1]
    log.close()
    data = bytearray(disk.tree()[str(run.path)])
    data[HEADER_RECORD_BYTES + 60] ^= 1
    disk.poke(str(run.path), bytes(data))

    log = open_wal(wal, disk)
    (hole,) = log.info().holes

    assert (hole.first_seq, hole.last_seq, hole.entries) == (run.first_seq, run.first_seq, 1)
    assert (hole.path, hole.offset_bytes) == (run.path, HEADER_RECORD_BYTES)
    assert hole.reason == "checksum does not match"
    assert {e.seq for e in log.read(1)} == set(wanted) - {run.first_seq}
    (copy,) = disk.list(QUARANTINE)
    kept = disk.tree()[f"/quarantine/{copy}"]
    assert kept == bytes(data)[hole.offset_bytes : hole.offset_bytes + hole.size_bytes]


@pytest.mark.parametrize("closed", [False, True])
def test_lost_sectors_files_and_tails_are_named(closed):
    """A zeroed sector, a file cut off, a file gone: everything else is served."""
    original, wanted = make_log(wal, closed=closed)
    paths = sorted(segments_of(original))
    for path in paths:
        data = original.tree()[path]
        for start in range(0, len(data), 512):
            disk = original.copy()
            disk.poke(
                path, data[:start] + bytes(len(data[start : start + 512])) + data[start + 512 :]
            )
            check_damaged(wal, disk, wanted, 20)
        for cut in range(0, len(data), 97):
            disk = original.copy()
            disk.poke(path, data[:cut])
            if path != paths[-1]:
                check_damaged(wal, disk, wanted, 20)
        disk = original.copy()
        disk.unlink(Path(path))
        if path not in (paths[0], paths[-1]):
            check_damaged(wal, disk, wanted, 20)


def test_a_missing_first_segment_is_seen_when_the_checkpoint_is_known():
    disk, _ = make_log(wal, closed=True)
    first, second = sorted(segments_of(disk))[:2]
    disk.unlink(Path(first))

    unknowing = open_wal(wal, disk.copy())
    knowing = open_wal(wal, disk, checkpoint_seq=0)

    begins = int(second.partition("-")[2][:20])
    assert unknowing.info().holes == ()
    (hole,) = knowing.info().holes
    assert (hole.first_seq, hole.last_seq) == (1, begins - 1)


def test_a_segment_swapped_for_one_with_another_past_is_named():
    """Two continuations of one copied database: same names, same seqs, other entries."""

    def continued(letter: bytes) -> SimulatedDisk:
        disk, _ = make_log(wal, closed=True)
        log = open_wal(wal, disk)
        for _ in range(12):
            log.append([(Kind.POINTS, letter * 200)])
        log.close()
        return disk

    one, two = continued(b"1"), continued(b"2")
    names = sorted(segments_of(one))
    assert names == sorted(segments_of(two))
    one.poke(names[-1], two.tree()[names[-1]])

    (hole,) = open_wal(wal, one).info().holes
    assert hole.entries == 0
    assert hole.path == Path(names[-1])
    assert "does not follow" in hole.reason


@pytest.mark.parametrize(
    "trial",
    [
        wal_trials.check_splice,
        wal_trials.check_misdirected_write,
        wal_trials.check_stale_bytes,
        wal_trials.check_gap_over_watermark,
    ],
    ids=lambda trial: trial.__name__.removeprefix("check_"),
)
def test_bytes_that_are_valid_in_the_wrong_place(trial):
    trial(wal)  # it asserts


def test_a_record_inside_a_payload_is_not_taken_for_one():
    """Its writer cannot know the tag of the segment it will lie in."""
    disk = SimulatedDisk()
    log = open_wal(wal, disk)
    planted, _, _ = record.encode([(0, b"planted", 2, 0, 1)], dseq=1, tag=0, prev=0)
    log.append([(Kind.POINTS, planted)])
    log.append([(Kind.POINTS, b"after")])
    (name,) = segments_of(disk)
    data = bytearray(disk.tree()[name])
    data[HEADER_RECORD_BYTES + 1] ^= 0xFF  # the record around it is damaged
    disk.poke(name, bytes(data))

    assert [entry.payload for entry in open_wal(wal, disk).read(1)] == [b"after"]


def test_a_newer_format_is_refused_by_number_and_nothing_is_touched():
    disk, _ = make_log(wal, closed=False)
    name = sorted(segments_of(disk))[-1]
    data = bytearray(disk.tree()[name])
    data[2] = 9
    head, body = bytes(data[:40]), bytes(data[HEADER_BYTES : HEADER_BYTES + 40])
    data[40:48] = record.check_of(head, body).to_bytes(8, "little")
    disk.poke(name, bytes(data))
    before, ops = disk.tree(), len(disk.ops)

    with pytest.raises(NewerFormat, match="version 9"):
        open_wal(wal, disk)

    assert disk.tree() == before
    assert len(disk.ops) == ops


def test_a_flipped_version_is_damage_not_a_newer_format():
    disk, wanted = make_log(wal, closed=False)
    name = sorted(segments_of(disk))[-1]
    data = bytearray(disk.tree()[name])
    data[2] = 9
    disk.poke(name, bytes(data))

    check_damaged(wal, disk, wanted, 0)


def test_a_segment_of_another_database_is_refused():
    disk, _ = make_log(wal, closed=True)
    ops = len(disk.ops)

    with pytest.raises(CorruptionError, match="segment of database 000102") as caught:
        wal.Wal.open(disk, FOLDER, database_id=b"another database")
    assert caught.value.path.parent == FOLDER
    assert len(disk.ops) == ops


def test_foreign_files_are_left_alone():
    disk, wanted = make_log(wal, closed=True)
    for name in ("notes.txt", "1-2.log", name_of(7, 7) + ".bak"):
        disk.create(FOLDER / name).pwrite(b"mine", 0)

    log = open_wal(wal, disk)
    log.trim(10**6)

    assert {"notes.txt", "1-2.log", name_of(7, 7) + ".bak"} <= set(disk.list(FOLDER))
    assert log.info().last_seq == max(wanted)


class UnreadableFiles:
    """Reads of one file fail for good, or the first few times."""

    def __init__(self, disk: SimulatedDisk, path: str, failures: int) -> None:
        self._disk, self._path, self.failures = disk, Path(path), failures

    def __getattr__(self, name: str):
        return getattr(self._disk, name)

    def open_read(self, path: Path):
        file = self._disk.open_read(path)
        if path == self._path:
            pread = file.pread

            def failing(size, offset):
                if self.failures > 0:
                    self.failures -= 1
                    raise OSError(errno.EIO, "Input/output error")
                return pread(size, offset)

            file.pread = failing
        return file


def test_a_read_that_fails_twice_is_no_damage():
    disk, wanted = make_log(wal, closed=False)
    for path in segments_of(disk):
        log = open_wal(wal, UnreadableFiles(disk.copy(), path, 2))
        assert {e.seq: e.payload for e in log.read(1)} == wanted


def test_what_cannot_be_read_is_named_and_never_removed():
    """Perhaps only the cable is loose: the file is set aside as it is."""
    disk, _ = make_log(wal, closed=False)
    path = sorted(segments_of(disk))[-1]
    data = disk.tree()[path]

    log = open_wal(wal, UnreadableFiles(disk, path, 10**9))
    log.append([(Kind.POINTS, b"on")])

    assert any(hole.path == Path(path) for hole in log.info().holes)
    assert disk.tree()["/quarantine/" + Path(path).name] == data


def test_rot_after_opening_is_an_error_with_its_place():
    disk, _ = make_log(wal, closed=True)
    log = open_wal(wal, disk)
    path = sorted(segments_of(disk))[1]
    data = bytearray(disk.tree()[path])
    data[HEADER_RECORD_BYTES + 50] ^= 4
    disk.poke(path, bytes(data))

    with pytest.raises(CorruptionError, match="checksum") as caught:
        list(log.read(1))
    assert (caught.value.path, caught.value.offset_bytes) == (Path(path), HEADER_RECORD_BYTES)


def test_progress_is_told():
    disk, _ = make_log(wal, closed=True)
    total = sum(len(disk.tree()[path]) for path in segments_of(disk))
    calls = []

    open_wal(wal, disk, on_progress=lambda done, total: calls.append((done, total)))

    assert calls[-1] == (total, total)
    assert calls == sorted(calls)
