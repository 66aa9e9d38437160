"""Every endpoint of Prometheus' API asked of Prometheus 3.5 and of us, with the same points.

Status, media type and the whole envelope are compared; what differs on purpose is named here.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
from clients.binaries import need
from promql.differential.dataset import Series
from promql.differential.live import Prometheus, prometheus

from benchmarks import serving

T = 1_700_000_000
FORM = "application/x-www-form-urlencoded"
SPAN = f"start={T}&end={T + 60}"
AT = f"time={T + 30}"
ALL, EMPTY = quote('{__name__!=""}'), quote('{x=~".*"}')
RATE = quote('sum by(a)(rate(up_a{x=~"y"}[1m] offset 5m))')

SAME = [
    f"query?query=up_a&{AT}", f"query?query=up_a&{AT}&limit=1", f"query?query=up_a&{AT}&custom=x",
    f"query?query=up_a[1m]&{AT}", f"query?query=up_a[1m]&{AT}&limit=1", "query?query='x'&time=1.5",
    "query?query=1&time=1.0005", "query?query=1&time=2015-07-01T20:10:51.781Z",
    "query?query=1&limit=x", "query?query=1&limit=-1", "query?query=1&limit=%2B5&time=1",
    "query?query=1&limit=99999999999999999999", "query?query=1&time=x", "query?query=1&timeout=x",
    "query?query=1&timeout=-1s", "query?query=1&timeout=99999999999999999999s",
    "query?query=1&lookback_delta=x", "query?query=1&lookback_delta=-1s",
    f"query?query=up_a&time={T + 37}&lookback_delta=1ms",
    f"query?query=up_a&time={T + 37}&lookback_delta=8s", "query", "query?query=",
    "query?query=up_a{", f"query?query={quote('sum(up_a) by')}",
    f"query?query={quote('up_a + on() up_a')}&{AT}", "query?query=rate(up_a)",
    "query?query=nofn(up_a)", f"query?query={quote('quantile(2, up_a)')}&{AT}",
    f"query?query=rate(up_a[1m])&{AT}",
    f"query_range?query=up_a&{SPAN}&step=15", f"query_range?query=up_a&{SPAN}&step=15&limit=1",
    "query_range?query=1&start=0&end=30&step=15", f"query_range?query=up_a&{SPAN}&step=0",
    f"query_range?query=up_a&{SPAN}&step=x", "query_range?query=up_a&start=x&end=1&step=1",
    "query_range?query=up_a&start=2&end=1&step=1",
    "query_range?query=up_a[1m]&start=1&end=2&step=1",
    "query_range", "query_range?query='a'&start=1&end=2&step=1",
    "query_range?query=&start=1&end=2&step=1", "query_range?query=1&start=1&end=2&step=1&limit=x",
    "query_range?query=1&start=1&end=2&step=1&timeout=x",
    "query_exemplars?query=up_a&start=1&end=2", "query_exemplars?query=up_a",
    f"query_exemplars?query=test&start={T * 1000}&end={T * 1000 + 3_600_000}",
    f"format_query?query={quote('sum  by(a)(  up_a )')}", "format_query?query=", "format_query",
    "format_query?query=(", "parse_query?query=(", "parse_query",
    f"parse_query?query={RATE}",
    f"parse_query?query={quote('-1 ^ 2 + (up_a @ end())')}",
    "series", "series?match[]=up_a", f"series?match[]=up_a&{SPAN}",
    f"series?match[]=up_a&{SPAN}&limit=1",
    "series?match[]={}", f"series?match[]={EMPTY}",
    f"series?match[]={ALL}&{SPAN}",
    "series?match[]=up_a&start=x", "series?match[]=up_a&start=2&end=1",
    "series?match[]=up_a&limit=x",
    "series?match[]=up_a&limit=-1", f"series?match[]=up_a&match[]=up_b&{SPAN}",
    "labels", f"labels?{SPAN}", "labels?limit=1", "labels?limit=x", "labels?limit=-1",
    "labels?match[]=up_a", "labels?match[]=none", "labels?start=2&end=1", "labels?start=x",
    "labels?match[]=up_a&limit=2", "label/host/values", "label/host/values?limit=1",
    "label/host/values?limit=x", "label/host/values?match[]=up_b", "label/nope/values",
    "label/a-b/values", "label/U__http_2e_route/values", "label/U__zz/values",
    "label/host/values?start=2&end=1", "label/__name__/values", "label/host/values?start=x",
    "metadata", "metadata?limit=1", "metadata?metric=nope", "metadata?limit_per_metric=1",
    "targets", "targets?state=active", "targets?state=dropped", "targets/metadata",
    "rules", "rules?type=alert", "rules?group_limit=1", "alerts", "alertmanagers", "scrape_pools",
    "status/walreplay", "notifications",
]  # fmt: skip
POSTED = [
    ("query?query=1&time=4", "", FORM), ("query?query=1&time=4", "query=2", FORM),
    ("query?time=4", "query=2", FORM), ("query?query=1&time=4", "{}", "application/json"),
    (f"query_range?{SPAN}", "query=up_a&step=15", FORM), ("format_query", "query=up_a%2B1", FORM),
    ("series?match[]=up_b", f"match[]=up_a&{SPAN}", FORM), ("series", f"match[]=up_a&{SPAN}", FORM),
    ("labels", "match[]=up_b", FORM), ("query_exemplars", "query=up_a", FORM),
]  # fmt: skip
OWN_WORDS = [  # the status and the type of error are the same, the sentence is ours
    "query_range?query=up_a&start=1&end=20000&step=1",
    "query_exemplars?query=up_a&start=2&end=1", "query_exemplars?query=up_a{&start=1&end=2",
    "query_exemplars?start=1&end=2", "series?match[]=up_a{", "series?match[]=up_a[5m]",
    "labels?match[]=up_a{", "labels?match[]={}", "label/host/values?match[]={}",
    "label/host/values?match[]=up_a{", "status/tsdb?limit=x", "status/tsdb?limit=0",
    "metadata?limit=x", "metadata?limit_per_metric=x",
    "targets/metadata?match_target={", "targets/metadata?limit=x", "rules?type=x",
    "rules?match[]={", "rules?exclude_alerts=x",
]  # fmt: skip
SHAPES = [  # figures of each server's own
    f"query?query=up_a&{AT}&stats=all", f"query?query=up_a&{AT}&stats=1",
    f"query_range?query=up_a&{SPAN}&step=15&stats=all", "status/runtimeinfo", "status/buildinfo",
    "status/config", "status/tsdb",
]  # fmt: skip


class Pair:
    """Two ports, Prometheus' first."""

    def __init__(self, theirs: int, ours: int) -> None:
        self.ports = theirs, ours

    def ask(self, path: str, body: str | None = None, media: str = FORM) -> list[Any]:
        return [self.one(port, path, body, media) for port in self.ports]

    def one(self, port: int, path: str, body: str | None, media: str) -> tuple[int, str, Any]:
        wire = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        try:
            method = "GET" if body is None else "POST"
            wire.request(method, path, body, {} if body is None else {"Content-Type": media})
            answer = wire.getresponse()
            text = answer.read()
        finally:
            wire.close()
        found = json.loads(text)
        found.pop("requestId", None)
        return answer.status, answer.headers["Content-Type"], found


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    program, folder = need("prometheus"), tmp_path_factory.mktemp("api")
    stamps = np.arange(T, T + 75, 15) * 1000
    labels = [{"__name__": "up_a", "host": host, "http.route": f"/{host}"} for host in "ab"]
    labels.append({"__name__": "up_b", "host": "c"})
    points = [Series(each, stamps, np.arange(5.0)) for each in labels]
    server = serving.start(folder / "db")
    try:
        with prometheus(program, folder) as theirs:
            theirs.write(points)
            Prometheus(f"http://127.0.0.1:{server.port}").write(points)
            yield Pair(int(theirs.url.rpartition(":")[2]), server.port)
    finally:
        server.stop()


@pytest.mark.parametrize("path", SAME)
def test_the_same_answer(pair: Pair, path: str) -> None:
    theirs, ours = pair.ask(f"/api/v1/{path}")
    assert ours == theirs


@pytest.mark.parametrize(("path", "body", "media"), POSTED)
def test_the_same_answer_to_a_form(pair: Pair, path: str, body: str, media: str) -> None:
    theirs, ours = pair.ask(f"/api/v1/{path}", body, media)
    assert ours == theirs
    assert theirs[0] == 200


@pytest.mark.parametrize("path", OWN_WORDS)
def test_the_same_refusal_in_our_words(pair: Pair, path: str) -> None:
    theirs, ours = pair.ask(f"/api/v1/{path}")
    assert ours[:2] == theirs[:2]
    assert ours[2]["status"] == theirs[2]["status"] == "error"
    assert ours[2]["errorType"] == theirs[2]["errorType"]
    assert ours[2]["error"]


@pytest.mark.parametrize("path", SHAPES)
def test_the_same_shape(pair: Pair, path: str) -> None:
    theirs, ours = pair.ask(f"/api/v1/{path}")
    assert ours[:2] == theirs[:2]
    assert shape(ours[2]) == shape(theirs[2])


@pytest.mark.parametrize("path", [*SAME[:3], "labels", "series?match[]=up_a", "alerts"])
def test_a_prefix_changes_nothing(pair: Pair, path: str) -> None:
    found = pair.one(pair.ports[1], f"/prometheus/api/v1/{path}", None, FORM)
    assert found == pair.ask(f"/api/v1/{path}")[0]


def shape(found: object) -> object:
    """Names and kinds of what is inside; numbers are one kind."""
    if isinstance(found, dict):
        return {name: shape(value) for name, value in found.items()}
    if isinstance(found, list):
        return [shape(each) for each in found[:1]]
    return "number" if isinstance(found, int | float) else type(found).__name__
