"""potsdb speaks telnet's put, opentsdb-py OpenTSDB's HTTP API: both at one server."""

from __future__ import annotations

from typing import Any

import potsdb
from opentsdb import TSDBClient
from opentsdb.protocols import TSDBConnectProtocols

T, COUNT = 1_700_000_000, 100


def check_points(server: Any, name: str) -> None:
    """What `write` has sent: two series of alternating points."""
    found = server.wait_for(f'{{"{name}"}}', lambda all_: sum(map(len, all_.values())) == COUNT)
    assert list(found) == [
        f'{{"__name__": "{name}", "cpu": "{cpu}", "host": "web01"}}' for cpu in "01"
    ]
    assert [list(points) for points in found.values()] == [
        [((T + i) * 1000, i / 4) for i in range(cpu, COUNT, 2)] for cpu in (0, 1)
    ]


def test_clients_of_opentsdb(silverback: Any, tmp_path: Any) -> None:
    with silverback(tmp_path, ports=("opentsdb-port",)) as server:
        telnet = potsdb.Client("127.0.0.1", port=server.ports["opentsdb-port"], host_tag="web01")
        http = TSDBClient(
            "127.0.0.1", server.port, protocol=TSDBConnectProtocols.HTTP,
            static_tags={"host": "web01"},
        )  # fmt: skip
        assert http.is_alive()
        for i in range(COUNT):
            telnet.log("sys.cpu.telnet", i / 4, cpu=i % 2, timestamp=T + i)
            http.send("sys.cpu.http", i / 4, cpu=i % 2, timestamp=T + i)
        http.send("sys.cpu.wrong", "high", cpu=0)
        telnet.wait()
        http.close()
        http.wait()

        check_points(server, "sys.cpu.telnet")
        check_points(server, "sys.cpu.http")
        assert http.statuses == {"success": COUNT, "failed": 1, "queued": COUNT + 1}
