"""/api/v1/search: names in lines of JSON, as Prometheus' experimental API."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

import pytest

from api.name_search import subsequence
from tsdb import limits

T = 1_700_000_000
SPAN = {"start": T, "end": T + 60}
FORM = "application/x-www-form-urlencoded"


@pytest.fixture(scope="module")
def searched(serve: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    with serve(tmp_path_factory.mktemp("searched") / "db") as server:
        for name, job, second in (
            ("node_cpu_total", "node", 0), ("cpu_seconds", "web", 10), ("up", "web", 20),
            ("old_cpu", "node", -7200),
        ):  # fmt: skip
            server.database.write({"__name__": name, "job": job}, [(T + second) * 1000], [1.0])
        yield server


def asked(server: Any, what: str, *pairs: tuple[str, object], **more: object) -> list[Any]:
    reply = server.get(f"/api/v1/search/{what}?{urlencode([*pairs, *(SPAN | more).items()])}")
    assert reply.status == 200, reply.body
    assert reply.headers["content-type"] == "application/x-ndjson; charset=utf-8"
    return [json.loads(line) for line in reply.body.splitlines()]


def names(lines: list[Any]) -> list[str]:
    return [one["name"] for line in lines[:-1] for one in line["results"]]


def test_everything_in_order(searched: Any) -> None:
    lines = asked(searched, "metric_names")
    assert lines == [
        {"results": [{"name": "cpu_seconds"}, {"name": "node_cpu_total"}, {"name": "up"}]},
        {"status": "success", "has_more": False},
    ]
    assert names(asked(searched, "label_names")) == ["__name__", "job"]
    assert names(asked(searched, "label_values", label="job")) == ["node", "web"]


def test_terms_scores_and_order(searched: Any) -> None:
    term = ("search[]", "cpu")
    lines = asked(searched, "metric_names", term, sort_by="score", include_score="true")
    assert lines[0]["results"] == [
        {"name": "cpu_seconds", "score": 1.0},
        {"name": "node_cpu_total", "score": subsequence("cpu", "node_cpu_total")},
    ]
    assert names(asked(searched, "metric_names", term, ("search[]", "up"))) == [
        "cpu_seconds", "node_cpu_total", "up",
    ]  # fmt: skip
    assert names(asked(searched, "metric_names", term, sort_by="alpha", sort_dir="dsc")) == [
        "node_cpu_total", "cpu_seconds",
    ]  # fmt: skip
    assert names(asked(searched, "metric_names", ("search[]", "CPU"))) == []
    folded = asked(searched, "metric_names", ("search[]", "CPU"), case_sensitive="false")
    assert len(names(folded)) == 2


def test_batches_and_the_rest(searched: Any) -> None:
    lines = asked(searched, "metric_names", limit=2, batch_size=1)
    assert [len(line["results"]) for line in lines[:-1]] == [1, 1]
    assert lines[-1] == {"status": "success", "has_more": True}
    assert asked(searched, "metric_names", ("search[]", "nothing")) == [
        {"results": []},
        {"status": "success", "has_more": False},
    ]


def test_ranges_and_selectors(searched: Any) -> None:
    assert "old_cpu" in names(asked(searched, "metric_names", start=T - 8000))
    found = asked(searched, "metric_names", ("match[]", '{job="node"}'))
    assert names(found) == ["node_cpu_total"]
    assert names(asked(searched, "label_values", ("match[]", "up"), label="job")) == ["web"]


def test_the_last_hour_unless_said(searched: Any) -> None:
    reply = searched.get("/api/v1/search/metric_names")
    assert json.loads(reply.body.splitlines()[0]) == {"results": []}


def test_metadata(searched: Any) -> None:
    text = b"# HELP up Whether it runs.\n# TYPE up gauge\nup 1\n"
    assert searched("POST", "/api/v1/import/prometheus", text).status < 300
    lines = asked(
        searched, "metric_names", ("search[]", "up"), include_metadata="true", end=T + 10**9
    )
    assert lines[0]["results"] == [{"name": "up", "type": "gauge", "help": "Whether it runs."}]


def test_a_form(searched: Any) -> None:
    body = urlencode({"label": "job", "search[]": "no", **SPAN}).encode()
    reply = searched("POST", "/api/v1/search/label_values", body, content_type=FORM)
    assert json.loads(reply.body.splitlines()[0]) == {"results": [{"name": "node"}]}


@pytest.mark.parametrize(
    ("what", "query", "said"),
    [
        ("label_values", "", 'missing required parameter "label"'),
        ("label_names", "fuzz_threshold=101", 'invalid fuzz_threshold "101": must be 0-100'),
        ("label_names", "fuzz_alg=x", 'unsupported fuzz_alg "x": must be one of'),
        ("label_names", "sort_dir=asc", "sort_dir is only valid when sort_by is set"),
        ("label_names", "sort_by=score", "sort_by=score requires search[] to be set"),
        ("label_names", "sort_by=x", 'invalid sort_by "x"'),
        ("label_names", "limit=-1", 'invalid limit "-1": must be non-negative integer'),
        ("label_names", "batch_size=x", 'invalid batch_size "x"'),
        ("label_names", "include_score=2", 'invalid include_score "2": must be boolean'),
        ("metric_names", "match[]={", 'invalid parameter "match[]"'),
    ],
)
def test_what_is_refused(searched: Any, what: str, query: str, said: str) -> None:
    reply = searched.get(f"/api/v1/search/{what}?{query}")
    assert reply.status == 400
    assert reply.json["errorType"] == "bad_data"
    assert reply.json["error"].startswith(said)


@pytest.mark.parametrize(
    ("query", "limit"),
    [
        (f"limit={limits.KEYS_PER_ANSWER_MAX + 1}", "KEYS_PER_ANSWER_MAX"),
        ("search[]=" + "x" * 129, "SEARCH_TERM_CHARACTERS_MAX"),
        ("&".join(["search[]=x"] * 33), "SEARCH_TERMS_MAX"),
    ],
)
def test_bounds(searched: Any, query: str, limit: str) -> None:
    reply = searched.get(f"/api/v1/search/metric_names?{query}")
    assert (reply.status, reply.json["limit"]) == (422, limit)


def test_a_search_takes_no_longer_than_it_may(
    searched: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "SEARCH_S_MAX", -1)
    reply = searched.get(f"/api/v1/search/metric_names?{urlencode(SPAN)}")
    assert (reply.status, reply.json["limit"]) == (422, "SEARCH_S_MAX")
