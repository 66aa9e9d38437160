"""Queries that take longer than a setting are logged and counted, whatever came of them."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from api import logs
from api.running import Queries, Running
from api.settings import load
from tsdb.errors import InvalidInput


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    stream = io.StringIO()
    logs.configure("json", "info", stream)
    yield stream
    root.handlers, root.level = handlers, level


def events(log: io.StringIO) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in log.getvalue().splitlines()]
    return [event for event in found if event["event"] == "slow_query"]


@pytest.mark.parametrize(("slow_s", "logged"), [(0.0, 1), (3600.0, 0)])
def test_the_threshold_decides(log: io.StringIO, slow_s: float, logged: int) -> None:
    queries = Queries(slow_s)
    query = Running(7, "m" * 10_000, 1000, 9000, 500, "10.0.0.1", "r-1", 100.0)
    query.points, query.canceled = 12, "by somebody"
    queries.begin(query)
    queries.end(query)
    assert queries.slow == len(events(log)) == logged
    if logged:
        (event,) = events(log)
        assert (event["start"], event["end"], event["step"]) == (1, 9, 0.5)
        assert (event["client"], event["request_id"]) == ("10.0.0.1", "r-1")
        assert (event["points"], event["canceled"]) == (12, "by somebody")
        assert 0 < len(event["query"]) <= 4_096 + 3


def test_a_server_counts_them(serve: Any, tmp_path: Path) -> None:
    with serve(tmp_path / "db", slow_query_s="0s") as running:
        for query in ("1", "1 + 1", "m{"):
            running.get(f"/api/v1/query?query={query.replace(' ', '%20').replace('+', '%2B')}")
        text = running.get("/metrics").body.decode()
        counted = [x for x in text.splitlines() if x.startswith("silverback_slow_queries_total ")]
        assert counted == ["silverback_slow_queries_total 3.0"]


@pytest.mark.parametrize(("text", "seconds"), [("250ms", 0.25), ("1m", 60), ("0", 0), (1.5, 1.5)])
def test_settings(tmp_path: Path, text: object, seconds: float) -> None:
    assert load({"data": tmp_path, "slow_query_s": text}, environ={}).slow_query_s == seconds


@pytest.mark.parametrize("text", ["-1", "inf", "soon"])
def test_wrong_settings(tmp_path: Path, text: str) -> None:
    with pytest.raises(InvalidInput, match="slow_query"):
        load({"data": tmp_path, "slow_query_s": text}, environ={})
