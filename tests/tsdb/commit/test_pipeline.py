"""tsdb.commit.pipeline: who is answered what, and what is in the log by then."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from crash.database_disks import HeldFiles
from crash.disk import SimulatedDisk
from crash.faults import Fault, FaultyFiles

import tsdb
from tsdb import limits
from tsdb.batch import Columns, Parsed
from tsdb.commit.naming import CANONICAL
from tsdb.commit.request import REFUSALS_TOLD_MAX, Ack, Request
from tsdb.index.labels import canonical
from tsdb.index.matchers import Matcher, Op
from tsdb.index.selector import parse_series
from tsdb.log.control import Delete
from tsdb.log.reserve import LOOK_APPENDS

NOW_MS = 1_700_000_000_000
ANSWER_S = 60


def opened(files: object, **options: object) -> tsdb.Database:
    return tsdb.open(
        "/db",
        files=files,
        background=False,
        memory_limit_bytes=1,
        clock_ns=lambda: NOW_MS * 1_000_000,
        **options,
    )


def parsed(*points: tuple[str, int, float]) -> Parsed:
    """A run for each point."""
    keys = [canonical(parse_series(name)) for name, _, _ in points]
    ends = np.cumsum([len(key) for key in keys], dtype=np.int64)
    starts = np.concatenate(([0], ends[:-1])).astype(np.int64)
    columns = Columns(
        np.arange(len(points) + 1, dtype=np.int64),
        np.array([t for _, t, _ in points], np.int64),
        np.array([v for _, _, v in points], np.float64),
    )
    text = np.frombuffer(b"".join(keys), np.uint8)
    return Parsed(CANONICAL, text, starts, ends, columns, canonical=bytes)


class Answers:
    """What callers were told, by name."""

    def __init__(self) -> None:
        self.given: dict[str, object] = {}
        self._changed = threading.Condition()

    def of(self, name: str) -> Callable[[object], None]:
        def done(outcome: object) -> None:
            with self._changed:
                assert name not in self.given, f"{name} was answered twice"
                self.given[name] = outcome
                self._changed.notify_all()

        return done

    def wait(self, count: int) -> dict[str, object]:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.given) >= count, ANSWER_S), self.given
        return self.given


def submit(
    db: tsdb.Database, answers: Answers, *points: tuple[str, int, float], **how: object
) -> None:
    name = points[0][0]
    how = {"size_bytes": 16 * len(points), **how}
    db.submit(lambda: parsed(*points), done=answers.of(name), **how)


def values(db: tsdb.Database, selector: str = "{}") -> dict[str, list[float]]:
    return {s.labels["__name__"]: s.values.tolist() for s in db.select(selector)}


def syncs(disk: SimulatedDisk) -> int:
    return sum(op[0] == "sync" for op in disk.ops)


# --- groups ------------------------------------------------------------------------------------


def test_all_that_waits_during_a_sync_shares_the_next() -> None:
    disk = SimulatedDisk()
    files, answers = HeldFiles(disk), Answers()
    with opened(files) as db:
        with files.held():
            submit(db, answers, ("first", NOW_MS, 0.0))
            assert files.waiting.wait(ANSWER_S)
            before = syncs(disk)
            for n in range(500):
                submit(db, answers, (f"s{n}", NOW_MS, float(n)))
            assert not answers.given, "nobody is answered before the sync"
        answers.wait(501)
        assert all(
            isinstance(told, tsdb.Written) and told.durable for told in answers.given.values()
        )
        assert syncs(disk) - before <= 5, "one sync for the first, then groups"
        assert len(db.select("{}")) == 501


def test_what_is_not_durable_is_not_visible() -> None:
    files, answers = HeldFiles(SimulatedDisk()), Answers()
    with opened(files) as db:
        with files.held():
            submit(db, answers, ("seen", NOW_MS, 1.0))
            assert files.waiting.wait(ANSWER_S)
            assert values(db) == {}
        answers.wait(1)
        assert values(db) == {"seen": [1.0]}


def test_writes_and_deletes_of_one_group_take_effect_in_order() -> None:
    files, answers = HeldFiles(SimulatedDisk()), Answers()
    with opened(files) as db:
        with files.held():
            submit(db, answers, ("other", NOW_MS, 0.0))
            assert files.waiting.wait(ANSWER_S)
            submit(db, answers, ("a", NOW_MS, 1.0), ("a", NOW_MS + 1, 2.0))
            delete = Request(done=answers.of("delete"), delete=Delete("a", NOW_MS, NOW_MS + 9))
            db.parts.pipeline.submit(delete)
            db.submit(lambda: parsed(("a", NOW_MS + 1, 3.0)), size_bytes=16, done=answers.of("a2"))
        told = answers.wait(4)
        assert told["delete"].series == 1
        assert values(db, "a") == {"a": [3.0]}


def test_close_commits_what_waits() -> None:
    disk = SimulatedDisk()
    files, answers = HeldFiles(disk), Answers()
    db = opened(files)
    with files.held():
        submit(db, answers, ("first", NOW_MS, 0.0))
        assert files.waiting.wait(ANSWER_S)
        for n in range(20):
            submit(db, answers, (f"s{n}", NOW_MS, float(n)))
        closing = threading.Thread(target=db.close)
        closing.start()
    closing.join(ANSWER_S)
    assert len(answers.given) == 21
    assert all(isinstance(told, tsdb.Written) for told in answers.given.values())
    with pytest.raises(tsdb.Unavailable, match="closed"):
        submit(db, answers, ("late", NOW_MS, 0.0))
    with opened(disk) as db:
        assert len(db.select("{}")) == 21


def test_many_threads_lose_nothing() -> None:
    disk = SimulatedDisk()

    def write(thread: int) -> None:
        for n in range(40):
            written = db.write_many(
                [f"own/{thread}", "shared"],
                [[NOW_MS + n], [NOW_MS + thread * 40 + n]],
                [[float(n)], [float(thread)]],
            )
            assert written.points == 2
            assert db.select(f"own/{thread}")[0].values.size == n + 1, "read your writes"

    with opened(disk) as db, ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(8)))
    with opened(disk) as db:
        held = values(db)
    assert held.pop("shared") == [float(thread) for thread in range(8) for _ in range(40)]
    assert held == {f"own/{thread}": [float(n) for n in range(40)] for thread in range(8)}


# --- acks --------------------------------------------------------------------------------------


def test_ack_memory_is_visible_and_not_synced_yet() -> None:
    files, answers = HeldFiles(SimulatedDisk()), Answers()
    with opened(files) as db:
        with files.held():  # an idle mark may sync; the answer does not wait for it
            written = db.write("soon", [NOW_MS], [1.0], ack=Ack.MEMORY)
            assert not written.durable
            assert values(db) == {"soon": [1.0]}
            left_by_kill = files.disk.copy()
        submit(db, answers, ("now", NOW_MS, 2.0))
        assert answers.wait(1)["now"].durable
    with opened(left_by_kill) as db:
        assert values(db) == {"soon": [1.0]}, "kill -9 takes nothing of the page cache"


def test_a_group_with_one_durable_request_is_durable_for_all() -> None:
    files, answers = HeldFiles(SimulatedDisk()), Answers()
    with opened(files) as db:
        with files.held():
            submit(db, answers, ("first", NOW_MS, 0.0))
            assert files.waiting.wait(ANSWER_S)
            submit(db, answers, ("soft", NOW_MS, 1.0), ack=Ack.MEMORY)
            submit(db, answers, ("hard", NOW_MS, 1.0), ack=Ack.APPLIED)
        told = answers.wait(3)
        assert told["hard"].durable


# --- limits ------------------------------------------------------------------------------------


def test_a_full_queue_is_busy_and_empties() -> None:
    files, answers = HeldFiles(SimulatedDisk()), Answers()
    share = limits.QUEUE_BYTES_MAX // 8
    with opened(files) as db:
        with files.held():
            submit(db, answers, ("first", NOW_MS, 0.0))
            assert files.waiting.wait(ANSWER_S)
            taken = 0
            with pytest.raises(tsdb.Unavailable, match="QUEUE_BYTES_MAX") as refusal:
                for n in range(100):
                    submit(db, answers, (f"s{n}", NOW_MS, float(n)), size_bytes=share)
                    taken += 1
            assert refusal.value.code == "busy"
            assert 7 <= taken <= 16
        answers.wait(taken + 1)
        assert db.stats().queue_bytes == 0
        submit(db, answers, ("again", NOW_MS, 0.0), size_bytes=share)
        answers.wait(taken + 2)


def test_refusals_are_counted_all_and_told_in_part() -> None:
    with opened(SimulatedDisk()) as db:
        stamps = [NOW_MS] + [NOW_MS + 10**12 + n for n in range(150)]
        written = db.write("s", stamps, np.arange(151.0))
        assert (written.points, written.refused_count) == (1, 150)
        assert len(written.refused) == REFUSALS_TOLD_MAX
        assert "point 2 of s" in written.refused[0]


# --- what fails alone ----------------------------------------------------------------------------


def test_a_parser_that_fails_fails_its_own_request() -> None:
    """Refused input, a bug, and an answer that is no answer: the neighbours are written."""
    told_of: list[BaseException] = []
    files, answers = HeldFiles(SimulatedDisk()), Answers()

    def refuse() -> Parsed:
        raise tsdb.InvalidInput("line 3: no number")

    def stumble() -> Parsed:
        raise ZeroDivisionError

    with opened(files, on_failure=told_of.append) as db:
        with files.held():
            submit(db, answers, ("first", NOW_MS, 0.0))
            assert files.waiting.wait(ANSWER_S)
            submit(db, answers, ("before", NOW_MS, 1.0))
            db.submit(refuse, size_bytes=1, done=answers.of("refuse"))
            db.submit(stumble, size_bytes=1, done=answers.of("stumble"))
            db.submit(lambda: object(), size_bytes=1, done=answers.of("object"))  # type: ignore[arg-type,return-value]
            submit(db, answers, ("after", NOW_MS, 2.0))
        told = answers.wait(6)
        assert str(told["refuse"]) == "line 3: no number"
        assert "internal error: ZeroDivisionError" in str(told["stumble"])
        assert "internal error" in str(told["object"])
        assert {type(error).__name__ for error in told_of} == {
            "ZeroDivisionError",
            "AttributeError",
        }
        assert values(db) == {"first": [0.0], "before": [1.0], "after": [2.0]}
        assert db.write("later", [NOW_MS], [1.0]).durable


def test_a_caller_that_is_gone_keeps_nobody_waiting() -> None:
    told_of: list[BaseException] = []

    def gone(outcome: object) -> None:
        raise RuntimeError("event loop is closed")

    with opened(SimulatedDisk(), on_failure=told_of.append) as db:
        db.submit(lambda: parsed(("a", NOW_MS, 1.0)), size_bytes=16, done=gone)
        db.submit(lambda: parsed(("a", NOW_MS + 10**13, 1.0)), size_bytes=16, done=gone)
        db.write("b", [NOW_MS], [2.0])
        assert values(db) == {"a": [1.0], "b": [2.0]}
        assert [str(error) for error in told_of] == ["event loop is closed"] * 2


def test_a_bug_in_the_gate_latches_and_leaves_nobody_waiting() -> None:
    """An entry that cannot be encoded: all who wait are answered, and reads go on."""
    told_of: list[BaseException] = []
    answers = Answers()

    def shout(error: BaseException) -> None:
        told_of.append(error)
        raise RuntimeError("whoever is told may fail too")

    with opened(SimulatedDisk(), on_failure=shout) as db:
        db.write("kept", [NOW_MS], [1.0])
        request = Request(done=answers.of("odd"), delete=Delete("\ud800", 0, 1))
        db.parts.pipeline.submit(request)
        assert "UnicodeEncodeError" in str(answers.wait(1)["odd"])
        with pytest.raises(tsdb.StorageFailed):
            db.write("more", [NOW_MS], [1.0])
        assert values(db) == {"kept": [1.0]}
        assert isinstance(told_of[0], UnicodeEncodeError)


TOO_MANY = [Matcher(f"l{n}", Op.EQUAL, "") for n in range(limits.MATCHERS_PER_SELECTOR_MAX + 1)]
TOO_LONG = [Matcher(f"l{n}", Op.EQUAL, "x" * 4000) for n in range(5)]


@pytest.mark.parametrize(
    ("selector", "start", "end"),
    [
        ("a", -(2**70), 0),
        ("a", 0, 2**63),
        ("a", 0.5, 1.5),
        ("a", 2, 1),
        ("{a=", 0, 1),
        (TOO_MANY, 0, 1),
        (TOO_LONG, 0, 1),
    ],
    ids=["below int64", "above int64", "fractions", "reversed", "no selector", "many", "long"],
)
def test_a_delete_that_no_replay_could_apply_is_refused(
    selector: object, start: int, end: int
) -> None:
    """In the log it would stop this process, and every one that opens the directory after it."""
    disk = SimulatedDisk()
    with opened(disk) as db:
        with pytest.raises(tsdb.InvalidInput):
            db.delete(selector, start, end)
        assert db.write("a", [NOW_MS], [1.0]).durable
    with opened(disk) as db:
        assert values(db) == {"a": [1.0]}


def test_a_horizon_beyond_int64_is_refused() -> None:
    with opened(SimulatedDisk()) as db:
        with pytest.raises(tsdb.InvalidInput):
            db.forget_before(2**63)
        assert db.write("a", [NOW_MS], [1.0]).durable


# --- failing disks ---------------------------------------------------------------------------


def test_new_series_written_into_a_full_disk_are_whole_afterwards() -> None:
    """Their definitions were lost with the failed entry; the next entry repeats them."""
    disk = SimulatedDisk()
    expected = {"old": [float(n) for n in range(LOOK_APPENDS - 1)]}
    with opened(disk) as db:
        enough, disk.free = disk.free, (0, disk.free[1])
        for n in range(LOOK_APPENDS - 1):
            db.write("old", [NOW_MS + n], [float(n)])  # the disk is looked at now and then
        for n in range(3):
            with pytest.raises(tsdb.Unavailable, match="disk full") as refusal:
                db.write(f"new/{n}", [NOW_MS], [2.0])
            assert refusal.value.code == "disk_full"
        assert values(db) == expected, "reads go on"
        disk.free = enough
        db.write_many(["new/1", "old", "newest"], [[NOW_MS + 9999]] * 3, [[3.0], [4.0], [5.0]])
        db.write("new/0", [NOW_MS + 2], [6.0])
        expected["old"].append(4.0)
        expected |= {"new/1": [3.0], "newest": [5.0], "new/0": [6.0]}
        assert values(db) == expected
    with opened(disk) as db:
        assert values(db) == expected
        db.flush()
    with opened(disk) as db:
        assert values(db) == expected


@pytest.mark.parametrize("flushed", [False, True])
@pytest.mark.parametrize("nth", range(1, 11))
def test_definitions_survive_any_full_call(nth: int, flushed: bool) -> None:
    """ENOSPC at the n-th call while writers with new series wait in groups; then all try again."""
    disk = SimulatedDisk()
    opened(disk).close()
    files = FaultyFiles(HeldFiles(disk), nth + 20, Fault.ENOSPC, last=2)
    kept: dict[str, list[float]] = {}
    with opened(files) as db:
        for n in range(12):
            name = f"s{n % 5}"
            with contextlib.suppress(tsdb.Unavailable):  # and nothing else
                db.write_many([name, f"fresh/{n}"], [[NOW_MS + n]] * 2, [[float(n)]] * 2)
                kept.setdefault(name, []).append(float(n))
                kept[f"fresh/{n}"] = [float(n)]
        db.write(
            "end", [NOW_MS], [0.0]
        )  # until another entry has its place, an attempt may be kept
        kept["end"] = [0.0]
        assert values(db) == kept
        if flushed:
            try:
                db.flush()
            except tsdb.Unavailable:
                db.flush()
    with opened(disk) as db:
        assert values(db) == kept


def test_a_name_that_came_with_a_refused_point_keeps_later_ones() -> None:
    """Refused and new in the same group as another new series: refs reach the log in order.

    If not, an index file would pass over the lower one, and a trimmed log would lose its name.
    """
    disk = SimulatedDisk()
    files, answers = HeldFiles(disk), Answers()
    with opened(files) as db:
        with files.held():
            submit(db, answers, ("first", NOW_MS, 0.0))
            assert files.waiting.wait(ANSWER_S)
            submit(db, answers, ("refused", NOW_MS + 10**12, 1.0))
            db.submit(
                lambda: parsed(("empty", NOW_MS, 1.0), ("bad", NOW_MS + 10**12, 1.0)),
                size_bytes=32,
                done=answers.of("empty"),
            )
            submit(db, answers, ("beside", NOW_MS, 2.0))
        told = answers.wait(4)
        assert isinstance(told["refused"], tsdb.InvalidInput)
        db.flush()
        db.write("refused", [NOW_MS], [3.0])
        db.write("bad", [NOW_MS], [4.0])
        db.flush()
    with opened(disk) as db:
        assert values(db, "refused") == {"refused": [3.0]}
        assert values(db, "bad") == {"bad": [4.0]}


def test_a_request_refused_as_a_whole_may_name_series_without_points() -> None:
    disk = SimulatedDisk()
    files, answers = HeldFiles(disk), Answers()

    def empty_and_wrong() -> Parsed:
        both = parsed(("nothing", NOW_MS, 1.0), ("wrong", NOW_MS, 1.0))
        columns = Columns(np.array([0, 0, 1], np.int64), both.columns.timestamps[1:], np.zeros(1))

        def canonical_of(raw: bytes) -> bytes:
            if b"wrong" in raw:
                raise tsdb.InvalidInput("no such name")
            return raw

        return replace(both, form="odd", columns=columns, canonical=canonical_of)

    with opened(files) as db:
        with files.held():
            submit(db, answers, ("first", NOW_MS, 0.0))
            assert files.waiting.wait(ANSWER_S)
            db.submit(empty_and_wrong, size_bytes=limits.MIB, done=answers.of("odd"))
            submit(db, answers, ("beside", NOW_MS, 2.0))
        assert isinstance(answers.wait(3)["odd"], tsdb.InvalidInput)
        db.flush()
        db.write("nothing", [NOW_MS], [3.0])
        db.flush()
    with opened(disk) as db:
        assert values(db, "nothing") == {"nothing": [3.0]}


def test_a_failed_sync_fails_all_who_wait_and_all_who_come() -> None:
    """Nothing is acked after it; what was acked before can be read, here and after a restart."""
    disk = SimulatedDisk()
    held, answers = HeldFiles(disk), Answers()
    told_of: list[BaseException] = []
    with opened(held, on_failure=told_of.append) as db:
        db.write("kept", [NOW_MS], [1.0])
        with held.held():
            submit(db, answers, ("first", NOW_MS, 0.0))
            assert held.waiting.wait(ANSWER_S)
            for n in range(10):
                submit(db, answers, (f"s{n}", NOW_MS, float(n)))
            held.failing = True
        told = answers.wait(11)
        assert all(isinstance(outcome, tsdb.StorageFailed) for outcome in told.values())
        held.failing = False  # the kernel would call the next one a success
        with pytest.raises(tsdb.StorageFailed):
            db.write("late", [NOW_MS], [1.0])
        with pytest.raises(tsdb.StorageFailed):
            db.delete("kept")
        assert values(db) == {"kept": [1.0]}
        assert len(told_of) == 1
    with opened(disk) as db:
        found = values(db)
        assert found.pop("kept") == [1.0]
        assert found.keys() <= told.keys(), "unknown outcome: may be there"
