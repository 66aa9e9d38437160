"""The database as a library: what `import tsdb` offers, from outside."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import tsdb
from tsdb import limits


@pytest.fixture
def db(tmp_path: Path) -> tsdb.Database:
    with tsdb.open(tmp_path / "db") as database:
        yield database


def test_importing_costs_numpy_and_the_standard_library() -> None:
    code = (
        "import sys, tsdb\n"
        "heavy = {'numba', 'pyroaring', 'xxhash', 're2', 'orjson', 'fastapi', 'typer'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )

    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def test_the_public_face_is_pinned() -> None:
    assert len(tsdb.__all__) <= 12
    assert all(getattr(tsdb, name) is not None for name in tsdb.__all__)


def test_columns_in_columns_out(db: tsdb.Database) -> None:
    written = db.write('cpu{host="a"}', [1_000, 3_000, 2_000], [1, 3, 2])
    (series,) = db.select('cpu{host="a"}', 1_000, 2_999)

    assert (written.points, written.durable) == (3, True)
    assert dict(series.labels) == {"__name__": "cpu", "host": "a"}
    assert series.timestamps.tolist() == [1_000, 2_000]
    assert series.values.tolist() == [1.0, 2.0]
    with pytest.raises(ValueError, match="read-only"):
        series.values[0] = 9


def test_every_bit_of_a_float_survives(db: tsdb.Database) -> None:
    bits = np.array([0x7FF8000000000001, 1 << 63, 1, 0x7FF0000000000002, 0xFFF << 52], np.uint64)
    db.write("odd", np.arange(5), bits.view(np.float64))
    db.flush()

    assert (db.select("odd")[0].values.view(np.uint64) == bits).all()


def test_many_series_at_once_are_one_write(db: tsdb.Database) -> None:
    written = db.write_many(
        ["a", {"__name__": "b", "room": "küche"}], [[1, 2], np.array([3])], [[1.0, 2.0], [3.0]]
    )

    assert written.points == 3
    assert [str(labels) for labels in db.series()] == ["a", 'b{room="küche"}']
    assert db.label_values("room") == ["küche"]


def test_what_is_wrong_is_named(db: tsdb.Database) -> None:
    with pytest.raises(tsdb.InvalidInput, match="write_many takes many"):
        db.write(["a", "b"], [1], [1.0])  # type: ignore[arg-type]
    with pytest.raises(tsdb.InvalidInput, match="2 timestamps for 1 values"):
        db.write("x", [1, 2], [1.0])
    with pytest.raises(tsdb.InvalidInput, match="integers"):
        db.write("x", [1.5], [1.0])
    with pytest.raises(tsdb.InvalidInput, match="ahead of the clock"):
        db.write("x", [2**62], [1.0])
    with pytest.raises(tsdb.InvalidInput, match="before start"):
        db.select("x", 2, 1)
    with pytest.raises(tsdb.InvalidInput):
        db.write('x{a="1",a="2"}', [1], [1.0])
    with pytest.raises(tsdb.LimitExceeded, match="LABEL_VALUE_BYTES_MAX"):
        db.write({"__name__": "x", "a": "v" * 65_536}, [1], [1.0])
    with pytest.raises(tsdb.LimitExceeded, match="POINTS_PER_REQUEST_MAX"):
        db.write("x", np.arange(1_000_001), np.zeros(1_000_001))
    assert len(db.select("{}")) == 0


def test_resolution_is_chosen_once(tmp_path: Path) -> None:
    with tsdb.open(tmp_path / "ns", resolution="ns") as db:
        db.write("fine", [1_700_000_000_000_000_001], [1.0])
    with pytest.raises(tsdb.InvalidInput, match="never changes"):
        tsdb.open(tmp_path / "ns", resolution="ms")
    with tsdb.open(tmp_path / "ns") as db:
        assert db.select("fine")[0].timestamps.tolist() == [1_700_000_000_000_000_001]


def test_one_process_at_a_time_and_its_pid_is_named(tmp_path: Path) -> None:
    with tsdb.open(tmp_path / "db"):
        code = f"import tsdb; tsdb.open({str(tmp_path / 'db')!r})"
        second = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        import os

        assert second.returncode != 0
        assert f"process {os.getpid()}" in second.stderr


def test_a_snapshot_is_a_database_of_its_own(tmp_path: Path) -> None:
    with tsdb.open(tmp_path / "db") as db:
        db.write("kept", [1, 2], [1.0, 2.0])
        db.delete("kept", 2, 2)
        db.snapshot(tmp_path / "copy")
        db.write("kept", [3], [3.0])
        with tsdb.open(tmp_path / "copy", read_only=True) as copy:
            assert copy.select("kept")[0].timestamps.tolist() == [1]
            with pytest.raises(tsdb.InvalidInput, match="read-only"):
                copy.write("kept", [9], [9.0])
        with pytest.raises(tsdb.InvalidInput, match="exists"):
            db.snapshot(tmp_path / "copy")
    with tsdb.open(tmp_path / "copy") as copy:
        copy.write("kept", [4], [4.0])
        assert copy.select("kept")[0].timestamps.tolist() == [1, 4]


def test_a_closed_database_says_so(tmp_path: Path) -> None:
    db = tsdb.open(tmp_path / "db")
    db.close()
    db.close()

    with pytest.raises(tsdb.Unavailable, match="closed"):
        db.select("x")
    with pytest.raises(tsdb.Unavailable, match="closed"):
        db.write("x", [1], [1.0])


def test_threads_write_and_read_together(db: tsdb.Database) -> None:
    """Each thread sees its own writes as soon as they are acked."""
    problems: list[str] = []

    def work(me: int) -> None:
        for i in range(20):
            db.write(f"thread/{me}", [i], [float(i)])
            got = db.select(f"thread/{me}")[0].values.tolist()
            if got != [float(k) for k in range(i + 1)]:
                problems.append(f"thread {me} read {got} after {i + 1} acks")

    threads = [threading.Thread(target=work, args=(me,)) for me in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert not problems


def test_frames_and_arrow_hold_the_same_points(db: tsdb.Database) -> None:
    db.write_many(
        ['cpu{host="a"}', 'cpu{host="b",core="1"}'],
        [[1_000, 2_000], [1_500]],
        [[1.0, np.nan], [3.0]],
    )
    selection = db.select("cpu")
    pandas, polars = selection.to_pandas(), selection.to_polars()

    assert list(pandas["host"]) == ["b", "a", "a"]
    assert pandas["core"].isna().tolist() == [False, True, True]
    assert pandas["timestamp"].astype("int64").tolist() == [1_500, 1_000, 2_000]
    assert polars["host"].to_list() == ["b", "a", "a"]
    assert polars["core"].to_list() == ["1", None, None]
    assert polars["value"].to_list()[:2] == [3.0, 1.0]
    assert polars["timestamp"].dt.epoch("ms").to_list() == [1_500, 1_000, 2_000]


def test_one_series_is_deleted_by_all_its_labels(tmp_path: Path) -> None:
    """Also where a selector would need more matchers than it may have; also after a restart."""
    few = {"__name__": "m"}
    many = few | {f"l{i:02d}": "x" for i in range(limits.LABELS_PER_SERIES_MAX - 1)}
    others = [few | {f"l{i:02d}": "x"} for i in range(limits.MATCHERS_PER_SELECTOR_MAX + 8)]
    with tsdb.open(tmp_path / "db") as db:
        for labels in (few, many, *others):
            db.write(labels, [1_000, 2_000], [1, 2])
        db.flush()
        assert db.delete_one(few, 0, 1_000) == 1
        assert db.delete_one(many) == 1
        assert db.delete_one({"__name__": "m", "l01": "y"}) == 0

    for _ in range(2):  # from the log, then from the manifest
        with tsdb.open(tmp_path / "db") as db:
            found = {tuple(one.labels.items()): one.timestamps.tolist() for one in db.select("m")}
            assert found.pop((("__name__", "m"),)) == [2_000]
            assert list(found.values()) == [[1_000, 2_000]] * len(others)
            db.flush()
