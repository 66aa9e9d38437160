"""prometheus-api-client, a Python client of Prometheus, asking us."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

pytestmark = pytest.mark.filterwarnings("ignore")  # of its own dependencies

T = 1_769_860_800


def write(server: Any) -> None:
    lines = [
        {
            "metric": {"__name__": "asked_total", "host": host},
            "values": [float(i) for i in range(41)],
            "timestamps": [(T + 15 * i) * 1000 for i in range(41)],
        }
        for host in ("a", "b")
    ]
    body = "".join(json.dumps(line) + "\n" for line in lines).encode()
    urlopen(Request(f"{server.url}/api/v1/import", body, method="POST")).read()


@pytest.mark.parametrize("prefix", ["", "/prometheus"])
def test_what_the_client_asks(silverback: Any, tmp_path: Path, prefix: str) -> None:
    from prometheus_api_client import MetricRangeDataFrame, PrometheusConnect

    with silverback(tmp_path) as server:
        write(server)
        client = PrometheusConnect(server.url + prefix)
        start, end = (datetime.fromtimestamp(T + s, UTC) for s in (60, 600))

        assert prefix or client.check_prometheus_connection()
        assert client.all_metrics() == ["asked_total"]
        assert client.get_label_names() == ["__name__", "host"]
        assert client.get_label_values("host") == ["a", "b"]
        assert len(client.get_series(start, end, params={"match[]": "asked_total"})) == 2
        (one,) = client.custom_query("sum(asked_total)", {"time": T + 150})
        assert one == {"metric": {}, "value": [T + 150, "20"]}
        found = client.custom_query_range("rate(asked_total[1m])", start, end, "15s")
        assert [each["metric"] for each in found] == [{"host": "a"}, {"host": "b"}]
        assert {len(each["values"]) for each in found} == {37}
        frame = MetricRangeDataFrame(found)
        assert len(frame) == 2 * 37
        raw = client.get_metric_range_data("asked_total", start_time=start, end_time=end)
        assert sum(len(each["values"]) for each in raw) == 2 * 36  # a step begins after its start
