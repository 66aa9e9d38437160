"""The Pushgateway's API: its codes, groups that are replaced, stale markers for what is gone."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from api.routes.pushgateway import Groups

STALE = 0x7FF0000000000002


def last(server: Any, selector: str) -> dict[str, float | str]:
    """The newest value of each series, "stale" for the marker."""
    found: dict[str, float | str] = {}
    for series in server.database.select(selector):
        bits = int(series.values.view(np.uint64)[-1])
        found[str(series.labels)] = "stale" if bits == STALE else float(series.values[-1])
    return found


def test_a_put_replaces_the_group(server: Any) -> None:
    path = "/metrics/job/put/instance/a"
    first = server("PUT", path, b'pg_x{job="no",l="1"} 1\npg_x{l="2"} 2\npg_y 3\n')
    second = server("PUT", path, b'pg_x{l="1"} 4\n')

    assert (first.status, first.body, second.status) == (200, b"", 200)
    assert last(server, '{__name__=~"pg_.",job="put"}') == {
        'pg_x{instance="a", job="put", l="1"}': 4.0,
        'pg_x{instance="a", job="put", l="2"}': "stale",
        'pg_y{instance="a", job="put"}': "stale",
    }
    pushed = last(server, 'push_time_seconds{job="put"}')
    assert 0 <= server.database.now_ticks() / 1e3 - next(iter(pushed.values())) < 60
    assert last(server, 'push_failure_time_seconds{job="put"}') == {
        'push_failure_time_seconds{instance="a", job="put"}': 0.0
    }


def test_a_post_replaces_metrics_of_its_names(server: Any) -> None:
    path = "/metrics/job/post"
    server("PUT", path, b'# TYPE pg_h histogram\npg_h_bucket{le="1"} 1\npg_h_sum 1\npg_z 1\n')
    reply = server("POST", path, b'# TYPE pg_h histogram\npg_h_bucket{le="2"} 2\npg_w 1\n')

    assert reply.status == 200
    assert last(server, '{__name__=~"pg_.*",job="post"}') == {
        'pg_h_bucket{job="post", le="1"}': "stale",
        'pg_h_bucket{job="post", le="2"}': 2.0,
        'pg_h_sum{job="post"}': "stale",
        'pg_w{job="post"}': 1.0,
        'pg_z{job="post"}': 1.0,
    }


def test_a_delete_ends_the_group_and_no_other(server: Any) -> None:
    server("POST", "/metrics/job/gone/a/b", b"pg_gone 1\n")
    server("POST", "/metrics/job/gone", b"pg_gone 1\n")
    reply = server("DELETE", "/metrics/job/gone/a/b")

    assert (reply.status, reply.body) == (202, b"")
    assert last(server, '{job="gone",a="b"}') == {
        'pg_gone{a="b", job="gone"}': "stale",
        'push_failure_time_seconds{a="b", job="gone"}': "stale",
        'push_time_seconds{a="b", job="gone"}': "stale",
    }
    assert last(server, 'pg_gone{a=""}') == {'pg_gone{job="gone"}': 1.0}
    assert server("DELETE", "/metrics/job/never").status == 202
    assert last(server, '{job="never"}') == {}
    assert server("DELETE", "/metrics/job/gone/a/b").status == 202


def test_labels_in_base64(server: Any) -> None:
    path = "/metrics/job@base64/YS9i/dir@base64/L3Zhci90bXA=/none@base64/="
    assert server("PUT", path, b'pg_64{none="x"} 1\n').status == 200

    assert last(server, "pg_64") == {'pg_64{dir="/var/tmp", job="a/b"}': 1.0}


@pytest.mark.parametrize(
    ("path", "word"),
    [
        ("/metrics/job/a/b", "odd number"),
        ("/metrics/job/", "job name is required"),
        ("/metrics/job@base64/=", "job name is required"),
        ("/metrics/job@base64/a", "base64"),
        ("/metrics/job/a/b@base64/%2F", "base64"),
        ("/metrics/job/a/1b/c", "improper label name"),
        ("/metrics/job/a/__b/c", "improper label name"),
        ("/metrics/job/a/b/%FF", "UTF-8"),
    ],
)
@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_a_path_that_names_no_group(server: Any, method: str, path: str, word: str) -> None:
    reply = server(method, path, b"pg_path 1\n")

    assert reply.status == 400
    assert word in reply.json["error"]


@pytest.mark.parametrize(
    ("body", "word", "noted"),
    [
        (b"pg_bad 1\npg_bad{ 2\n", "line 2", False),
        (b"pg_bad 1 1700000000000\n", "must not have timestamps", True),
        (b'pg_bad{job="a"} 1\npg_bad{job="b"} 1\n', "pushed twice", True),
    ],
)
def test_a_push_that_is_wrong_is_refused_whole(
    server: Any, body: bytes, word: str, noted: bool
) -> None:
    job = f"bad{word[:4]}".replace(" ", "")
    reply = server("PUT", f"/metrics/job/{job}", body)

    assert reply.status == 400
    assert word in reply.json["error"]
    assert last(server, f'pg_bad{{job="{job}"}}') == {}
    failed = last(server, f'push_failure_time_seconds{{job="{job}"}}')
    assert bool(failed) == noted
    assert all(value > 1e9 for value in failed.values())


def test_openmetrics_and_an_empty_body(server: Any) -> None:
    path, media = "/metrics/job/om", "application/openmetrics-text; version=1.0.0"
    body = b"# TYPE pg_om counter\npg_om_total 1\n# EOF\n"
    assert server("PUT", path, body, content_type=media).status == 200
    assert server("PUT", path, b"pg_cut 1\n", content_type=media).status == 400
    assert last(server, 'pg_om_total{job="om"}') == {'pg_om_total{job="om"}': 1.0}
    assert server("PUT", path, b"").status == 200
    assert last(server, 'pg_om_total{job="om"}') == {'pg_om_total{job="om"}': "stale"}


def test_delimited_protobuf(server: Any) -> None:
    """A gauge as Go's client sends it: pg_proto{l="v"} 1.5, with help."""
    metric = b"\x0a\x06\x0a\x01l\x12\x01v" + b"\x12\x09\x09" + np.float64(1.5).tobytes()
    family = b"\x0a\x08pg_proto\x12\x04help\x18\x01\x22" + bytes([len(metric)]) + metric
    media = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; "
    body = bytes([len(family)]) + family
    reply = server("PUT", "/metrics/job/go", body, content_type=media + "encoding=delimited")

    assert reply.status == 200, reply.body
    assert last(server, "pg_proto") == {'pg_proto{job="go", l="v"}': 1.5}
    assert (
        server(
            "PUT", "/metrics/job/go", body[:-1], content_type=media + "encoding=delimited"
        ).status
        == 400
    )
    assert (
        server("PUT", "/metrics/job/go", body, content_type=media + "encoding=text").status == 400
    )


def test_pushes_to_one_group_come_one_after_the_other(server: Any) -> None:
    def push(i: int) -> int:
        body = b"".join(b'pg_many{i="%d",j="%d"} %d\n' % (i, j, i) for j in range(20))
        status: int = server("PUT", "/metrics/job/many", body).status
        return status

    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(push, range(24))) == {200}
    found = last(server, 'pg_many{job="many"}')
    live = [name for name, value in found.items() if value != "stale"]
    assert (len(found), len(live)) == (24 * 20, 20)
    assert len({name.partition("j=")[0] for name in live}) == 1


def test_a_group_that_holds_nothing_is_not_kept() -> None:
    groups = Groups()
    name = ((b"job", b"x"),)
    for families in ({"m": frozenset([b"a"])}, {}):
        group = groups.of(name)
        group.users += 1
        groups.hold(name, families)
        groups.leave(name)
        assert (groups.of(name) is group) == bool(families)


def test_groups_longest_unused_are_forgotten() -> None:
    groups = Groups(series_max=6)
    for i in range(4):
        name = ((b"job", b"%d" % i),)
        groups.of(name)
        groups.hold(name, {"m": frozenset([b"a", b"b"])})

    assert groups.of(((b"job", b"0"),)).series == 0
    assert groups.of(((b"job", b"3"),)).series == 2
