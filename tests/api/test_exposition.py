"""POST /api/v1/import/prometheus: Prometheus' text and OpenMetrics over real sockets."""

from __future__ import annotations

import gzip
from typing import Any

import pytest

PATH = "/api/v1/import/prometheus"
T = 1_700_000_000_000


def read(server: Any, selector: str) -> dict[str, list[tuple[int, float]]]:
    found = server.database.select(selector)
    return {
        str(series.labels): list(
            zip(series.timestamps.tolist(), series.values.tolist(), strict=True)
        )
        for series in found
    }


def test_lines_with_and_without_times(server: Any) -> None:
    body = b'expo_a{x="1"} 1.5 %d\r\n\nexpo_a{x="2"} +Inf\n{"expo.b",y="z"} 2 %d' % (T, T)
    before = server.database.now_ticks()
    reply = server("POST", PATH, body)

    assert (reply.status, reply.json["points"], reply.json["durable"]) == (200, 3, True)
    assert read(server, 'expo_a{x="1"}') == {'expo_a{x="1"}': [(T, 1.5)]}
    assert read(server, '{"expo.b"}') == {'{"expo.b", y="z"}': [(T, 2.0)]}
    ((stamp, value),) = read(server, 'expo_a{x="2"}')['expo_a{x="2"}']
    assert before <= stamp <= server.database.now_ticks()
    assert value == float("inf")


def test_a_wrong_line_costs_itself(server: Any) -> None:
    reply = server("POST", PATH, b"expo_bad 1\nexpo_bad{ 2\nexpo_bad 3 4.5\n")

    assert (reply.status, reply.json["status"], reply.json["points"]) == (200, "partial", 1)
    assert [text[:6] for text in reply.json["refused"]] == ["line 2", "line 3"]
    assert server("POST", PATH, b"1x\n").status == 400


def test_types_and_help_are_kept(server: Any) -> None:
    server(
        "POST", PATH, b"# HELP expo_total How \\\\ many.\n# TYPE expo_total counter\nexpo_total 1\n"
    )

    known = server.get("/api/v1/metadata?metric=expo_total").json["data"]["expo_total"]
    assert known == [{"type": "counter", "help": "How \\ many.", "unit": ""}]


OPENMETRICS = (
    b'# TYPE expo_om counter\n# UNIT expo_om \nexpo_om_total{x="1"} 2 1700000000.25 '
    b'# {trace_id="abc"} 1 1700000000.125\n# EOF\n'
)


@pytest.mark.parametrize("media", ["application/openmetrics-text; version=1.0.0", "text/plain", ""])
def test_openmetrics(server: Any, media: str) -> None:
    reply = server("POST", PATH, OPENMETRICS, **({"content_type": media} if media else {}))

    assert (reply.status, reply.json["points"]) == (200, 1)
    assert read(server, "expo_om_total") == {'expo_om_total{x="1"}': [(T + 250, 2.0)]}
    (exemplar, *_) = server.database.exemplars("expo_om_total")
    assert (exemplar.timestamp, exemplar.value) == (T + 125, 1.0)


def test_openmetrics_that_was_cut_off_is_refused(server: Any) -> None:
    media = "application/openmetrics-text"
    reply = server("POST", PATH, b"expo_cut 1\n", content_type=media)

    assert reply.status == 400
    assert "EOF" in reply.json["error"]
    assert read(server, "expo_cut") == {}


def test_extra_labels_and_a_time_for_all(server: Any) -> None:
    path = f"{PATH}?extra_label=dc=a%20b&extra_label=x=&timestamp={T}"
    assert server("POST", path, b'expo_extra{x="1",dc="q"} 1\nexpo_extra 2 5\n').status == 200

    assert read(server, "expo_extra") == {'expo_extra{dc="a b"}': [(5, 2.0), (T, 1.0)]}
    assert server("POST", PATH, b'expo_extra{x="1",dc="q"} 3 7\n').status == 200
    assert read(server, 'expo_extra{x="1"}') == {'expo_extra{dc="q", x="1"}': [(7, 3.0)]}


def test_labels_in_the_path(server: Any) -> None:
    path = f"{PATH}/metrics/job/a%2Fb/dir@base64/L3Zhci90bXA?extra_label=x=1"
    assert server("PUT", path, b"expo_path 1 5\n").status == 200

    assert list(read(server, "expo_path")) == ['expo_path{dir="/var/tmp", job="a/b", x="1"}']


@pytest.mark.parametrize(
    ("query", "word"),
    [("extra_label=x", "name=value"), ("timestamp=x", "decimal"), ("ack=x", "ack"),
     ("strict=1", "unknown")],
)  # fmt: skip
def test_options_that_are_wrong(server: Any, query: str, word: str) -> None:
    reply = server("POST", f"{PATH}?{query}", b"a 1\n")

    assert reply.status == 400
    assert word in reply.json["error"]


def test_a_compressed_body(server: Any) -> None:
    body = b"".join(b'expo_gzip{i="%d"} %d %d\n' % (i, i, T) for i in range(500))
    reply = server("POST", PATH, gzip.compress(body), content_encoding="gzip")

    assert (reply.status, reply.json["points"]) == (200, 500)
