"""A real `silverback serve` for real clients, in a process of its own."""

from __future__ import annotations

import contextlib
import itertools
import json
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from benchmarks import serving

WAIT_S = 30


@dataclass
class Silverback:
    """A running server. `ports` are those of its other protocols, by setting."""

    server: serving.Server
    log: Path
    ports: dict[str, int] = field(default_factory=dict)

    @property
    def port(self) -> int:
        return self.server.port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def series(self, selector: str) -> dict[str, list[tuple[int, Any]]]:
        """Points of matching series as (ms, value), by label set as sorted JSON."""
        found: dict[str, list[tuple[int, Any]]] = {}
        for line in self.server.get(f"/api/v1/export?match[]={quote(selector)}").splitlines():
            one = json.loads(line)
            name = json.dumps(one["metric"], sort_keys=True)
            points = zip(one["timestamps"], one["values"], strict=True)
            found.setdefault(name, []).extend(points)
        return found

    def values(self, selector: str) -> list[Any]:
        """Values of matching series, one after the other."""
        return [v for points in self.series(selector).values() for _, v in points]

    def wait_for(self, selector: str, good: Callable[[dict[str, Any]], bool] = bool) -> Any:
        """Matching series once `good` says yes to them."""
        deadline = time.monotonic() + WAIT_S
        for pause in itertools.chain([0.01] * 20, itertools.repeat(0.1)):
            found = self.series(selector)
            if good(found):
                return found
            assert time.monotonic() < deadline, (found, self.log.read_text()[-2000:])
            time.sleep(pause)
        raise AssertionError


@contextlib.contextmanager
def running_silverback(folder: Path, *arguments: str, ports: tuple[str, ...] = ()) -> Iterator[Any]:
    """`ports` are flags such as `graphite-port`; each gets a free one."""
    chosen = {flag: _free_port() for flag in ports}
    flags = [text for flag, port in chosen.items() for text in (f"--{flag}", str(port))]
    server = serving.start(folder / "db", arguments=(*arguments, *flags))
    try:
        yield Silverback(server, folder / "db.log", chosen)
    finally:
        server.stop()


def _free_port() -> int:
    """Free for TCP and UDP."""
    while True:
        with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
            tcp.bind(("127.0.0.1", 0))
            port: int = tcp.getsockname()[1]
            with contextlib.suppress(OSError):
                udp.bind(("127.0.0.1", port))
                return port


@pytest.fixture(scope="session")
def silverback() -> Callable[..., contextlib.AbstractContextManager[Silverback]]:
    """`with silverback(tmp_path, "--flag", ports=("graphite-port",)) as server:`"""
    return running_silverback
