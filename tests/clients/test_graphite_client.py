"""graphyte, a Graphite client, over TCP and UDP."""

from __future__ import annotations

from typing import Any

import graphyte
import pytest

T = 1_700_000_000


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_graphyte(silverback: Any, tmp_path: Any, protocol: str) -> None:
    with silverback(tmp_path, ports=("graphite-port",)) as server:
        sender = graphyte.Sender(
            "127.0.0.1", server.ports["graphite-port"], prefix="web01", protocol=protocol,
            tags={"dc": "fra"}, raise_send_errors=True,
        )  # fmt: skip
        for i in range(20):
            sender.send("cpu.user", i / 4, timestamp=T + i, tags={"cpu": i % 2})
        sender.send("up", 1)
        sender.stop()

        found = server.wait_for(
            '{"web01.cpu.user"}', lambda all_: sum(map(len, all_.values())) == 20
        )
        assert list(found) == [
            f'{{"__name__": "web01.cpu.user", "cpu": "{cpu}", "dc": "fra"}}' for cpu in "01"
        ]
        assert [list(points) for points in found.values()] == [
            [((T + i) * 1000, i / 4) for i in range(cpu, 20, 2)] for cpu in (0, 1)
        ]
        assert server.wait_for('{"web01.up",dc="fra"}')
