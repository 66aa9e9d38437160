"""/api/v1/metadata and /api/v1/query_exemplars answer in the shape of Prometheus' API."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

from tsdb.batch import Columns, Exemplar, FamilyMetadata, Parsed
from tsdb.index.labels import canonical

T = 1_700_000_000_000
KEY = canonical({"__name__": "annotated", "job": "web"})
FOUND = [
    Exemplar(KEY, canonical({"trace_id": "1"}), T + 479, 6.0),
    Exemplar(KEY, b"", T + 1_000, 1e-7),
    Exemplar(KEY, b"", T + 2_000, float("inf")),
]


@pytest.fixture(scope="module")
def annotated(server: Any) -> Any:
    """The module's server, after a request with metadata and exemplars."""
    families = (
        FamilyMetadata("b_family", "counter", "é", "s"),
        FamilyMetadata("a_family", "gauge"),
    )
    columns = Columns(np.array([0, 1]), np.array([T], np.int64), np.ones(1))
    key = np.frombuffer(KEY, np.uint8)
    parsed = Parsed(
        "canonical", key, np.zeros(1, np.int64), np.array([key.size]), columns, bytes,
        metadata=families, exemplars=tuple(FOUND),
    )  # fmt: skip
    answered = threading.Event()
    server.database.submit(lambda: parsed, size_bytes=1, done=lambda _: answered.set())
    answered.wait()
    return server


def test_metadata_by_family(annotated: Any) -> None:
    data = annotated.get("/api/v1/metadata").json["data"]

    assert data["a_family"] == [{"type": "gauge", "help": "", "unit": ""}]
    assert data["b_family"] == [{"type": "counter", "help": "é", "unit": "s"}]
    assert list(data) == sorted(data)


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("metric=b_family", ["b_family"]),
        ("metric=none", []),
        ("limit=0", []),
        ("metric=a_family&limit=1", ["a_family"]),
        ("limit_per_metric=0", []),
    ],
)
def test_metadata_is_narrowed(annotated: Any, query: str, names: list[str]) -> None:
    assert list(annotated.get(f"/api/v1/metadata?{query}").json["data"]) == names


def test_exemplars_of_a_series(annotated: Any) -> None:
    data = annotated.get("/api/v1/query_exemplars?query=annotated").json["data"]

    assert data == [
        {
            "seriesLabels": {"__name__": "annotated", "job": "web"},
            "exemplars": [
                {"labels": {"trace_id": "1"}, "value": "6", "timestamp": 1_700_000_000.479},
                {"labels": {}, "value": "0.0000001", "timestamp": 1_700_000_001},
                {"labels": {}, "value": "+Inf", "timestamp": 1_700_000_002},
            ],
        }
    ]


def test_exemplars_of_a_range_and_of_nothing(annotated: Any) -> None:
    path = "/api/v1/query_exemplars?query=annotated"

    ranged = annotated.get(f"{path}&start=1700000001&end=1700000001").json["data"]
    assert [e["timestamp"] for e in ranged[0]["exemplars"]] == [1_700_000_001]
    assert annotated.get("/api/v1/query_exemplars?query=nothing").json["data"] == []
    assert annotated.get("/api/v1/query_exemplars").status == 400
    assert annotated.get("/api/v1/query_exemplars?query=%7B").status == 400


def test_exemplars_of_the_selectors_in_an_expression(annotated: Any) -> None:
    plain = annotated.get("/api/v1/query_exemplars?query=annotated").json
    query = "sum(rate(annotated[5m]))/on()group_left()rate(annotated{job='web'}[5m])"

    assert annotated.get(f"/api/v1/query_exemplars?query={query}").json == plain
    assert annotated.get("/api/v1/query_exemplars?query=sum(").status == 400
    form = {"content_type": "application/x-www-form-urlencoded"}
    posted = annotated("POST", "/api/v1/query_exemplars", b"query=annotated", **form)
    assert posted.json == plain
