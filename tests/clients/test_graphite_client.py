"""graphyte, a Graphite client, over TCP and UDP."""

from __future__ import annotations

from typing import Any

import graphyte

T = 1_700_000_000


def test_graphyte(silverback: Any, tmp_path: Any) -> None:
    with silverback(tmp_path, ports=("graphite-port",)) as server:
        for protocol in ("tcp", "udp"):
            sender = graphyte.Sender(
                "127.0.0.1", server.ports["graphite-port"], prefix=protocol, protocol=protocol,
                tags={"dc": "fra"}, raise_send_errors=True,
            )  # fmt: skip
            for i in range(20):
                sender.send("cpu.user", i / 4, timestamp=T + i, tags={"cpu": i % 2})
            sender.send("up", 1)
            sender.stop()

            name = f"{protocol}.cpu.user"
            found = server.wait_for(
                f'{{"{name}"}}', lambda all_: sum(map(len, all_.values())) == 20
            )
            assert list(found) == [
                f'{{"__name__": "{name}", "cpu": "{cpu}", "dc": "fra"}}' for cpu in "01"
            ]
            assert [list(points) for points in found.values()] == [
                [((T + i) * 1000, i / 4) for i in range(cpu, 20, 2)] for cpu in (0, 1)
            ]
            assert server.wait_for(f'{{"{protocol}.up",dc="fra"}}')
