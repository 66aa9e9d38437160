"""The demo: the real server, killed for real; a second run finds its data."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest

import tsdb
from api import cli
from api.demo_history import DAYS, STEP_S, history
from api.demo_machine import Machine
from api.exits import Exit

NOW_MS = 1_769_860_800_000
WAIT_S = 120


def test_history_is_the_same_every_time_and_ends_now() -> None:
    first, again = list(history(NOW_MS)), list(history(NOW_MS))

    assert len(first) > 40
    for one, other in zip(first, again, strict=True):
        assert one.labels == other.labels
        assert np.array_equal(one.values, other.values)
    for run in first:
        assert run.values.size == run.timestamps.size == DAYS * 86_400 // STEP_S
        assert np.isfinite(run.values).all()
        assert (np.diff(run.timestamps) > 0).all()
        assert NOW_MS - 60_000 < run.timestamps[-1] <= NOW_MS + 1_000


def test_counters_only_grow_and_per_cents_stay_within_bounds() -> None:
    for run in history(NOW_MS):
        name = run.labels["__name__"]
        if name.endswith("_total"):
            assert (np.diff(run.values) >= 0).all(), run.labels
        if name == "cpu_percent":
            assert 0 <= run.values.min() <= run.values.max() <= 100


def test_this_machine_speaks_the_language_of_the_history() -> None:
    """So that one selector shows both."""
    made = {(run.labels["__name__"], *sorted(run.labels)) for run in history(NOW_MS)}
    read = {(labels["__name__"], *sorted(labels)) for labels, _ in Machine().read()}

    assert len(read) >= 5
    assert read <= made


def test_once_proves_that_kill_9_loses_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["demo", "--once", "--json"]) == Exit.OK

    found = json.loads(capsys.readouterr().out)
    assert found["same"]
    assert found["sent"] == found["acknowledged"] == found["read_back"] > 10_000
    assert found["differing"] == 0


def test_once_notices_what_is_missing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proof that cannot fail is none: here one value is changed on the way in."""
    from api import demo_once
    from tsdb.query.selection import Series

    send = demo_once._send

    def send_wrongly(url: str, series: list[Series]) -> int:
        values = series[0].values.copy()
        values[7] = np.nextafter(values[7], np.inf)
        changed = Series(series[0].labels, series[0].timestamps, values)
        return send(url, [changed, *series[1:]])

    monkeypatch.setattr(demo_once, "_send", send_wrongly)

    assert cli.run(["demo", "--once"]) == Exit.DIFFERENT

    told = capsys.readouterr()
    assert re.search(r"differ in any bit +1\b", told.out)
    assert "did not come back" in told.err


def demo(data: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "api.cli", "demo", "--data", str(data), "--port", "0"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def read_until(child: subprocess.Popen[str], text: str) -> str:
    assert child.stdout is not None
    lines = []
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        line = child.stdout.readline()
        lines.append(line)
        if text in line:
            return "".join(lines)
        if not line:
            break
    raise AssertionError("".join(lines))


def stop(child: subprocess.Popen[str], how: signal.Signals = signal.SIGINT) -> tuple[str, str]:
    """Ctrl-C, unless told otherwise."""
    child.send_signal(how)
    return child.communicate(timeout=WAIT_S)


def test_the_demo_runs_stops_and_goes_on(tmp_path: Path) -> None:
    """As a stranger uses it: run, paste the three lines, Ctrl-C, run again."""
    child = demo(tmp_path / "data")
    told = read_until(child, " points/s, ack ")
    assert "three days of three machines" in told
    curls = re.findall(r"^  curl .*$", told, re.M)
    assert len(curls) == 3
    for line in curls:
        answer = subprocess.run(line, shell=True, capture_output=True, text=True, check=True)
        document = json.loads(answer.stdout)
        assert document.get("keys") or document.get("durable") or document.get("points"), line
    out, err = stop(child)
    assert (child.returncode, err) == (0, "")
    assert "goes on with it" in out

    again = demo(tmp_path / "data")
    told = read_until(again, " points/s, ack ")
    assert "Found the data of an earlier run" in told
    url = re.search(r"http://[\d.:]+", told)
    assert url is not None
    with urllib.request.urlopen(f"{url[0]}/kv/sensors/kitchen/temp", timeout=WAIT_S) as answer:
        assert [value for _, value in json.load(answer)["points"]] == [21.5]
    stop(again, signal.SIGTERM)  # as make or a time-out ends it
    assert again.returncode == 0
    with tsdb.open(tmp_path / "data", background=False) as db:  # its server is gone too
        assert db.stats().points


def test_a_server_that_cannot_start_says_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "data").write_text("a file, not a directory")

    code = cli.run(["demo", "--data", str(tmp_path / "data"), "--port", "0"])

    told = capsys.readouterr().err
    assert code != Exit.OK
    assert f"the server ended with code {int(code)}: " in told
    assert "Not a directory" in told


def test_a_server_that_dies_is_noticed(tmp_path: Path) -> None:
    child = demo(tmp_path / "data")
    read_until(child, " points/s, ack ")
    os.kill(int((tmp_path / "data" / "LOCK").read_text()), signal.SIGKILL)

    _, err = child.communicate(timeout=WAIT_S)

    assert child.returncode == Exit.UNAVAILABLE
    assert "the server ended with code -9" in err
