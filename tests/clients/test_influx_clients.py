"""InfluxDB's own Python clients: versions 1, 2 and 3, against a real server."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

import influxdb
import influxdb_client
import influxdb_client_3
import pytest
from influxdb.exceptions import InfluxDBClientError
from influxdb_client.client.write_api import SYNCHRONOUS
from influxdb_client.rest import ApiException

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the clients' own
T = 1_700_000_000
MOMENT = datetime.fromtimestamp(T, UTC)


@pytest.fixture(scope="module")
def served(silverback: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    with silverback(tmp_path_factory.mktemp("influx")) as server:
        yield server


def one(served: Any, selector: str) -> list[tuple[int, Any]]:
    """Points of the one series that matches."""
    (points,) = served.series(selector).values()
    found: list[tuple[int, Any]] = points
    return found


def test_influxdb(served: Any) -> None:
    """Version 1, with its default user and password."""
    client = influxdb.InfluxDBClient("127.0.0.1", served.port, "root", "root", database="v1")
    assert client.ping().startswith("1.8")
    client.create_database("v1")
    fields = {"usage": 12.5, "count": 3, "ok": True, "text": 'x "y"'}
    points = [
        {"measurement": "cpu", "tags": {"host": "web 01", "dc": "a,b"}, "time": T + i,
         "fields": fields | {"usage": i / 4}}
        for i in range(10)
    ]  # fmt: skip
    assert client.write_points(points, time_precision="s")

    selector = '{db="v1",host="web 01",dc="a,b"'
    assert one(served, f'{selector},__name__="cpu_usage"}}') == [
        ((T + i) * 1000, i / 4) for i in range(10)
    ]
    assert one(served, f'{selector},__name__="cpu_ok"}}')[0] == (T * 1000, 1)
    assert served.series('{__name__="cpu_text"}') == {}
    assert client.get_list_database() == [{"name": "v1"}]
    assert client.get_list_measurements() == [{"name": "cpu"}]
    text = "SELECT usage, host FROM cpu WHERE time > now() - 10000d LIMIT 2"
    (rows,) = client.query(text)
    assert [(row["usage"], row["host"]) for row in rows] == [(0.0, "web 01"), (0.25, "web 01")]
    with pytest.raises(InfluxDBClientError, match="nan") as refused:
        client.write_points(["cpu usage=nan"], protocol="line")
    assert refused.value.code == 400
    with pytest.raises(InfluxDBClientError, match="error parsing query"):
        client.query("DROP SERIES FROM cpu")


def test_influxdb_client(served: Any) -> None:
    """Version 2: points, lines, a data frame's worth of series, deletes."""
    with influxdb_client.InfluxDBClient(served.url, token="t", org="o") as client:
        assert client.ping()
        assert client.version().startswith("1.8")
        assert client.health().status == "pass"
        with client.write_api(write_options=SYNCHRONOUS) as api:
            points = [
                influxdb_client.Point("mem").tag("host", "a=b").field("free", i).field("on", False)
                .time(T * 10**9 + i * 10**6)
                for i in range(10)
            ]  # fmt: skip
            api.write(bucket="v2", record=points)
            api.write(bucket="v2", record=f"mem,host=c free=1.25 {T}", write_precision="s")
            with pytest.raises(ApiException) as refused:
                api.write(bucket="v2", record=["mem,host=c free=2.5", "mem,host free=1"])
        assert refused.value.status == 400
        assert "line 2" in refused.value.message
        assert one(served, 'mem_free{db="v2",host="a=b"}') == [(T * 1000 + i, i) for i in range(10)]
        assert one(served, 'mem_free{db="v2",host="c"}')[0] == (T * 1000, 1.25)
        client.delete_api().delete(
            MOMENT, datetime.fromtimestamp(T + 1, UTC), '_measurement="mem" AND host="a=b"', "v2"
        )
        assert served.series('mem_free{host="a=b"}') == {}
        assert [b.name for b in client.buckets_api().find_buckets().buckets] == ["v1", "v2"]
        with pytest.raises(ApiException, match="Flux") as unspoken:
            client.query_api().query('from(bucket: "v2")')
        assert unspoken.value.status == 400


@pytest.mark.slow
def test_influxdb_client_in_batches(served: Any) -> None:
    """Its default: a thread that sends what has gathered, and tells what failed."""
    failed: list[Any] = []
    with (
        influxdb_client.InfluxDBClient(
            served.url,
            token="t",
            org="o",
            enable_gzip=True,
        ) as client,
        client.write_api(error_callback=lambda *told: failed.append(told)) as api,
    ):
        for i in range(5_000):
            api.write("batch", record=f"disk,host=h{i % 10} used={i} {T * 10**9 + i * 10**6}")
    assert failed == []
    found = served.series('disk_used{db="batch"}')
    assert len(found) == 10
    assert sorted(v for points in found.values() for _, v in points) == list(range(5_000))


@pytest.mark.parametrize("no_sync", [False, True])
def test_influxdb3(served: Any, no_sync: bool) -> None:
    """Version 3: writes go to /api/v2/write, or to /api/v3/write_lp when it need not wait."""
    options = influxdb_client_3.WriteOptions(
        write_type=influxdb_client_3.WriteType.synchronous,
        no_sync=no_sync,
        use_v2_api=not no_sync,
    )
    database = f"v3{no_sync}"
    client = influxdb_client_3.InfluxDBClient3(
        host=served.url, token="t", database=database,
        write_client_options=influxdb_client_3.write_client_options(write_options=options),
    )  # fmt: skip
    try:
        points = [
            influxdb_client_3.Point("net")
            .tag("if", "eth0")
            .field("rx", i * 1.5)
            .time(T * 10**9 + i)
            for i in range(3)
        ]
        client.write(points)
        client.write(f"net,if=eth1 rx=1e300 {T * 10**9}")
    finally:
        client.close()
    # Nanoseconds into milliseconds: the last one stands.
    assert one(served, f'net_rx{{db="{database}",if="eth0"}}') == [(T * 1000, 3.0)]
    ((_, value),) = one(served, f'net_rx{{db="{database}",if="eth1"}}')
    assert math.isclose(value, 1e300)
