"""What an OTLP body says, whichever encoding it came in.

    in   `tsdb.parse.otlp.wire` (protobuf), `tsdb.parse.otlp.json_body`
    out  Resource, Metric, Point, Case: plain values, nothing translated yet

Attribute values are Python's own: str, bool, int, float, bytes, None, lists, and Pairs for maps.
Times are nanoseconds since 1970; 0 means that none was given.

Source: opentelemetry-proto, metrics/v1/metrics.proto. Price: 1 µs each.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TypeAlias

__all__ = ["Attributes", "Case", "Kind", "Metric", "Pairs", "Point", "Resource", "Temporality"]

NO_RECORDED_VALUE = 1  # of flags


class Pairs(list[tuple[str, "Value"]]):
    """A map as it was written: order kept, names perhaps twice."""


Value: TypeAlias = "str | bool | int | float | bytes | list[Value] | Pairs | None"
Attributes: TypeAlias = Pairs


class Kind(enum.Enum):
    GAUGE = "gauge"
    SUM = "sum"
    HISTOGRAM = "histogram"
    EXPONENTIAL = "exponential histogram"
    SUMMARY = "summary"


class Temporality(enum.IntEnum):
    UNSPECIFIED = 0
    DELTA = 1
    CUMULATIVE = 2


@dataclass(slots=True)
class Case:
    """An exemplar."""

    attributes: Attributes = field(default_factory=Pairs)
    ns: int = 0
    value: float | None = None
    trace_id: bytes = b""
    span_id: bytes = b""


@dataclass(slots=True)
class Point:
    """A data point of any kind; what its kind has not stays empty."""

    attributes: Attributes = field(default_factory=Pairs)
    ns: int = 0
    flags: int = 0
    value: float | None = None  # gauge, sum
    count: int = 0  # histogram, summary
    total: float | None = None  # sum of what was observed; histograms may leave it out
    buckets: list[int] = field(default_factory=list)
    bounds: list[float] = field(default_factory=list)
    quantiles: list[tuple[float, float]] = field(default_factory=list)
    cases: list[Case] = field(default_factory=list)

    @property
    def is_stale(self) -> bool:
        return bool(self.flags & NO_RECORDED_VALUE)


@dataclass(slots=True)
class Metric:
    name: str = ""
    help: str = ""
    unit: str = ""
    kind: Kind | None = None
    temporality: int = Temporality.UNSPECIFIED
    is_monotonic: bool = False
    points: list[Point] = field(default_factory=list)


@dataclass(slots=True)
class Resource:
    """Who speaks, and all that it says in one body."""

    attributes: Attributes = field(default_factory=Pairs)
    metrics: list[Metric] = field(default_factory=list)
