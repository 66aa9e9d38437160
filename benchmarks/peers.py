"""Other servers of this field on the same machine, as rivals: found, started, stopped, measured.

    in   binaries on the PATH, or below the folder that SILVERBACK_PEERS names
    out  Rival: its port, its CPU seconds, its peak memory

Each runs with the settings its own documentation gives for taking remote_write, on a fresh folder.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.serving import TICKS, free_port

__all__ = ["RIVALS", "Rival", "binary", "running"]

READY_S = 30


@dataclass(slots=True)
class Rival:
    """One running server."""

    name: str
    version: str
    process: subprocess.Popen[bytes]
    port: int

    def cpu_s(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def peak_rss_bytes(self) -> int:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(next(x for x in status.splitlines() if x.startswith("VmHWM")).split()[1]) * 1024

    def get(self, path: str) -> bytes:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=120) as answer:
            body: bytes = answer.read()
        return body


def binary(name: str) -> Path | None:
    """A program on the PATH or below $SILVERBACK_PEERS; None when it is not there."""
    found = shutil.which(name)
    if found:
        return Path(found)
    folder = os.environ.get("SILVERBACK_PEERS")
    places = sorted(Path(folder).rglob(name)) if folder else []
    programs = [p for p in places if "etc" not in p.parts and p.is_file() and os.access(p, os.X_OK)]
    return programs[0] if programs else None


def _prometheus(folder: Path, port: int) -> list[str]:
    config = folder / "prometheus.yml"
    config.write_text("global: {scrape_interval: 1h}\n")
    return [
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--web.enable-remote-write-receiver",
    ]


def _victoria(folder: Path, port: int) -> list[str]:
    return [
        f"-storageDataPath={folder / 'data'}",
        f"-httpListenAddr=127.0.0.1:{port}",
        "-retentionPeriod=10y",
    ]


def _influx(folder: Path, port: int) -> list[str]:
    config = folder / "influxdb.conf"
    config.write_text(
        f"""bind-address = "127.0.0.1:{free_port()}"
reporting-disabled = true
[meta]
dir = "{folder / "meta"}"
[data]
dir = "{folder / "data"}"
wal-dir = "{folder / "wal"}"
[http]
bind-address = "127.0.0.1:{port}"
log-enabled = false
[monitor]
store-enabled = false
"""
    )
    return ["run", "-config", str(config)]


Arguments = Callable[[Path, int], list[str]]
# name: program, its arguments, path that says it is ready
RIVALS: dict[str, tuple[str, Arguments, str]] = {
    "victoria-metrics": ("victoria-metrics", _victoria, "/health"),
    "prometheus": ("prometheus", _prometheus, "/-/ready"),
    "influxdb": ("influxd", _influx, "/query?q=SHOW%20DATABASES"),
}


@contextlib.contextmanager
def running(name: str) -> Iterator[Rival]:
    """A rival on a temporary folder, stopped and removed at the end."""
    program, arguments, ready = RIVALS[name]
    path = binary(program)
    if path is None:
        raise FileNotFoundError(f"no {program} on the PATH or below $SILVERBACK_PEERS")
    folder = Path(tempfile.mkdtemp(prefix="silverback-rival-"))
    port = free_port()
    with (folder / "log").open("wb") as log:
        command = [str(path), *arguments(folder, port)]
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    rival = Rival(name, _version(path), process, port)
    try:
        deadline = time.monotonic() + READY_S
        while True:
            with contextlib.suppress(OSError, urllib.error.URLError):
                rival.get(ready)
                break
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((folder / "log").read_text()[-2000:])
            time.sleep(0.05)
        yield rival
    finally:
        process.terminate()
        process.wait(60)
        shutil.rmtree(folder, ignore_errors=True)


def _version(path: Path) -> str:
    for folder in path.parents:
        if (folder / "VERSION").is_file():
            return (folder / "VERSION").read_text().strip()
    said = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
    words = (said.stdout or said.stderr).split()
    return next((w for w in words if w[:1].isdigit()), "unknown")
