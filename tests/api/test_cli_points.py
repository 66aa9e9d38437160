"""silverback import, export, query: what goes in comes out, from a directory and from a server."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tsdb
from api import cli
from api.exits import Exit

T = 1_769_860_800_000  # 2026-01-31T12:00:00Z
HARD = [0.1, -0.0, 5e-324, 1.7976931348623157e308, 1e15 + 0.3, 1e-7, 123456789.0]
Say = Callable[..., tuple[int, str, str]]


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Say:
    """Run a command in an empty folder: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str, str]:
        code = cli.run(list(arguments))
        told = capsys.readouterr()
        return code, told.out, told.err

    return run


@pytest.fixture(params=["directory", "server"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> list[str]:
    """Where commands look: both must behave the same."""
    if request.param == "directory":
        return ["--data", str(tmp_path / "db")]
    server = request.getfixturevalue("server")
    return ["--url", f"127.0.0.1:{server.port}"]


def test_a_csv_file_goes_in_and_comes_out(say: Say, place: list[str], tmp_path: Path) -> None:
    rows = "".join(f"{T / 1000 + 60 * i},{v!r}\n" for i, v in enumerate(HARD))
    (tmp_path / "walk.csv").write_text("timestamp,value\n" + rows)

    code, out, _ = say("import", "walk.csv", "--series", "cli/walk", *place)
    assert (code, "7 points" in out) == (Exit.OK, True)

    code, out, _ = say("query", "cli/walk", "--json", *place)
    (series,) = json.loads(out)["series"]
    assert series["metric"] == {"__name__": "cli/walk"}
    assert series["timestamps"] == [T + 60_000 * i for i in range(len(HARD))]
    got, expected = np.array(series["values"]), np.array(HARD)
    assert (got.view(np.uint64) == expected.view(np.uint64)).all()


@pytest.mark.parametrize("name", ["dump.jsonl", "dump.jsonl.gz", "dump.csv", "dump.csv.zst"])
def test_an_export_is_an_import(say: Say, tmp_path: Path, name: str) -> None:
    with tsdb.open(tmp_path / "a") as db:
        db.write('cpu{host="a,\\"b\\""}', T + np.arange(len(HARD)), HARD)
        db.write("rooms/kitchen", [T], [21.5])

    code, _, err = say("export", "{}", "--data", "a", "-o", name)
    assert (code, f"of text in {name}" in err) == (Exit.OK, True)
    assert say("import", name, "--data", "b")[0] == Exit.OK

    with tsdb.open(tmp_path / "a") as a, tsdb.open(tmp_path / "b") as b:
        before, after = a.select("{}"), b.select("{}")
        assert before.labels() == after.labels()
        assert np.array_equal(before.columns().timestamps, after.columns().timestamps)
        bits = [s.columns().values.view(np.uint64) for s in (before, after)]
        assert np.array_equal(*bits)


def test_a_wrong_line_is_named_and_costs_only_itself(
    say: Say, place: list[str], tmp_path: Path
) -> None:
    (tmp_path / "rooms.csv").write_text("timestamp,value\n1769860800,1\n1769860860,warm\n")

    code, out, err = say("import", "rooms.csv", *place)

    assert code == Exit.BAD_DATA
    assert "1 points from rooms.csv, on disk" in out
    assert "rooms.csv: line 3: " in err
    assert "warm" in err


def test_lines_are_numbered_through_the_whole_file(
    say: Say, place: list[str], tmp_path: Path
) -> None:
    """Although a long file goes in as many requests."""
    good = '{"metric":{"__name__":"cli_many"},"values":[1],"timestamps":[%d]}\n'
    lines = [good % (T + i) for i in range(60_000)]
    lines[54_321] = "{}\n"
    with gzip.open(tmp_path / "many.jsonl.gz", "wt") as file:
        file.writelines(lines)

    code, out, _ = say("import", "many.jsonl.gz", "--json", *place)

    assert code == Exit.BAD_DATA
    report = json.loads(out)
    assert report["points"] == 59_999
    assert report["refused_count"] == 1
    assert report["files"][0]["refused"][0].startswith("line 54322: ")


def test_labels_are_added_and_none_is_overruled(say: Say, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(
        'series,timestamp,value\n"temp{room=""hall""}",1769860800,1\ntemp,1769860800,2\n'
    )
    assert say("import", "t.csv", "--data", "db", "-l", "room=attic", "-l", "dc=x")[0] == Exit.OK

    with tsdb.open(tmp_path / "db") as db:
        found = {str(one.labels): one.values.tolist() for one in db.select("temp")}
    assert found == {
        'temp{dc="x", room="hall"}': [1.0],
        'temp{dc="x", room="attic"}': [2.0],
    }


def test_a_wide_file_is_a_series_a_column(say: Say, tmp_path: Path) -> None:
    (tmp_path / "wide.csv").write_text("time,a,b\n2026-01-31 12:00,1,\n2026-01-31 12:01,2,3\n")
    assert say("import", "wide.csv", "--data", "db", "--resolution", "s")[0] == Exit.OK

    with tsdb.open(tmp_path / "db") as db:
        assert db.resolution.name_ == "s"
        assert db.select("a")[0].timestamps.tolist() == [T // 1000, T // 1000 + 60]
        assert db.select("b")[0].values.tolist() == [3.0]


def test_query_shows_a_table_and_a_course(say: Say, place: list[str], tmp_path: Path) -> None:
    rows = "".join(f"{T // 1000 + 60 * i},{i % 7}\n" for i in range(50))
    (tmp_path / "s.csv").write_text("timestamp,value\n" + rows)
    assert say("import", "s.csv", "--series", "cli/table", *place)[0] == Exit.OK

    code, out, _ = say("query", "cli/table", "--limit", "3", *place)

    assert code == Exit.OK
    assert "cli/table  " in out
    assert "█" in out
    assert "2026-01-31T12:49:00.000Z" in out
    assert "newest 3 of 50 points" in out


def test_query_folds_into_steps(say: Say, place: list[str], tmp_path: Path) -> None:
    rows = "".join(f"{T // 1000 + 60 * i},{i}\n" for i in range(10))
    (tmp_path / "s.csv").write_text("timestamp,value\n" + rows)
    assert say("import", "s.csv", "--series", "cli/steps", *place)[0] == Exit.OK

    arguments = ["--start", "2026-01-31T12:00:00Z", "--step", "5m", "--agg", "max", "--csv"]
    code, out, _ = say("query", "cli/steps", *arguments, *place)

    assert code == Exit.OK
    assert out.splitlines() == [
        "series,timestamp,value",
        '"{""cli/steps""}",1769860800,4',
        '"{""cli/steps""}",1769861100,9',
    ]


def test_many_series_are_one_line_each(say: Say, tmp_path: Path) -> None:
    with tsdb.open(tmp_path / "db") as db:
        db.write_many([f'm{{i="{i}"}}' for i in range(9)], [[T]] * 9, [[i] for i in range(9)])

    code, out, _ = say("query", "m", "--data", "db")

    assert code == Exit.OK
    assert "9 series, 9 points." in out
    assert out.count("m{i=") == 9


def test_nothing_found_says_how_to_see_everything(
    say: Say, place: list[str], tmp_path: Path
) -> None:
    with tsdb.open(tmp_path / "db"):
        pass
    code, out, _ = say("query", "nobody_ever_wrote_this", *place)

    assert code == Exit.OK
    assert "silverback query '{}'" in out


def test_values_json_has_no_numbers_for_have_names(say: Say, tmp_path: Path) -> None:
    with tsdb.open(tmp_path / "db") as db:
        db.write("odd", [1, 2, 3], [float("nan"), float("inf"), float("-inf")])

    (series,) = json.loads(say("query", "odd", "--json", "--data", "db")[1])["series"]
    assert series["values"] == ["NaN", "Inf", "-Inf"]
    shown = say("query", "odd", "--data", "db")[1]
    assert all(f" {name} " in shown for name in series["values"])


def test_a_directory_in_use_says_who_has_it(say: Say, tmp_path: Path) -> None:
    import os

    with tsdb.open(tmp_path / "db"):
        code, _, err = say("query", "x", "--data", "db")

    assert code == Exit.LOCKED
    assert str(os.getpid()) in err
    assert "--url" in err


def test_a_bad_selector_is_the_users_to_mend(say: Say, place: list[str], tmp_path: Path) -> None:
    with tsdb.open(tmp_path / "db"):
        pass
    code, _, err = say("query", "cpu{host=", *place)

    assert code == Exit.BAD_DATA
    assert err.count("\n") == 1


def test_a_servers_export_is_the_same(say: Say, server: Any, tmp_path: Path) -> None:
    server("PUT", "/kv/cli/export", [[T / 1000 + i, v] for i, v in enumerate(HARD)])
    server("PUT", "/kv/cli/export2", [[T / 1000, 1]])
    url = f"127.0.0.1:{server.port}"
    for name in ("out.jsonl", "out.csv"):
        assert say("export", "cli/export", "cli/export2", "--url", url, "-o", name)[0] == Exit.OK
        assert say("import", name, "--data", name + ".db")[0] == Exit.OK
        with tsdb.open(tmp_path / (name + ".db")) as db:
            assert db.select("cli/export2").points == 1
            found = db.select("cli/export")[0].values
            assert (found.view(np.uint64) == np.array(HARD).view(np.uint64)).all()


def test_an_export_from_nowhere_leaves_no_file(say: Say, tmp_path: Path) -> None:
    code, _, _ = say("export", "{}", "--url", "http://127.0.0.1:1", "-o", "out.jsonl")

    assert code == Exit.UNAVAILABLE
    assert list(tmp_path.iterdir()) == []


def test_an_export_is_whole_or_not_there(
    say: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tsdb.open(tmp_path / "db") as db:
        db.write("a", [T], [1.0])

    def cut_off(*_: Any, **__: Any) -> Any:
        yield b"half"
        raise KeyboardInterrupt

    monkeypatch.setattr("api.encode.json_lines.stream", cut_off)
    assert say("export", "a", "--data", "db", "-o", "out.jsonl")[0] == Exit.INTERRUPTED

    assert sorted(p.name for p in tmp_path.iterdir()) == ["db"]
