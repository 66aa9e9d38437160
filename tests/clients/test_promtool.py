"""promtool asks a running server, and judges rule files as `silverback rules check` does."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from clients.binaries import need

WAIT_S = 30
T = 1_769_860_800
GOOD = """\
groups:
- name: g
  interval: 30s
  rules:
  - record: job:x:rate5m
    expr: sum by (job) (rate(x_total[5m]))
  - alert: Down
    expr: up == 0
    for: 5m
    labels: {severity: page}
    annotations: {summary: "{{ $labels.job }} is down"}
"""
BAD = {
    "an expression": GOOD.replace("up == 0", "up =="),
    "a name": GOOD.replace("job:x:rate5m", "''"),
    "a template": GOOD.replace("$labels.job }}", "$labels.job"),
    "twice a group": GOOD + GOOD.partition("\n")[2],
    "a field": GOOD.replace("for: 5m", "fore: 5m"),
    "both": GOOD.replace("  - alert", "    alert"),
}


def run(*command: object) -> subprocess.CompletedProcess[str]:
    words = [str(word) for word in command]
    return subprocess.run(words, capture_output=True, text=True, timeout=WAIT_S, check=False)


def test_queries(silverback: Any, tmp_path: Path) -> None:
    promtool = need("promtool")
    with silverback(tmp_path) as server:
        lines = [
            {
                "metric": {"__name__": "x_total", "job": job},
                "values": [i * 30 for i in range(41)],
                "timestamps": [(T + 15 * i) * 1000 for i in range(41)],
            }
            for job in ("a", "b")
        ]
        body = "".join(json.dumps(line) + "\n" for line in lines).encode()
        urllib.request.urlopen(f"{server.url}/api/v1/import", body).read()
        span = [f"--start={T}", f"--end={T + 600}"]

        instant = run(promtool, "query", "instant", f"--time={T + 600}", server.url, "x_total")
        assert instant.stdout.splitlines() == [
            f'x_total{{job="{job}"}} => 1200 @[{T + 600}]' for job in ("a", "b")
        ]
        query = "sum(x_total)"
        ranged = run(promtool, "query", "range", *span, "--step=5m", server.url, query)
        assert ranged.stdout.splitlines() == [
            "{} =>", f"0 @[{T}]", f"1200 @[{T + 300}]", f"2400 @[{T + 600}]",
        ]  # fmt: skip
        series = run(promtool, "query", "series", "--match=x_total", *span, server.url)
        assert series.stdout.splitlines() == [
            f'{{__name__="x_total", job="{job}"}}' for job in ("a", "b")
        ]
        labels = run(promtool, "query", "labels", *span, server.url, "job")
        assert labels.stdout.split() == ["a", "b"]
        refused = run(promtool, "query", "instant", server.url, "sum(")
        assert refused.returncode != 0
        assert "bad_data" in refused.stderr
        assert "parse error: unclosed left parenthesis" in refused.stderr
        as_json = run(promtool, "query", "instant", "-o", "json", server.url, "1")
        assert json.loads(as_json.stdout or "null") is not None


@pytest.mark.parametrize("what", ["good", *BAD])
def test_rule_files(what: str, tmp_path: Path) -> None:
    promtool = need("promtool")
    path = tmp_path / "rules.yml"
    path.write_text(BAD.get(what, GOOD))

    theirs = run(promtool, "check", "rules", path)
    ours = run(Path(sys.executable).parent / "silverback", "rules", "check", path)

    assert (theirs.returncode == 0) is (what == "good"), theirs.stderr
    assert (ours.returncode == 0) is (what == "good"), ours.stdout
