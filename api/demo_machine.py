"""This machine's own figures, as the demo sends them every second.

    in   the operating system's counters (psutil, extra `demo`)
    out  labels and values of one moment

Names are those of `api.demo_history`, so that one selector shows both.
"""

from __future__ import annotations

import platform
from collections.abc import Iterator
from typing import Any

from api.exits import CommandFailed, Exit

__all__ = ["Machine"]

DEVICES_MAX = 4  # a laptop's bridges and loop devices would drown the rest


class Machine:
    """Call `read` once a second; per cents are over the time since the last call."""

    def __init__(self) -> None:
        try:
            import psutil
        except ImportError as error:
            raise CommandFailed(
                "the demo reads this machine's figures with psutil: "
                "pip install 'silverback-tsdb[demo]'",
                Exit.CONFIG,
            ) from error
        self._psutil: Any = psutil
        self._psutil.cpu_percent(percpu=True)
        self.host = platform.node() or "localhost"

    def read(self) -> Iterator[tuple[dict[str, str], float]]:
        for name, labels, value in self._figures():
            yield {"__name__": name, "host": self.host, **labels}, float(value)

    def _figures(self) -> Iterator[tuple[str, dict[str, str], float]]:
        ps = self._psutil
        for core, per_cent in enumerate(ps.cpu_percent(percpu=True)):
            yield "cpu_percent", {"cpu": str(core)}, round(per_cent)
        memory = ps.virtual_memory()
        yield "memory_bytes", {"state": "used"}, memory.used
        yield "memory_bytes", {"state": "available"}, memory.available
        yield "load", {"minutes": "1"}, ps.getloadavg()[0]
        yield "disk_used_bytes", {"mount": "/"}, ps.disk_usage("/").used
        yield "processes", {}, len(ps.pids())
        for device, disk in _busiest(ps.disk_io_counters(perdisk=True), "read_bytes"):
            yield "disk_bytes_total", {"device": device, "direction": "read"}, disk.read_bytes
            yield "disk_bytes_total", {"device": device, "direction": "write"}, disk.write_bytes
        for device, net in _busiest(ps.net_io_counters(pernic=True), "bytes_recv"):
            yield "network_bytes_total", {"device": device, "direction": "sent"}, net.bytes_sent
            yield "network_bytes_total", {"device": device, "direction": "received"}, net.bytes_recv
        yield "up", {}, 1.0


def _busiest(devices: dict[str, Any] | None, by: str) -> list[tuple[str, Any]]:
    """The few that move the most; devices that never moved anything are left out."""
    moved = [(name, device) for name, device in (devices or {}).items() if getattr(device, by)]
    ranked = sorted(moved, key=lambda one: (-getattr(one[1], by), one[0]))
    return sorted(ranked[:DEVICES_MAX])
