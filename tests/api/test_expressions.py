"""silverback query with PromQL: the same from a directory and from a server."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import tsdb
from api import cli
from api.exits import Exit
from api.expressions import is_expression

T = 1_769_860_800
Say = Callable[..., tuple[int, str, str]]


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Say:
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()  # what a server said when it started
        code = cli.run(list(arguments))
        told = capsys.readouterr()
        return code, told.out, told.err

    return run


@pytest.fixture(params=["directory", "server"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> list[str]:
    """A counter of two hosts, there or there."""

    def fill(database: Any) -> None:
        for host, slope in (("a", 1), ("b", 4)):
            stamps = [(T + 15 * i) * 1000 for i in range(41)]
            labels = {"__name__": "told_total", "host": host}
            database.write(labels, stamps, [15.0 * slope * i for i in range(41)])

    if request.param == "directory":
        with tsdb.open(tmp_path / "db") as database:
            fill(database)
        return ["--data", str(tmp_path / "db")]
    server = request.getfixturevalue("server")
    fill(server.database)
    return ["--url", f"127.0.0.1:{server.port}"]


@pytest.mark.parametrize(
    "text",
    ["sum(x)", "x[5m]", "1", "x + y", "x > 1", "x and y", "x offset 5m", "vector(1)", "2*3"],
)
def test_what_computes_is_an_expression(text: str) -> None:
    assert is_expression(text)


@pytest.mark.parametrize(
    "text", ["x", "room/temp", 'x{a="b + (c)"}', 'x{a=~"(a|b)[0-9] "}', "{}", "a:b", "room-1/x+y"]
)
def test_what_names_series_is_none(text: str) -> None:
    assert not is_expression(text)


def test_one_moment(say: Say, place: list[str]) -> None:
    text = "sum by (host) (rate(told_total[1m]))"
    code, out, _ = say("query", text, "--at", str(T + 300), "--json", *place)

    assert code == Exit.OK
    found = [(each["metric"], each["timestamps"]) for each in json.loads(out)["series"]]
    assert found == [({"host": "a"}, [(T + 300) * 1000]), ({"host": "b"}, [(T + 300) * 1000])]
    table = say("query", "told_total", "--at", str(T + 300), *place)[1]
    assert 'told_total{host="b"}' in table
    assert "1200" in table
    assert "300" in say("query", "100 * 3", *place)[1]


def test_a_range(say: Say, place: list[str]) -> None:
    span = ["--start", str(T + 60), "--end", str(T + 360), "--step", "1m"]
    code, out, _ = say("query", "sum(told_total)", *span, "--json", *place)

    assert code == Exit.OK
    (series,) = json.loads(out)["series"]
    assert series["timestamps"] == [(T + 60 * i) * 1000 for i in range(1, 7)]
    assert series["values"] == [300.0 * i for i in range(1, 7)]
    table = say("query", "sum(told_total)", *span, *place)[1]
    for part in ("{}", "1800", "300", "▁", "█", "6 steps"):
        assert part in table
    rows = say("query", "sum(told_total)", *span, "--csv", *place)[1].splitlines()
    assert rows[:2] == ["series,timestamp,value", f"{{}},{T + 60},300"]


def test_what_is_said_beside_and_nothing_at_all(say: Say, place: list[str]) -> None:
    _, out, _ = say("query", "rate(nobody_wrote_this[5m])", *place)
    assert "No series has a value there." in out
    told = say("query", "quantile(2, told_total)", "--at", str(T), *place)
    assert "quantile value should be between 0 and 1" in told[2]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["sum("], "parse error"),
        (["sum(x)", "--at", "1", "--step", "5m"], "--at is one moment"),
        (["told_total[5m]", "--at", str(T)], "not a number a step"),
    ],
)
def test_what_is_wrong_is_said(
    say: Say, place: list[str], arguments: list[str], error: str
) -> None:
    code, _, err = say("query", *arguments, *place)

    assert code == Exit.BAD_DATA
    assert error in err
