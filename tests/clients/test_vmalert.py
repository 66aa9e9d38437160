"""vmalert evaluates its rules on our answers, and writes what comes of them back here."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import Any

from clients.binaries import need

WAIT_S = 30
RULES = """\
groups:
- name: g
  interval: 1s
  rules:
  - record: job:level:max
    expr: max by (job) (level)
    labels: {from: vmalert}
  - alert: High
    expr: level > 5
    labels: {severity: page}
"""


def test_vmalert(silverback: Any, tmp_path: Path) -> None:
    program = need("vmalert")
    (tmp_path / "rules.yml").write_text(RULES)
    with silverback(tmp_path) as server:
        now = time.time()
        line = {
            "metric": {"__name__": "level", "job": "a"},
            "values": [9] * 20,
            "timestamps": [round((now - 180 + 30 * i) * 1000) for i in range(20)],
        }
        urllib.request.urlopen(f"{server.url}/api/v1/import", json.dumps(line).encode()).read()
        flags = [
            f"-rule={tmp_path}/rules.yml", f"-datasource.url={server.url}",
            f"-remoteWrite.url={server.url}", f"-remoteRead.url={server.url}",
            "-remoteWrite.flushInterval=200ms", "-notifier.blackhole",
            "-httpListenAddr=127.0.0.1:0",
        ]  # fmt: skip
        log = tmp_path / "vmalert.log"
        with log.open("wb") as out:
            process = subprocess.Popen([program, *flags], stdout=out, stderr=out)
        try:
            recorded = server.wait_for('{__name__="job:level:max"}')
            alerts = server.wait_for('ALERTS{alertstate="firing"}')
        finally:
            process.terminate()
            process.wait(WAIT_S)

    ((name, points),) = recorded.items()
    assert json.loads(name) == {"__name__": "job:level:max", "job": "a", "from": "vmalert"}
    assert {value for _, value in points} == {9}
    ((name, points),) = alerts.items()
    assert json.loads(name) == {
        "__name__": "ALERTS", "alertname": "High", "alertgroup": "g", "alertstate": "firing",
        "job": "a", "severity": "page",
    }  # fmt: skip
    assert "error" not in log.read_text().replace("errors", ""), log.read_text()[-2000:]
