"""Queries that cannot be read are refused in Prometheus' words, at the same place.

refusals.json holds what Prometheus 3.5.3 said; the slow test asks a live one again.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from clients.binaries import need
from promql.differential.live import prometheus

from tsdb.errors import InvalidInput
from tsdb.promql.parse import parse

RECORDED: dict[str, str] = dict(
    json.loads((Path(__file__).parent / "refusals.json").read_text("utf-8"))
)
PREFIX = 'invalid parameter "query": '
# Refused by both in words of their own: those of a regex library, of how Go reads numbers.
OTHER_WORDS = frozenset({
    'x{a=~"["}', '"\\x"', "0x", "1.2.3", "x and on (a) 2", "x{a!}", "x[:]", "x[5x]", "x[1.5m]",
    "0x1g", "1__0", ".5.", "1h1h", "99999999999999999999y", "x[99999999999999999999y]",
    "x offset 1e30",
})  # fmt: skip


def said(text: str) -> str:
    with pytest.raises(InvalidInput) as refused:
        parse(text)
    return str(refused.value).removeprefix(PREFIX)


def test_there_is_enough_of_everything() -> None:
    assert len(RECORDED) > 300
    assert RECORDED.keys() >= OTHER_WORDS
    kinds = ("unexpected", "expected type", "argument(s)", "binary expression", "unclosed")
    assert all(sum(kind in each for each in RECORDED.values()) >= 5 for kind in kinds)


@pytest.mark.parametrize("text", RECORDED, ids=repr)
def test_refusals(text: str) -> None:
    ours = said(text)
    if text in OTHER_WORDS:
        assert "parse error: " in ours
        assert ours != RECORDED[text], "take it off the list"
    else:
        assert ours == RECORDED[text]


@pytest.mark.slow
def test_prometheus_says_so_too(tmp_path: Path) -> None:
    with prometheus(need("prometheus"), tmp_path) as server:
        for text, expected in RECORDED.items():
            assert server.ask("/api/v1/query", query=text, time=1)["error"] == PREFIX + expected
