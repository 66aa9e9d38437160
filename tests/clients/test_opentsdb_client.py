"""potsdb, an OpenTSDB client that speaks telnet's put."""

from __future__ import annotations

from typing import Any

import potsdb

T = 1_700_000_000


def test_potsdb(silverback: Any, tmp_path: Any) -> None:
    with silverback(tmp_path, ports=("opentsdb-port",)) as server:
        client = potsdb.Client("127.0.0.1", port=server.ports["opentsdb-port"], host_tag="web01")
        for i in range(100):
            client.log("sys.cpu.user", i / 4, cpu=i % 2, timestamp=T + i)
        client.log("sys.cpu.whole", 7, cpu=0)
        client.wait()

        found = server.wait_for(
            '{"sys.cpu.user"}', lambda all_: sum(map(len, all_.values())) == 100
        )
        assert list(found) == [
            f'{{"__name__": "sys.cpu.user", "cpu": "{cpu}", "host": "web01"}}' for cpu in "01"
        ]
        assert [list(points) for points in found.values()] == [
            [((T + i) * 1000, i / 4) for i in range(cpu, 100, 2)] for cpu in (0, 1)
        ]
        whole = server.wait_for('{"sys.cpu.whole"}')
        assert [v for points in whole.values() for _, v in points] == [7]
