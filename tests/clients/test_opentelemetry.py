"""OpenTelemetry's SDKs sending to us: Python's in protobuf, Node's in JSON."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from clients.binaries import need, need_packages
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource


def test_python_exporter(silverback: Any, tmp_path: Any) -> None:
    with silverback(tmp_path) as server:
        exporter = OTLPMetricExporter(f"{server.url}/v1/metrics", compression=Compression.Gzip)
        reader = PeriodicExportingMetricReader(exporter, export_interval_millis=3_600_000)
        resource = Resource({"service.name": "shop", "service.instance.id": "i1", "zone": "z"})
        provider = MeterProvider([reader], resource)
        meter = provider.get_meter("test")
        meter.create_counter("orders", unit="1").add(3, {"pay.by": "card"})
        meter.create_up_down_counter("carts").add(-2)
        meter.create_gauge("heat", unit="Cel").set(21.5)
        meter.create_histogram("wait", unit="s").record(0.3)
        assert provider.force_flush()
        found = {name: [v for _, v in p] for name, p in server.series('{job="shop"}').items()}
        provider.shutdown()  # sends once more

    def named(name: str, **labels: str) -> str:
        own = {"__name__": name, "instance": "i1", "job": "shop", **labels}
        return json.dumps(own, sort_keys=True)

    assert found[named("orders_total", pay_by="card")] == [3]
    assert found[named("carts")] == [-2]
    assert found[named("heat_celsius")] == [21.5]
    assert found[named("wait_seconds_count")] == [1]
    assert found[named("wait_seconds_bucket", le="+Inf")] == [1]
    assert any('"target_info"' in name and '"zone": "z"' in name for name in found)


PACKAGES = Path(__file__).with_name("node")


@pytest.fixture(scope="session")
def exporter_of_node(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Node, and a script with its packages beside it."""
    node, npm = need("node"), need("npm")
    folder = tmp_path_factory.mktemp("node")
    for name in ("package.json", "send.js"):
        shutil.copy(PACKAGES / name, folder)
    need_packages(npm, folder)
    return node, folder / "send.js"


def test_node_exporter_in_json(
    silverback: Any, tmp_path: Any, exporter_of_node: tuple[Path, Path]
) -> None:
    node, script = exporter_of_node
    with silverback(tmp_path) as server:
        done = subprocess.run(
            [node, script, f"{server.url}/v1/metrics"], capture_output=True, text=True, timeout=60
        )
        assert (done.returncode, done.stderr) == (0, "")
        found = {name: [v for _, v in p] for name, p in server.series('{job="shop"}').items()}

    def named(name: str, **labels: str) -> str:
        own = {"__name__": name, "instance": "n1", "job": "shop", **labels}
        return json.dumps(own, sort_keys=True)

    assert found[named("orders_total", pay_by="card")][-1] == 3
    assert found[named("carts")][-1] == -2
    assert found[named("heat_celsius")][-1] == 21.5
    assert found[named("wait_seconds_sum")][-1] == 0.3
    assert any('"target_info"' in name and '"zone": "z"' in name for name in found)
