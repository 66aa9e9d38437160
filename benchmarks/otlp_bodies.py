"""Bodies of OTLP metrics for benchmarks: gauges of TSBS' hosts, as a collector sends them.

A body is made once by protobuf's own library, with marks where times and values stand, and written
anew for each round by putting numbers there.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)

from benchmarks.remote_write_bodies import Labels

METRICS = 10  # a body; its hosts are the same in each
MARK = 0x7B1D_0000_0000_0000
NS_PER_MS = 1_000_000


class Template:
    """One body: where its times and values are."""

    def __init__(self, series: Sequence[Labels]) -> None:
        message = ExportMetricsServiceRequest()
        resource = message.resource_metrics.add()
        attribute = resource.resource.attributes.add(key="service.name")
        attribute.value.string_value = "bench"
        metrics = resource.scope_metrics.add().metrics
        for first in range(METRICS):
            gauge = metrics.add(name=f"usage_{first}").gauge
            for number in range(first, len(series), METRICS):
                point = gauge.data_points.add(time_unix_nano=MARK + 2 * number)
                point.as_double = struct.unpack("<d", struct.pack("<Q", MARK + 2 * number + 1))[0]
                for name, text in series[number].items():
                    if name != "__name__":
                        point.attributes.add(key=name).value.string_value = text
        text = message.SerializeToString()
        self.points = len(series)
        self._data = np.frombuffer(text, np.uint8).copy()
        self._times = _places(text, [MARK + 2 * n for n in range(self.points)])
        self._values = _places(text, [MARK + 2 * n + 1 for n in range(self.points)])

    def body(self, ms: int, values: npt.NDArray[np.float64]) -> bytes:
        self._data[self._times] = np.frombuffer(struct.pack("<Q", ms * NS_PER_MS), np.uint8)
        self._data[self._values] = values.view(np.uint8).reshape(-1, 8)
        return self._data.tobytes()


def _places(text: bytes, marks: Sequence[int]) -> npt.NDArray[np.int64]:
    found = [text.index(struct.pack("<Q", mark)) for mark in marks]
    return np.array(found)[:, None] + np.arange(8)


def bodies(
    series: Sequence[Labels], rounds: int, *, start_ms: int, step_ms: int, a_body: int
) -> Iterator[tuple[int, bytes]]:
    """(points, body) in rounds over all series."""
    templates = [Template(series[at : at + a_body]) for at in range(0, len(series), a_body)]
    rng = np.random.default_rng(7)
    for turn in range(rounds):
        for template in templates:
            values = np.round(rng.normal(50, 10, template.points), 2)
            yield template.points, template.body(start_ms + turn * step_ms, values)
