"""Prometheus scrapes itself and writes it here, by remote_write 1.0 and 2.0; it is the oracle."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from clients.binaries import need

WAIT_S = 30
CONFIGURATION = """\
global: {{scrape_interval: 250ms, scrape_timeout: 200ms, external_labels: {{replica: r1}}}}
scrape_configs:
- job_name: self
  static_configs: [{{targets: ['127.0.0.1:{port}']}}]
remote_write:
- url: {url}/api/v1/write
  protobuf_message: {message}
  send_exemplars: true
  metadata_config: {{send_interval: 1s}}
  queue_config: {{batch_send_deadline: 100ms}}
"""
MESSAGES = ["prometheus.WriteRequest", "io.prometheus.write.v2.Request"]


def answer(port: int, path: str, **parameters: str) -> Any:
    url = f"http://127.0.0.1:{port}{path}?{urllib.parse.urlencode(parameters)}"
    with urllib.request.urlopen(url, timeout=WAIT_S) as reply:
        return json.loads(reply.read())["data"]


@contextlib.contextmanager
def prometheus(folder: Path, url: str, message: str) -> Iterator[int]:
    """Its port, while it runs."""
    program = need("prometheus")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    (folder / "prometheus.yml").write_text(
        CONFIGURATION.format(port=port, url=url, message=message)
    )
    flags = [
        f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/prometheus",
        f"--web.listen-address=127.0.0.1:{port}", "--enable-feature=metadata-wal-records",
    ]  # fmt: skip
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen([program, *flags], stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + WAIT_S
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/-/ready", timeout=WAIT_S)
                break
            assert process.poll() is None, (folder / "prometheus.log").read_text()[-2000:]
            time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait(WAIT_S)


def sent_of(port: int, name: str) -> float:
    """Sum over one of Prometheus' own counters."""
    found = answer(port, "/api/v1/query", query=f"sum({name})")["result"]
    return float(found[0]["value"][1]) if found else 0.0


@pytest.mark.parametrize(
    "message", [MESSAGES[0], pytest.param(MESSAGES[1], marks=pytest.mark.slow)]
)
def test_prometheus_writes_itself(silverback: Any, tmp_path: Path, message: str) -> None:
    with silverback(tmp_path) as server, prometheus(tmp_path, server.url, message) as port:
        name = "prometheus_tsdb_head_series"
        server.wait_for(name, lambda found: sum(map(len, found.values())) >= 4)

        # Every point there was a moment ago, with the label that the sender adds.
        there = answer(port, "/api/v1/query", query=f'{{job="self",__name__=~"{name}|up"}}[1h]')
        ours = server.wait_for(
            '{job="self",__name__=~"prometheus_tsdb_head_series|up"}', lambda f: len(f) == 2
        )
        for series in there["result"]:
            points = ours[json.dumps(series["metric"] | {"replica": "r1"}, sort_keys=True)]
            expected = [(round(t * 1000), float(v)) for t, v in series["values"]]
            together = [p for p in expected if p[0] <= points[-1][0]]
            assert len(together) >= 2
            assert points[: len(together)] == together

        # Type and help as Prometheus has them.
        theirs = answer(port, "/api/v1/metadata", metric="prometheus_tsdb_head_series")
        found = answer(server.port, "/api/v1/metadata", metric="prometheus_tsdb_head_series")
        assert found == theirs

        for counter in ("failed", "dropped", "retried"):
            name = f"prometheus_remote_storage_samples_{counter}_total"
            assert sent_of(port, name) == 0, (tmp_path / "prometheus.log").read_text()[-2000:]
        assert "non-recoverable" not in (tmp_path / "prometheus.log").read_text()
