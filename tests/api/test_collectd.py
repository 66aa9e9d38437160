"""POST /collectd: both forms of write_http under the names that write_prometheus gives."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

T = 1_700_000_000
INTERFACE = {
    "values": [1240, 816],
    "dstypes": ["derive", "derive"],
    "dsnames": ["rx", "tx"],
    "time": T + 0.476,
    "interval": 10.0,
    "host": "web01",
    "plugin": "interface",
    "plugin_instance": "eth0",
    "type": "if_octets",
    "type_instance": "",
    "meta": {"network:received": True},
}


def read(server: Any, selector: str) -> list[tuple[int, float]]:
    columns = server.database.select(selector).columns()
    return list(zip(columns.timestamps.tolist(), columns.values.tolist(), strict=True))


def test_json_value_lists(server: Any) -> None:
    reply = server("POST", "/collectd", [INTERFACE])

    assert (reply.status, reply.json["points"]) == (200, 2)
    labels = 'instance="web01",interface="eth0"'
    at = T * 1000 + 476
    assert read(server, f"collectd_interface_if_octets_rx_total{{{labels}}}") == [(at, 1240.0)]
    assert read(server, f"collectd_interface_if_octets_tx_total{{{labels}}}") == [(at, 816.0)]


def test_putval_lines_name_the_same_series(server: Any) -> None:
    body = (
        f"PUTVAL put01/interface-eth0/if_octets interval=10.000 {T}.476:1240:816\r\n"
        f"PUTVAL put01/load/load interval=10.000 {T}.000:0.5:0.25:U\r\n"
        f'PUTVAL "put 01/df-var log/df_complex-free" interval=10.000 {T}:5e9 {T + 10}:4e9\r\n'
        f"PUTVAL put01/cpu-0/cpu-user interval=10.000 {T}:17\n\n"
    )
    reply = server("POST", "/collectd", body.encode(), Content_Type="text/plain")

    assert reply.json["points"] == 7
    assert reply.json["refused_count"] == 1
    rx = 'collectd_interface_if_octets_rx_total{instance="put01",interface="eth0"}'
    assert read(server, rx) == [(T * 1000 + 476, 1240.0)]
    assert read(server, 'collectd_load_shortterm{instance="put01"}') == [(T * 1000, 0.5)]
    assert read(server, 'collectd_load_longterm{instance="put01"}') == []
    df = 'collectd_df_df_complex{instance="put 01",df="var log",type="free"}'
    assert [v for _, v in read(server, df)] == [5e9, 4e9]
    cpu = 'collectd_cpu_total{instance="put01",cpu="0",type="user"}'
    assert read(server, cpu) == [(T * 1000, 17.0)]


def test_null_is_no_value(server: Any) -> None:
    entry = INTERFACE | {"values": [None, 5], "host": "nulls"}
    reply = server("POST", "/collectd", [entry])

    assert (reply.status, reply.json["points"], reply.json["refused_count"]) == (200, 1, 1)
    assert read(server, '{instance="nulls"}') == [(T * 1000 + 476, 5.0)]


def test_a_body_of_nulls_alone_is_no_error_of_the_sender(server: Any) -> None:
    """collectd would log a failed write every ten seconds."""
    entry = INTERFACE | {"values": [None, None]}
    reply = server("POST", "/collectd", [entry])

    assert reply.status == 200
    assert reply.json["points"] == 0


@pytest.mark.parametrize(
    "change",
    [
        {"values": [1]},
        {"values": ["x", 1]},
        {"values": None},
        {"time": "now"},
        {"time": None},
        {"plugin": ""},
        {"type": 5},
        {"host": "x\0y"},
        {"dstypes": [1, 2]},
        {"severity": "FAILURE", "values": None},
    ],
)
def test_a_wrong_entry_costs_itself(server: Any, change: dict[str, Any]) -> None:
    good = INTERFACE | {"host": "good"}
    reply = server("POST", "/collectd", [INTERFACE | {"host": "bad"} | change, good])

    assert reply.status == 200
    assert reply.json["points"] == 2
    assert reply.json["refused_count"] >= 1
    assert not read(server, '{instance="bad"}')


@pytest.mark.parametrize("body", [b"hello", b"PUTVAL a/b 1:2", b"[3]", b"[", b"PUTVAL a/b/c x:y"])
def test_a_body_of_nothing_good_is_refused(server: Any, body: bytes) -> None:
    reply = server("POST", "/collectd", body)

    assert reply.status == 400
    assert reply.json["status"] == "error"


def test_a_body_may_be_compressed(server: Any) -> None:
    body = gzip.compress(json.dumps([INTERFACE | {"host": "packed"}]).encode())
    assert server("POST", "/collectd", body, Content_Encoding="gzip").json["points"] == 2
