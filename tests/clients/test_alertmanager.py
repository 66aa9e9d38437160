"""Alerts of rules arrive in a real Alertmanager, and are gone from it when they are resolved."""

from __future__ import annotations

import itertools
import json
import subprocess
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from clients.binaries import need

from benchmarks import serving

WAIT_S = 30
CONFIGURATION = "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n"
RULES = """\
groups:
- name: g
  interval: 100ms
  rules:
  - alert: Hot
    expr: temp > 30
    labels: {severity: page}
    annotations: {summary: "{{ $labels.room }} has {{ $value }} degrees"}
"""


def alerts_of(url: str) -> list[Any]:
    with urllib.request.urlopen(f"{url}/api/v2/alerts", timeout=10) as answer:
        found: list[Any] = json.load(answer)
        return found


def wait_for(holds: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + WAIT_S
    for pause in itertools.chain([0.02] * 20, itertools.repeat(0.1)):
        try:
            found = holds()
        except OSError:
            found = None
        if found:
            return found
        assert time.monotonic() < deadline, "it does not happen"
        time.sleep(pause)
    raise AssertionError


def put(url: str, value: str) -> None:
    request = urllib.request.Request(url, value.encode(), method="PUT")
    with urllib.request.urlopen(request, timeout=10):
        pass


def test_alertmanager(silverback: Any, tmp_path: Path) -> None:
    program = need("prometheus-alertmanager")
    (tmp_path / "alertmanager.yml").write_text(CONFIGURATION)
    (tmp_path / "rules.yml").write_text(RULES)
    url = f"http://127.0.0.1:{serving.free_port()}"
    with (tmp_path / "alertmanager.log").open("wb") as log:
        process = subprocess.Popen(
            [
                program, f"--config.file={tmp_path}/alertmanager.yml", "--cluster.listen-address=",
                f"--storage.path={tmp_path}/alerts", f"--web.listen-address={url[7:]}",
            ],
            stdout=log, stderr=log,
        )  # fmt: skip
    try:
        wait_for(lambda: alerts_of(url) == [])
        flags = ("--rules", str(tmp_path / "rules.yml"), "--alertmanager", url)
        with silverback(tmp_path, *flags) as server:
            put(f"{server.url}/kv/temp", "31.5")
            (alert,) = wait_for(lambda: alerts_of(url))
            assert alert["labels"] == {"alertname": "Hot", "severity": "page"}
            assert alert["annotations"] == {"summary": " has 31.5 degrees"}
            assert alert["status"]["state"] == "active"

            put(f"{server.url}/kv/temp", "20")
            wait_for(lambda: alerts_of(url) == [])
    finally:
        process.terminate()
        process.wait(30)
