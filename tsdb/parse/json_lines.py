"""A body of JSON lines, one a series, as VictoriaMetrics exports and imports them.

    in   {"metric":{"__name__":"cpu","host":"a"},"values":[1,2.5],"timestamps":[1700000000000,...]}
         keys in any order, unknown ones ignored; empty lines, white space and \\r allowed
    out  Parsed: one run a line; key bytes are the metric object as it was written

Timestamps are milliseconds, decimals allowed, so that no resolution loses anything. Values are
JSON numbers, or "NaN", "Inf", "-Inf", "Infinity" as a string, or "StaleNaN" for Prometheus' stale
marker. A value of null is no value: its point is left out by name.

A kernel reads the lines that senders write. It understands less than it could and refuses
nothing: what it leaves goes to `slow_line`, which alone decides what is wrong, so an answer never
depends on which of the two read a line. One wrong line costs itself, never the body.

Price: 25 to 40 ns a point in the kernel, about 1 µs a point in `slow_line`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import orjson

from tsdb import limits
from tsdb.batch import Parsed
from tsdb.codec.resolution import Resolution
from tsdb.errors import InvalidInput, LimitExceeded
from tsdb.index import labels
from tsdb.index.quoting import shown
from tsdb.parse import json_text, times
from tsdb.parse.json_columns import JsonColumns
from tsdb.parse.json_text import Item, Number, Object
from tsdb.parse.refused import Refused

__all__ = ["FORM", "Line", "canonical", "parse", "slow_line"]

FORM = "json"
_LABEL_DECODER = json.JSONDecoder(object_pairs_hook=list)


@dataclass(frozen=True, slots=True)
class Line:
    """What one line says. `key`: its metric object, written anew; `refused`: points left out."""

    key: bytes
    timestamps: list[int]
    values: list[float]
    refused: str


def parse(body: bytes, resolution: Resolution) -> Parsed:
    """Every line that can be read; LimitExceeded when the body as a whole is past a bound."""
    filling = JsonColumns(body, whole=False)
    refused = Refused()
    scale = times.decimal_exponent(resolution) - 3
    while filling.read(scale):
        number = filling.line
        try:
            line = slow_line(filling.left_over(), scale)
        except LimitExceeded as error:
            if error.limit == "POINTS_PER_REQUEST_MAX":
                raise
            refused.add(f"line {number}: {error}")
            continue
        except InvalidInput as error:
            refused.add(f"line {number}: {error}")
            continue
        if line.refused:
            refused.add(f"line {number}: {line.refused}")
        filling.append(line.key, line.timestamps, line.values)
    key_bytes, starts, ends = filling.keys()
    return Parsed(FORM, key_bytes, starts, ends, filling.columns(), canonical, refused.sentences())


def slow_line(text: bytes, scale: int) -> Line:
    """One line, a point at a time; InvalidInput says why it is none."""
    if len(text) > limits.LINE_BYTES_MAX:
        raise LimitExceeded(
            f"has {len(text):,} bytes", limit="LINE_BYTES_MAX", value=limits.LINE_BYTES_MAX
        )
    line = json_text.decode(text)
    if not isinstance(line, Object):
        raise InvalidInput(f"it is {json_text.kind_of(line)}, not an object")
    key = _metric_bytes(line.get("metric"))
    stamps, values = points_of(line, scale)
    if None not in values:
        return Line(key, stamps, [value for value in values if value is not None], "")
    points = [(t, v) for t, v in zip(stamps, values, strict=True) if v is not None]
    missing = len(values) - len(points)
    first = f"values[{values.index(None)}] is null"
    refused = first if missing == 1 else f"{missing:,} values are null, the first: {first}"
    return Line(key, [t for t, _ in points], [v for _, v in points], refused)


def points_of(line: Object, scale: int) -> tuple[list[int], list[float | None]]:
    """Ticks and values of the two arrays of an object; None stands for null."""
    stamps, values = line.columns()
    return (
        [_tick(i, item, scale) for i, item in enumerate(stamps)],
        [_value(i, item) for i, item in enumerate(values)],
    )


def canonical(raw: bytes) -> bytes:
    """Canonical label bytes of a metric object as it was written."""
    pairs = _label_pairs(raw)
    for name, value in pairs:
        if not isinstance(value, str):
            raise InvalidInput(f"label {shown(name)} is not a string")
    try:
        return labels.canonical_pairs((name.encode(), value.encode()) for name, value in pairs)
    except UnicodeEncodeError as error:
        raise InvalidInput("a label holds half of a surrogate pair") from error


def _label_pairs(raw: bytes) -> list[tuple[str, str]]:
    try:
        metric = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise InvalidInput(f"the metric is not JSON: {error}") from error
    if not isinstance(metric, dict):
        raise InvalidInput("the metric is not an object")
    # Written without spaces or escapes, the common case, an object that says the same after a
    # round trip has no name twice; otherwise look at the pairs themselves.
    if all(isinstance(value, str) for value in metric.values()) and orjson.dumps(metric) != raw:
        pairs: list[tuple[str, str]] = _LABEL_DECODER.decode(raw.decode())
        return pairs
    return list(metric.items())


def _metric_bytes(metric: Item) -> bytes:
    if metric is None:
        raise InvalidInput('"metric" is missing')
    if not isinstance(metric, Object):
        raise InvalidInput(f'"metric" is {json_text.kind_of(metric)}, not an object')
    for name, value in metric.pairs:
        if not isinstance(value, str) or isinstance(value, Number):
            raise InvalidInput(f"label {shown(name)} is {json_text.kind_of(value)}, not a string")
    try:
        return b"{%s}" % b",".join(
            orjson.dumps(name) + b":" + orjson.dumps(value) for name, value in metric.pairs
        )
    except orjson.JSONEncodeError as error:
        raise InvalidInput("a label holds half of a surrogate pair") from error


def _tick(i: int, item: Item, scale: int) -> int:
    if not isinstance(item, Number):
        raise InvalidInput(f"timestamps[{i}] is {json_text.kind_of(item)}, not a number")
    try:
        return times.ticks_from_decimal(item, scale)
    except InvalidInput as error:
        raise InvalidInput(f"timestamps[{i}]: {error}") from error


def _value(i: int, item: Item) -> float | None:
    if item is None:
        return None
    try:
        return json_text.float_of(item)
    except InvalidInput as error:
        raise InvalidInput(f"values[{i}]: {error}") from error
