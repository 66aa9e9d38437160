"""Correlation search over HTTP; and explanations of queries."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import numpy as np
import pytest

T = 1_700_000_000
STEPS = 100


@pytest.fixture(scope="module")
def written(server: Any) -> Any:
    stamps = (T + 15 * np.arange(STEPS)) * 1000
    wave = np.sin(np.arange(STEPS) / 5)
    noise = np.random.default_rng(1).normal(size=STEPS)
    rows = {"same": 3 * wave + 7, "against": -wave, "near": wave + noise / 4, "flat": wave * 0 + 4}
    server.database.write("correlated_target", stamps, wave)
    server.database.write_many(
        [f'correlated{{is="{name}"}}' for name in rows], [stamps] * 4, list(rows.values())
    )
    return server


def ask(server: Any, target: str = "correlated_target", more: str = "") -> Any:
    span = f"start={T}&end={T + 15 * (STEPS - 1)}&step=15"
    return server.get(f"/api/v1/correlate?query=correlated&target={quote(target)}&{span}{more}")


def test_strongest_first_either_way(written: Any) -> None:
    data = ask(written).json["data"]
    found = {one["metric"]["is"]: one["correlation"] for one in data["result"]}
    assert list(found)[-1] == "near"
    same, against, near = found["same"], found["against"], found["near"]
    assert same == pytest.approx(1.0)
    assert against == pytest.approx(-1.0)
    assert 0.8 < near < 1
    assert (data["series"], data["skipped"], data["steps"]) == (4, 1, STEPS)
    assert data["target"] == {"__name__": "correlated_target"}
    assert data["result"][0]["overlap"] == STEPS


def test_limit_and_other_forms(written: Any) -> None:
    assert len(ask(written, more="&limit=1").json["data"]["result"]) == 1
    now = written.get("/api/v1/correlate?query=vector(time())&target=vector(time())").json["data"]
    assert now["steps"] == 241
    assert now["result"][0]["correlation"] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("target", "more", "why"),
    [
        ("", "", "it is missing"),
        ("correlated", "", "it has to be one series, it is 4"),
        ("nobody", "", "it has to be one series, it is 0"),
        ("correlated_target", "&method=spearman", "there is pearson"),
        ("sum(", "", "parse error"),
    ],
)
def test_refused(written: Any, target: str, more: str, why: str) -> None:
    refused = ask(written, target, more)
    assert refused.status == 400
    assert why in refused.json["error"]


def test_explained(written: Any) -> None:
    text = quote("sum(rate(correlated[1m])) + sum(rate(correlated[1m]))")
    span = f"start={T + 60}&end={T + 120}&step=15"
    data = written.get(f"/api/v1/query_range?query={text}&{span}&explain=1").json["data"]
    root = data["explain"]
    assert root["node"].startswith("sum(rate(correlated[1m]))")
    first, second = root["inside"]
    assert second["reused"]
    (rate,) = first["inside"]
    assert (rate["node"], rate["series"], rate["values"]) == ("rate(correlated[1m])", 4, 20)
    (read,) = rate["inside"]
    assert read["read"] == '{__name__="correlated"}'
    assert (read["series"], read["points"]) == (4, 4 * 8)
    assert "explain" not in written.get(f"/api/v1/query_range?query={text}&{span}").json["data"]
