"""OpenTSDB's JSON: one data point, or an array of them.

    in   {"metric":"sys.cpu","timestamp":1346846400,"value":18,"tags":{"host":"web01"}}
    out  Parsed: a run a point; which points were refused, and why

Times as in `tsdb.parse.opentsdb_lines`. Numbers may be strings: several senders write them so.
Tags may lack, a tag without value is none, numbers and truths as tag values are their text; nan
is no value. Members we do not know are ignored.

Price: 4 µs a point.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from tsdb import limits
from tsdb.batch import Parsed
from tsdb.codec.resolution import Resolution
from tsdb.errors import InvalidInput, LimitExceeded
from tsdb.index.quoting import shown
from tsdb.parse import json_text, line_numbers
from tsdb.parse.listed_points import ListedPoints
from tsdb.parse.listed_points import canonical as canonical_of
from tsdb.parse.opentsdb_lines import ticks_of

__all__ = ["FORM", "Reading", "Refusal", "parse"]

FORM = "opentsdb-json"


@dataclass(frozen=True, slots=True)
class Refusal:
    """A point that is not kept, as it came."""

    point: object
    why: str


@dataclass(slots=True)
class Reading:
    """What a body held. `refusals` grows while its series are looked up."""

    points: Parsed
    count: int
    rows: list[object]  # the point behind each row of `points`
    refusals: list[Refusal] = field(default_factory=list)


def parse(body: bytes, resolution: Resolution) -> Reading:
    """InvalidInput if the body is no JSON or holds no point."""
    points = _points_of(body)
    listed = ListedPoints()
    refusals: list[Refusal] = []
    owners: dict[bytes, object] = {}
    rows: list[object] = []
    for number, point in enumerate(points, 1):
        try:
            key = _add(listed, point, resolution)
        except InvalidInput as error:
            if isinstance(error, LimitExceeded) and error.limit == "POINTS_PER_REQUEST_MAX":
                raise
            listed.refused.add(f"point {number}: {error}")
            refusals.append(Refusal(point, str(error)))
            continue
        owners.setdefault(key, point)
        rows.append(point)
    parsed = replace(listed.parsed(FORM), canonical=_noting(owners, refusals))
    return Reading(parsed, len(points), rows, refusals)


def _points_of(body: bytes) -> list[object]:
    if body.count(b",") > json_text.ITEMS_MAX:
        raise LimitExceeded(
            "more points than one request may hold",
            limit="POINTS_PER_REQUEST_MAX",
            value=limits.POINTS_PER_REQUEST_MAX,
        )
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidInput(f"Unable to parse the given JSON: {error}") from error
    points = found if isinstance(found, list) else [found]
    if not points:
        raise InvalidInput("No datapoints found in content")
    return points


def _noting(owners: dict[bytes, object], refusals: list[Refusal]) -> Callable[[bytes], bytes]:
    """`canonical`, noting the point whose series cannot be."""

    def canonical(raw: bytes) -> bytes:
        try:
            return canonical_of(raw)
        except InvalidInput as error:
            refusals.append(Refusal(owners.get(raw), str(error)))
            raise

    return canonical


def _add(listed: ListedPoints, point: Any, resolution: Resolution) -> bytes:
    if not isinstance(point, dict):
        raise InvalidInput("a data point is an object")
    metric = point.get("metric")
    if not isinstance(metric, str) or not metric:
        raise InvalidInput("Metric name was empty")
    ticks = _ticks(point.get("timestamp"), resolution)
    value = _value(point.get("value"))
    tags = point.get("tags") or {}
    if not isinstance(tags, dict):
        raise InvalidInput("tags are an object")
    pairs = [(name, _text(name, value)) for name, value in tags.items()]
    return listed.append(metric, pairs, ticks, value)


def _ticks(item: object, resolution: Resolution) -> int:
    if item is None or item == "":
        raise InvalidInput("Invalid timestamp: there is none")
    if isinstance(item, bool) or not isinstance(item, str | int | float):
        raise InvalidInput("Invalid timestamp: it is no number")
    return ticks_of(item.strip() if isinstance(item, str) else repr(item), resolution)


def _value(item: object) -> float:
    if isinstance(item, bool) or not isinstance(item, str | int | float):
        raise InvalidInput("Unable to parse value to a number")
    if not isinstance(item, str):
        return float(item)
    value = line_numbers.float_of(item.strip().encode(errors="replace"))
    if value is None:
        raise InvalidInput("Unable to parse value to a number: NaN")
    return value


def _text(name: str, item: object) -> str:
    if isinstance(item, str):
        return item
    if isinstance(item, bool | int | float):
        return orjson.dumps(item).decode()
    raise InvalidInput(f"Invalid tag value of {shown(name)}: it is no text")
