"""Data points of OTLP as Prometheus' series.

    in   Resources, in any encoding
    out  Parsed: a run of one point for each number, named by canonical label bytes; a sentence
         for each data point that is not kept; metadata, exemplars

    gauge, sum   name{attributes}
    histogram    name_bucket{le}, cumulated; name_count, name_sum
    summary      name{quantile}, name_count, name_sum
    resource     job = service.namespace/service.name, instance = service.instance.id; its other
                 attributes are those of target_info, 1 from its first to its last point

As Prometheus 3.5's receiver does it, with its defaults, and beside that: points in deltas are kept
as they were sent unless `delta` says no, and what is left out is told. Exponential histograms and
points without a value are left out. A point marked "no recorded value" is a stale marker.

Price: 30 µs a series beside reading it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from tsdb import limits
from tsdb.batch import Columns, Exemplar, FamilyMetadata, Parsed
from tsdb.codec.resolution import Resolution
from tsdb.errors import InvalidInput
from tsdb.index import labels
from tsdb.index.quoting import shown
from tsdb.parse.otlp import names
from tsdb.parse.otlp.model import (
    Attributes,
    Case,
    Kind,
    Metric,
    Pairs,
    Point,
    Resource,
    Temporality,
)

__all__ = ["FORM", "Options", "Reading", "canonical"]

FORM = "otlp"
STALE_BITS = 0x7FF0000000000002
NAMESPACE, SERVICE, INSTANCE = "service.namespace", "service.name", "service.instance.id"
INFO_STEP_S = 150  # half of what Prometheus' queries look back
NS_PER_S = 1_000_000_000
ONE_BITS = int(np.float64(1.0).view(np.uint64))
Labels = dict[str, str]


@dataclass(frozen=True, slots=True)
class Options:
    """What a server can be told about OTLP."""

    promote: frozenset[str] = frozenset()  # resource attributes that every series gets
    delta: bool = True  # keep points in deltas as they are


@dataclass(slots=True)
class _Rows:
    keys: list[bytes] = field(default_factory=list)
    ticks: list[int] = field(default_factory=list)
    bits: list[int] = field(default_factory=list)

    def add(self, key: bytes, tick: int, bits: int) -> None:
        self.keys.append(key)
        self.ticks.append(tick)
        self.bits.append(bits)


class Reading:
    """One body."""

    def __init__(self, resolution: Resolution, options: Options) -> None:
        self._ns_per_tick = NS_PER_S // resolution.ticks_per_s
        self.options = options
        self._rows = _Rows()
        self._families: dict[str, FamilyMetadata] = {}
        self._exemplars: list[Exemplar] = []
        self._refused: list[str] = []
        self.points = 0  # data points seen
        self.points_refused = 0
        self._refused_more = 0

    def add(self, resources: Iterable[Resource]) -> None:
        for resource in resources:
            self._add_resource(resource)

    def parsed(self) -> Parsed:
        rows = self._rows
        sizes = [len(key) for key in rows.keys]
        ends = np.cumsum(sizes, dtype=np.int64)
        starts = np.concatenate(([0], ends[:-1])).astype(np.int64) if sizes else ends
        values = np.array(rows.bits, np.uint64).view(np.float64)
        columns = Columns(
            np.arange(len(sizes) + 1, dtype=np.int64), np.array(rows.ticks, np.int64), values
        )
        key_bytes = np.frombuffer(b"".join(rows.keys), np.uint8)
        return Parsed(
            FORM, key_bytes, starts, ends, columns, canonical,
            skipped=tuple(self._refused),
            skipped_more=self._refused_more,
            metadata=tuple(self._families.values()),
            exemplars=tuple(self._exemplars),
        )  # fmt: skip

    def refuse(self, why: str, points: int = 1) -> None:
        """`why` of so many data points, or of what is none."""
        self.points_refused += points
        if len(self._refused) < limits.SENTENCES_MAX:
            self._refused.append(why)
            points -= 1
        self._refused_more += max(0, points)

    def _add_resource(self, resource: Resource) -> None:
        base = resource_labels(resource.attributes)
        promoted = self.promoted(resource.attributes)
        for metric in resource.metrics:
            self.add_metric(metric, promoted, base)
        times = [point.ns for metric in resource.metrics for point in metric.points]
        if not times:
            return
        try:
            key = self.info_key(resource.attributes)
        except InvalidInput as error:
            self.refuse(f"target_info: {error}", 0)
            return
        self.add_info(key, min(times), max(times))

    def add_metric(self, metric: Metric, promoted: Labels, base: Labels) -> None:
        """All points of a metric, or a sentence that says why not."""
        self.points += len(metric.points)
        try:
            self._add_metric(metric, promoted, base)
        except InvalidInput as error:
            self.refuse(f"metric {shown(metric.name)}: {error}", len(metric.points))

    def tell(self, family: FamilyMetadata) -> None:
        self._families[family.family] = family

    @property
    def rows(self) -> int:
        return len(self._rows.keys)

    def _add_metric(self, metric: Metric, promoted: Labels, base: Labels) -> None:
        kind = metric.kind
        if kind is None:
            raise InvalidInput("is of no known kind")
        name = names.metric_name(metric.name, metric.unit, kind, is_monotonic=metric.is_monotonic)
        if not name:
            raise InvalidInput("has a name that says nothing")
        if kind is Kind.EXPONENTIAL:
            raise InvalidInput("is an exponential histogram, which is not kept yet")
        self._check_temporality(metric, kind)
        self.tell(FamilyMetadata(name, _kind(metric), metric.help, metric.unit))
        for point in metric.points:
            first = len(self._rows.keys)
            try:
                own = point_labels(point.attributes, promoted, base)
                self._add_point(kind, name, point, own)
            except InvalidInput as error:
                for column in (self._rows.keys, self._rows.ticks, self._rows.bits):
                    del column[first:]
                self.refuse(f"metric {shown(metric.name)}: {error}")

    def _check_temporality(self, metric: Metric, kind: Kind) -> None:
        if kind not in (Kind.SUM, Kind.HISTOGRAM):
            return
        if metric.temporality == Temporality.DELTA and not self.options.delta:
            raise InvalidInput("is in deltas, which this server was told to refuse (otlp_delta)")
        if metric.temporality not in (Temporality.DELTA, Temporality.CUMULATIVE):
            raise InvalidInput(f"has aggregation temporality {metric.temporality}")

    def _add_point(self, kind: Kind, name: str, point: Point, own: Labels) -> None:
        tick = self._tick(point.ns)
        if kind in (Kind.GAUGE, Kind.SUM):
            if point.value is None and not point.is_stale:
                raise InvalidInput("has a point without a value")
            key = key_of(own, name)
            self._rows.add(key, tick, _bits(point, 0.0 if point.value is None else point.value))
            if kind is Kind.SUM:
                self._add_cases(key, point.cases)
            return
        if kind is Kind.HISTOGRAM:
            self._add_buckets(name, point, own, tick)
        for quantile, value in point.quantiles:
            key = key_of(own, name, quantile=names.float_text(quantile))
            self._rows.add(key, tick, _bits(point, value))
        self._rows.add(key_of(own, name + "_count"), tick, _bits(point, float(point.count)))
        if point.total is not None:
            self._rows.add(key_of(own, name + "_sum"), tick, _bits(point, point.total))

    def _add_buckets(self, name: str, point: Point, own: Labels, tick: int) -> None:
        bounds = [*zip(point.bounds, point.buckets, strict=False)]
        keys: list[tuple[float, bytes]] = []
        count = 0
        for bound, more in bounds:
            count = (count + more) & (1 << 64) - 1
            keys.append((bound, key_of(own, name + "_bucket", le=names.float_text(bound))))
            self._rows.add(keys[-1][1], tick, _bits(point, float(count)))
        keys.append((float("inf"), key_of(own, name + "_bucket", le="+Inf")))
        self._rows.add(keys[-1][1], tick, _bits(point, float(point.count)))
        if point.cases:
            keys.sort(key=lambda one: one[0])
            for case in point.cases:
                value = case.value or 0.0
                key = next((key for bound, key in keys if value <= bound), None)
                if key is not None:
                    self._add_cases(key, [case])

    def _add_cases(self, key: bytes, cases: Sequence[Case]) -> None:
        for case in cases:
            if case.value is None or len(self._exemplars) >= limits.ASIDES_PER_REQUEST_MAX:
                continue
            try:
                own, tick = case_labels(case), self._tick(case.ns)
            except InvalidInput as error:
                self.refuse(f"exemplar of {labels.parse(key)}: {error}", 0)
                continue
            self._exemplars.append(Exemplar(key, own, tick, case.value))

    def info_key(self, attributes: Attributes) -> bytes | None:
        """Of target_info, what the resource says of itself; None if it says nothing of the sort."""
        rest = Pairs(pair for pair in attributes if pair[0] not in (NAMESPACE, SERVICE, INSTANCE))
        if not rest:
            return None
        own = point_labels(rest, {}, resource_labels(attributes))
        return key_of(own, "target_info") if "job" in own or "instance" in own else None

    def add_info(self, key: bytes | None, first_ns: int, last_ns: int) -> None:
        """target_info is 1 from the first to the last point."""
        if key is None:
            return
        try:
            last = self._tick(last_ns)
            ticks = [self._tick(ns) for ns in _info_times(first_ns, last_ns)]
        except InvalidInput as error:
            self.refuse(f"target_info: {error}", 0)
            return
        for tick in ticks if ticks and ticks[-1] == last else [*ticks, last]:
            self._rows.add(key, tick, ONE_BITS)

    def promoted(self, attributes: Attributes) -> Labels:
        found: Labels = {}
        for key, value in sorted(attributes, key=lambda pair: pair[0]):
            if key in self.options.promote:
                found.setdefault(names.label_name(key), names.value_text(value))
        return found

    def _tick(self, ns: int) -> int:
        tick = ns // self._ns_per_tick
        if tick >> 63:
            raise InvalidInput(f"time {ns} is outside int64 ticks")
        return tick


def family_of(metric: Metric, options: Options) -> FamilyMetadata | None:
    """Of a gauge or a sum that is kept; None if it is to be read by hand, which says why."""
    name = names.metric_name(
        metric.name, metric.unit, metric.kind, is_monotonic=metric.is_monotonic
    )
    kept = {Temporality.CUMULATIVE} | ({Temporality.DELTA} if options.delta else set())
    if not name or (metric.kind is Kind.SUM and metric.temporality not in kept):
        return None
    return FamilyMetadata(name, _kind(metric), metric.help, metric.unit)


def canonical(raw: bytes) -> bytes:
    """Keys are canonical as the parser makes them."""
    return raw


def resource_labels(attributes: Attributes) -> Labels:
    """job and instance."""
    found: Labels = {}
    known: Labels = {}
    for key, value in attributes:
        if key in (NAMESPACE, SERVICE, INSTANCE):
            known.setdefault(key, names.value_text(value))
    if SERVICE in known:
        space = f"{known[NAMESPACE]}/" if NAMESPACE in known else ""
        found["job"] = space + known[SERVICE]
    if INSTANCE in known:
        found["instance"] = known[INSTANCE]
    return found


def point_labels(attributes: Attributes, promoted: Labels, base: Labels) -> Labels:
    """Labels of a data point; keys that become the same name are joined in order."""
    found: Labels = {}
    for key, value in sorted(attributes, key=lambda pair: pair[0]):
        name, text = names.label_name(key), names.value_text(value)
        found[name] = f"{found[name]};{text}" if name in found else text
    return promoted | found | base


def key_of(own: Labels, name: str, **more: str) -> bytes:
    return labels.canonical(own | more | {"__name__": name})


def case_labels(case: Case) -> bytes:
    """Labels of an exemplar: attributes only if all are short enough."""
    found: Labels = {}
    if any(case.trace_id):
        found["trace_id"] = case.trace_id.hex()
    if any(case.span_id):
        found["span_id"] = case.span_id.hex()
    own = {key: names.value_text(value) for key, value in case.attributes}
    characters = sum(len(name) + len(text) for name, text in [*found.items(), *own.items()])
    if characters <= limits.EXEMPLAR_CHARACTERS_MAX:
        found |= own
    return labels.canonical(found) if any(found.values()) else b""


def _info_times(first_ns: int, last_ns: int) -> range:
    step = INFO_STEP_S * NS_PER_S
    room = (limits.INFO_POINTS_PER_RESOURCE_MAX - 1) * step
    if last_ns - first_ns > room:
        first_ns = last_ns - room
    return range(first_ns, last_ns, step)


def _kind(metric: Metric) -> str:
    """As Prometheus' metadata calls it."""
    if metric.kind is Kind.SUM:
        if metric.temporality == Temporality.DELTA:
            return "unknown"
        return "counter" if metric.is_monotonic else "gauge"
    assert metric.kind is not None
    delta = metric.temporality == Temporality.DELTA and metric.kind is Kind.HISTOGRAM
    return "unknown" if delta else metric.kind.value


def _bits(point: Point, value: float) -> int:
    return STALE_BITS if point.is_stale else int(np.float64(value).view(np.uint64))
