"""Prometheus reads our points by remote_read, and answers queries with them as if its own."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from clients.binaries import need

WAIT_S = 30
T = 1_769_860_800


@contextlib.contextmanager
def reading_prometheus(folder: Path, url: str) -> Iterator[int]:
    """Its port, while it runs; it stores nothing itself."""
    program = need("prometheus")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    config = folder / "prometheus.yml"
    config.write_text(f"remote_read:\n- url: {url}/api/v1/read\n  read_recent: true\n")
    flags = [
        f"--config.file={config}", f"--storage.tsdb.path={folder}/prometheus",
        f"--web.listen-address=127.0.0.1:{port}",
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


def answer(url: str, path: str, **parameters: object) -> Any:
    with urllib.request.urlopen(f"{url}{path}?{urllib.parse.urlencode(parameters)}") as reply:
        return json.loads(reply.read())["data"]


def kinds_of_answers(prometheus: str) -> set[str]:
    """How its remote_read was answered so far, by its own count."""
    with urllib.request.urlopen(f"{prometheus}/metrics") as reply:
        text = reply.read().decode()
    counted = re.findall(
        r'^prometheus_remote_read_client_queries_total{code="200".*response_type="(\w+)"',
        text,
        re.M,
    )
    return set(counted)


def test_prometheus_answers_from_our_points(silverback: Any, tmp_path: Path) -> None:
    with silverback(tmp_path) as server:
        lines = [
            {
                "metric": {"__name__": "far_total", "host": host, "dc": "é"},
                "values": [i * 1.1 for i in range(241)],
                "timestamps": [(T + 15 * i) * 1000 for i in range(241)],
            }
            for host in ("a", "b")
        ]
        body = "".join(json.dumps(line) + "\n" for line in lines).encode()
        urllib.request.urlopen(f"{server.url}/api/v1/import", body).read()
        with reading_prometheus(tmp_path, server.url) as port:
            theirs = f"http://127.0.0.1:{port}"
            span = {"start": T, "end": T + 3600, "step": 60}
            for query in (
                "far_total", 'sum by (dc) (rate(far_total{host=~"a|b"}[5m]))',
                'far_total{host!="a",dc!~"x"}', 'far_total{host="none"}',
            ):  # fmt: skip
                found = answer(theirs, "/api/v1/query_range", query=query, **span)
                assert found == answer(server.url, "/api/v1/query_range", query=query, **span)
                assert bool(found["result"]) is ("none" not in query)
            assert kinds_of_answers(theirs) == {"chunked"}
