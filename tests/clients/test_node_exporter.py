"""Debian's prometheus-node-exporter, scraped by a real server; SIGHUP reads the file again."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from clients.binaries import need
from prometheus_client.parser import text_string_to_metric_families

CONFIG = """\
global: {{scrape_interval: 500ms}}
scrape_configs:
- job_name: {job}
  static_configs: [{{targets: ['127.0.0.1:{port}'], labels: {{rack: r1}}}}]
  metric_relabel_configs:
  - {{source_labels: [__name__], regex: 'go_.*|promhttp_.*', action: drop}}
"""
DROPPED = re.compile("go_|promhttp_")


@pytest.fixture(scope="module")
def exporter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port it listens on."""
    program = need("prometheus-node-exporter")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    log = tmp_path_factory.mktemp("exporter") / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [program, f"--web.listen-address=127.0.0.1:{port}"], stdout=output, stderr=output
        )
    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline
                time.sleep(0.02)
        yield port
    finally:
        process.terminate()
        process.wait()


def exposed(port: int) -> set[str]:
    """Series as the exporter's own library's cousin reads them, in the form of an export."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        text = answer.read().decode()
    own = {"instance": f"127.0.0.1:{port}", "job": "node", "rack": "r1"}
    return {
        json.dumps({"__name__": sample.name} | sample.labels | own, sort_keys=True)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if not DROPPED.match(sample.name)
    }


def ups(series: dict[str, Any]) -> list[float]:
    return [value for points in series.values() for _, value in points]


def test_node_exporter(silverback: Any, tmp_path: Path, exporter: int) -> None:
    config = tmp_path / "scrape.yml"
    config.write_text(CONFIG.format(job="node", port=exporter))
    with silverback(tmp_path, "--scrape-config", str(config)) as server:
        # A busy machine may miss one; two must have come.
        up = server.wait_for('up{job="node"}', lambda all_: ups(all_).count(1) >= 2)
        assert set(ups(up)) <= {0, 1}

        stored = server.series('{job="node"}')
        about = {name for name in stored if '"scrape_' in name or '"up"' in name}
        expected = exposed(exporter)
        assert len(expected) > 100
        # Some come and go with what the machine does meanwhile.
        assert len((set(stored) - about) ^ expected) < len(expected) // 20
        times = {t for name, points in stored.items() for t, _ in points[:1]}
        assert len(times) < 5
        told = json.loads(server.server.get("/api/v1/targets/metadata?metric=node_load1"))
        assert [one["type"] for one in told["data"]] == ["gauge"]

        config.write_text(CONFIG.format(job="other", port=exporter))
        server.server.process.send_signal(signal.SIGHUP)
        server.wait_for('up{job="other"}')
        stale = server.wait_for('node_load1{job="node"}', lambda a: "StaleNaN" in str(a))
        assert len(stale) == 1
