"""collectd with write_tsdb, write_graphite and write_http, beside its own CSV files."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from clients.binaries import need

WRITERS = {
    "graphite": """
        <Plugin write_graphite>
          <Node "silverback">
            Host "127.0.0.1"
            Port "{graphite}"
            Protocol "{protocol}"
            ReconnectInterval 0
            StoreRates false
            UseTags {tags}
          </Node>
        </Plugin>""",
    "tsdb": """
        <Plugin write_tsdb>
          <Node>
            Host "127.0.0.1"
            Port "{opentsdb}"
            HostTags "dc=fra  rack=7"
            StoreRates false
          </Node>
        </Plugin>""",
    "http": """
        <Plugin write_http>
          <Node "silverback">
            URL "http://127.0.0.1:{http}/collectd"
            Format "{format}"
            StoreRates false
            BufferSize 4096
          </Node>
        </Plugin>""",
}
CONFIGURATION = """
Hostname "web-01"
FQDNLookup false
BaseDir "{folder}"
PIDFile "{folder}/pid"
PluginDir "{plugins}"
TypesDB "{types}"
Interval 0.1
WriteThreads 1
LoadPlugin logfile
LoadPlugin csv
LoadPlugin load
LoadPlugin memory
LoadPlugin interface
LoadPlugin write_{writer}
<Plugin logfile>
  LogLevel info
  File STDERR
</Plugin>
<Plugin csv>
  DataDir "{folder}/csv"
  StoreRates false
</Plugin>
{settings}
"""


def run_collectd(folder: Path, writer: str, seconds: float, **fields: Any) -> str:
    """Let collectd write for a while; what it says. Its last buffers go out when it ends."""
    program = need("collectd")
    root = program.resolve().parent.parent
    settings = WRITERS[writer].format(**fields)
    text = CONFIGURATION.format(
        folder=folder, plugins=root / "lib/collectd", types=root / "share/collectd/types.db",
        writer=writer, settings=settings,
    )  # fmt: skip
    (folder / "collectd.conf").write_text(text)
    libraries = ":".join(map(str, (root / "lib").glob("*-linux-gnu")))
    process = subprocess.Popen(
        [program, "-f", "-C", folder / "collectd.conf"],
        env={**os.environ, "LD_LIBRARY_PATH": libraries},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        time.sleep(seconds)
    finally:
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=30)[1]
    assert process.returncode == 0, said
    return said


def rows_of(folder: Path, path: str) -> list[list[str]]:
    """Lines of collectd's own files of a type, without their heading: time in seconds, values."""
    files = sorted((folder / "csv" / "web-01").glob(f"{path}-2*"))
    assert files, list((folder / "csv").rglob("*"))
    lines = [line for file in files for line in file.read_text().splitlines()]
    return [line.split(",") for line in lines if not line.startswith("epoch")]


def points_of(rows: list[list[str]], column: int) -> list[tuple[int, float]]:
    """By time, once each: collectd's own file may hold a row twice."""
    return list({round(float(row[0]) * 1000): float(row[column]) for row in rows}.items())


def check_same(found: dict[str, Any], expected: list[tuple[int, float]]) -> None:
    """One series whose points are the expected ones: to the millisecond, and to the six
    decimals that collectd's own files keep.
    """
    (points,) = found.values()
    assert len(points) == len(expected) > 5
    for (at, value), (at_there, value_there) in zip(points, expected, strict=True):
        assert abs(at - at_there) <= 1
        assert value == pytest.approx(value_there, rel=1e-14, abs=6e-7, nan_ok=True)


def check_by_second(found: dict[str, Any], expected: list[tuple[int, float]]) -> None:
    """The same where times are rounded to seconds: of ten points of 0.1 s one is left."""
    (points,) = found.values()
    for at, value in points:
        near = [v for at_there, v in expected if abs(at - at_there) <= 501]
        assert any(value == pytest.approx(v, abs=1e-6) for v in near), (at, value, near)
    assert abs(len(points) - len({(at + 500) // 1000 for at, _ in expected})) <= 1
    assert len(points) > 1


@pytest.mark.parametrize("form", ["JSON", pytest.param("Command", marks=pytest.mark.slow)])
def test_write_http(silverback: Any, tmp_path: Path, form: str) -> None:
    with silverback(tmp_path) as server:
        run_collectd(tmp_path, "http", 2, http=server.port, format=form)

        rows = rows_of(tmp_path, "load/load")
        for column, name in enumerate(("shortterm", "midterm", "longterm"), 1):
            found = server.series(f'collectd_load_{name}{{instance="web-01"}}')
            check_same(found, points_of(rows, column))
        octets = rows_of(tmp_path, "interface-lo/if_octets")
        selector = 'collectd_interface_if_octets_rx_total{interface="lo"}'
        check_same(server.series(selector), points_of(octets, 1))
        free = rows_of(tmp_path, "memory/memory-free")
        check_same(server.series('collectd_memory{memory="free"}'), points_of(free, 1))


@pytest.mark.slow
@pytest.mark.parametrize("protocol", ["tcp", "udp"])
@pytest.mark.parametrize("tags", ["true", "false"])
def test_write_graphite(silverback: Any, tmp_path: Path, protocol: str, tags: str) -> None:
    with silverback(tmp_path, ports=("graphite-port",)) as server:
        port = server.ports["graphite-port"]
        run_collectd(tmp_path, "graphite", 3, graphite=port, protocol=protocol, tags=tags)

        names = {json.loads(name)["__name__"] for name in server.series('{__name__=~".*load.*"}')}
        assert len(names) == 3, names
        found = server.wait_for('{__name__=~".*load.shortterm"}')
        check_by_second(found, points_of(rows_of(tmp_path, "load/load"), 1))


@pytest.mark.slow
def test_write_tsdb(silverback: Any, tmp_path: Path) -> None:
    with silverback(tmp_path, ports=("opentsdb-port",)) as server:
        said = run_collectd(tmp_path, "tsdb", 3, opentsdb=server.ports["opentsdb-port"])

        found = server.wait_for('{__name__=~"load.*shortterm",dc="fra",rack="7"}')
        check_by_second(found, points_of(rows_of(tmp_path, "load/load"), 1))
        assert "write_tsdb plugin:" not in said
