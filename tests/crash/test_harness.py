"""The harness itself: a simulated disk loses what it may lose, and nothing else.

Each small program below is a known right or wrong way to store a value.
"""

from __future__ import annotations

import errno
import random
from pathlib import Path

import pytest
from crash.disk import SimulatedDisk
from crash.faults import Fault, FaultyFiles
from crash.mutants import mutant
from crash.states import crash_states, explore

from tsdb.errors import Unavailable
from tsdb.vfs import write_all, write_whole

A, D = Path("/a"), Path("/d")
OLD, NEW = b"old" * 400, b"new" * 500


def check_value(image: SimulatedDisk, acked: list, sent: list) -> None:
    """The file holds one of the values sent, and none older than the last acked."""
    got = image.tree().get("/a")
    order = [None, *sent]
    oldest = order.index(acked[-1]) if acked else 0
    assert got in order[oldest:], f"{None if got is None else got[:20]} after {len(acked)} acks"


def store_whole(disk: SimulatedDisk) -> None:
    for value in (OLD, NEW):
        disk.sent(value)
        write_whole(disk, A, value)
        disk.acked(value)


def store(disk: SimulatedDisk, *, sync=True, rename=True, sync_dir=True, ack_early=False) -> None:
    for value in (OLD, NEW):
        disk.sent(value)
        if ack_early:
            disk.acked(value)
        place = Path("/a.tmp") if rename else A
        file = disk.create(place) if not disk.exists(place) else disk.open_write(place)
        write_all(file, value, 0)
        if sync:
            file.datasync()
        file.close()
        if rename:
            disk.rename(place, A)
        if sync_dir:
            disk.sync_dir(Path("/"))
        disk.acked(value)


def test_the_right_way_survives_everything():
    report = explore(store_whole, check_value, seed=1)

    assert not report.violations, report
    assert report.images > 15


@pytest.mark.parametrize(
    "wrong",
    [{"sync": False}, {"rename": False}, {"sync_dir": False}, {"ack_early": True}],
    ids=lambda w: next(iter(w)),
)
def test_each_wrong_way_is_found_and_replays_by_its_id(wrong):
    report = explore(lambda disk: store(disk, **wrong), check_value, seed=1)

    assert report.violations, report
    name = report.violations[0].split()[1]
    with pytest.raises(AssertionError):
        explore(lambda disk: store(disk, **wrong), check_value, seed=1, only=name)


def test_the_same_seed_makes_the_same_states():
    def names(seed: int) -> list[tuple]:
        disk = SimulatedDisk()
        store(disk, sync=False)
        return [
            (state.name, state.story, state.image.tree())
            for state in crash_states(disk, seed=seed, per_point=50)
        ]

    assert names(3) == names(3)
    assert names(3) != names(4)


def test_every_kind_of_loss_happens():
    """Two writes of several sectors, unsynced: nothing, prefix, gap, zeros, cut, sectors, all."""
    disk = SimulatedDisk()
    file = disk.create(A)
    disk.sync_dir(Path("/"))
    write_all(file, b"1" * 2000, 0)
    write_all(file, b"2" * 2000, 2000)

    found = {
        state.image.tree()["/a"]
        for state in crash_states(disk, seed=1, per_point=400)
        if "/a" in state.image.tree()
    }

    assert {b"", b"1" * 2000, b"1" * 2000 + b"2" * 2000} <= found
    assert bytes(2000) + b"2" * 2000 in found  # the first lost, or zeros
    assert b"1" * 2000 + bytes(2000) in found
    assert any(0 < len(data) < 2000 for data in found)
    sectors = [data for data in found if len(data) == 4000 and b"1" in data[:2000] and 0 in data]
    assert any(0 in data[:2000] for data in sectors)


def test_what_a_failed_sync_lost_no_later_sync_brings_back():
    disk = SimulatedDisk()
    disk.create(A).close()
    disk.sync_dir(Path("/"))
    file = FaultyFiles(disk, 3, Fault.EIO).open_write(A)
    write_all(file, b"12", 0)
    with pytest.raises(OSError, match="Input/output") as caught:
        file.datasync()
    assert caught.value.errno == errno.EIO
    file.datasync()  # says it is fine

    contents = [s.image.tree().get("/a") for s in crash_states(disk, seed=1, per_point=400)]
    assert contents[-1] == b""
    assert disk.tree()["/a"] == b"12"  # the page cache still shows it


def test_names_and_contents_are_lost_independently():
    disk = SimulatedDisk()
    disk.mkdir(D)
    file = disk.create(D / "f")
    write_all(file, b"data", 0)
    file.sync()

    trees = [s.image.tree() for s in crash_states(disk, seed=1, per_point=400)]
    disk.sync_dir(D)
    after = [s.image.tree() for s in crash_states(disk, seed=1, per_point=400)][-1]

    assert {} in trees
    assert {"/d": None} in trees
    assert {"/d": None, "/d/f": b"data"} in trees
    assert "/d" in after  # the last choice is always "all"


def test_large_choices_are_sampled_with_both_extremes():
    disk = SimulatedDisk()
    for n in range(6):
        write_all(disk.create(Path(f"/{n}")), b"x" * 1000, 0)

    states = list(crash_states(disk, seed=1, per_point=40))
    last = [s.image.tree() for s in states if s.name.startswith(f"{len(disk.ops) - 1}:")]

    assert len(last) == 40
    assert {} in last
    assert {f"/{n}": b"x" * 1000 for n in range(6)} in last


def test_faults_hit_the_call_they_count():
    disk = SimulatedDisk()
    faulty = FaultyFiles(disk, 2, Fault.EIO)
    file = faulty.create(A)
    with pytest.raises(OSError, match="Input/output"):
        file.pwrite(b"abc", 0)
    assert faulty.fired == ["pwrite"]
    assert file.pwrite(b"abc", 0) == 3

    short = FaultyFiles(disk, 1, Fault.SHORT)
    assert short.open_write(A).pwrite(b"abcdef", 0) == 3
    full = FaultyFiles(disk, 1, Fault.ENOSPC, last=None)
    assert full.open_read(A).pread(3, 0) == b"abc"  # reading needs no space
    for _ in range(2):
        with pytest.raises(OSError, match="No space"):
            full.mkdir(D)


def test_the_simulated_disk_answers_like_a_real_one(tmp_path: Path):
    """Random operations on both; the same answers, the same errors, the same tree."""
    from tsdb.vfs import OsFiles

    rng = random.Random(5)
    real, simulated = OsFiles(), SimulatedDisk()
    names = ["a", "b", "d", "d/a", "d/b", "e", "e/a"]

    def run(files, root: Path, call: str, one: str, two: str, offset: int) -> object:
        first, second = root / one, root / two
        try:
            if call in ("rename", "link"):
                return getattr(files, call)(first, second)
            if call == "write":
                file = files.open_write(first)
                write_all(file, one.encode() * 5, offset)
            elif call == "truncate":
                file = files.open_write(first)
                file.truncate(offset)
            elif call == "create":
                file = files.create(first)
            else:
                return getattr(files, call)(first)
            result = (file.size(), file.pread(8, offset))
            file.close()
        except OSError as error:
            return type(error).__name__
        return result

    calls = ["create", "create", "mkdir", "write", "write", "truncate", "rename", "link", "unlink",
             "rmdir", "list", "exists", "is_dir", "sync_dir"]  # fmt: skip
    for _ in range(3000):
        step = (rng.choice(calls), rng.choice(names), rng.choice(names), rng.randrange(40))
        if step[0] == "rename" and (step[2].startswith(step[1]) or step[1].startswith(step[2])):
            continue  # into itself: another error number, never done here
        got, want = run(simulated, Path("/"), *step), run(real, tmp_path, *step)
        if isinstance(want, str) and step[0] in ("rename", "link", "rmdir", "list", "unlink"):
            want = got if isinstance(got, str) else want  # which error is the system's choice
        assert got == want, step
    tree = {
        "/" + str(path.relative_to(tmp_path)): None if path.is_dir() else path.read_bytes()
        for path in tmp_path.rglob("*")
    }
    assert simulated.tree() == tree


def test_locks_exclude():
    disk = SimulatedDisk()
    lock = disk.lock(Path("/LOCK"))
    with pytest.raises(Unavailable):
        disk.lock(Path("/LOCK"))
    lock.release()
    disk.lock(Path("/LOCK")).release()


def test_a_mutant_lives_beside_the_original():
    import tsdb.log.record as original

    with mutant(
        "tsdb/log/record.py", 'MAGIC = b"SW"', 'MAGIC = b"XX"', module="tsdb.log.wal"
    ) as wal:
        assert wal.record.MAGIC == b"XX"
    import tsdb.log.wal as again

    assert again.record is original
    assert original.MAGIC == b"SW"
    with (
        pytest.raises(AssertionError, match="need one"),
        mutant("tsdb/log/record.py", "no such text", "", module="tsdb.log.wal"),
    ):
        pass
