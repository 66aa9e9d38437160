"""A real server for benchmarks: its own process, its own core, its CPU time from the kernel."""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

READY_S = 180
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(slots=True)
class Server:
    process: subprocess.Popen[bytes]
    port: int
    data: Path

    def cpu_s(self) -> float:
        """User and system seconds of the server process so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def peak_rss_bytes(self) -> int:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        line = next(x for x in status.splitlines() if x.startswith("VmHWM"))
        return int(line.split()[1]) * 1024

    def get(self, path: str) -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        with contextlib.closing(connection):
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read()
        if answer.status != http.client.OK:
            raise RuntimeError(f"{path}: {answer.status} {body[:200]!r}")
        return body

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port: int = s.getsockname()[1]
    return port


def start(data: Path, *, cpus: set[int] | None = None, arguments: tuple[str, ...] = ()) -> Server:
    """Start `silverback serve` on `data` and wait until it is ready."""
    port = free_port()
    command = [sys.executable, "-m", "api.cli", "serve", "--data", str(data), "--port", str(port)]
    log = (data.parent / f"{data.name}.log").open("ab")
    process = subprocess.Popen([*command, *arguments], stdout=log, stderr=subprocess.STDOUT)
    log.close()
    if cpus is not None:
        os.sched_setaffinity(process.pid, cpus)
    server = Server(process, port, data)
    deadline = time.monotonic() + READY_S
    while True:
        with contextlib.suppress(OSError, RuntimeError, http.client.HTTPException):
            server.get("/-/ready")
            return server
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"the server did not start; see {data.parent / data.name}.log")
        time.sleep(0.02)


@contextlib.contextmanager
def running(*, cpus: set[int] | None = None, arguments: tuple[str, ...] = ()) -> Iterator[Server]:
    """A server on a temporary directory, stopped and removed at the end."""
    folder = Path(tempfile.mkdtemp(prefix="silverback-bench-"))
    try:
        server = start(folder / "db", cpus=cpus, arguments=arguments)
        try:
            yield server
        finally:
            if server.process.poll() is None:
                server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
