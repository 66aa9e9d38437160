"""The points of one series as JSON: what a user writes by hand, or a script sends.

    in   [[timestamp, value], ...]  or  {"timestamps": [...], "values": [...]}  or  value
         the series' canonical key, the resolution, now in ticks
    out  Parsed of at most one run

A timestamp is a number of Unix seconds, decimals allowed, or a string that `tsdb.parse.times`
reads: RFC 3339, "now-1h". Its decimal text goes to the nearest tick, without a float64 on the way.
A bare value is a point at now. Values are as in `tsdb.parse.json_lines`, null is refused.

All or nothing: a body of one series is small, and who wrote it by hand wants to be told. The
error names the point, counted from 1.

Price: 40 ns a point of numbers in the kernels, 15 µs a body, 2 µs when many bodies of numbers are
read together; 2 µs a point with anything else in the body.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from tsdb import limits
from tsdb.batch import Columns, I64s, Parsed, U64s
from tsdb.codec.resolution import Resolution
from tsdb.errors import InvalidInput, LimitExceeded
from tsdb.parse import json_text, times
from tsdb.parse.json_columns import JsonColumns
from tsdb.parse.json_text import Item, Number, Object
from tsdb.parse.kernels import json_text as kernels
from tsdb.parse.kernels.decimal import PAD_BYTES
from tsdb.parse.text_buffer import padded

__all__ = ["FORM", "PointsBody", "one_run", "parse", "parse_together", "slow_points"]

FORM = "canonical"
END_MARK = 0
POINT_BYTES_MIN = len("[0,0],")
_GAP = bytes(PAD_BYTES)


@dataclass(frozen=True, slots=True)
class PointsBody:
    """A body that is not parsed yet: alone by calling it, or with others by `parse_together`."""

    body: bytes
    key: bytes
    resolution: Resolution
    now_ticks: int

    def __call__(self) -> Parsed:
        return parse(self.body, self.key, self.resolution, self.now_ticks)


def parse(body: bytes, key: bytes, resolution: Resolution, now_ticks: int) -> Parsed:
    """The points of `body` for the series with this canonical key."""
    points = _fast_points(body, times.decimal_exponent(resolution))
    if points is None:
        stamps, values = slow_points(body, resolution, now_ticks)
        points = np.array(stamps, np.int64), np.array(values, np.float64).view(np.uint64)
    if points[0].size > limits.POINTS_PER_REQUEST_MAX:
        raise LimitExceeded(
            f"{points[0].size:,} points in one request",
            limit="POINTS_PER_REQUEST_MAX",
            value=limits.POINTS_PER_REQUEST_MAX,
        )
    return one_run(key, *points)


def parse_together(bodies: Sequence[PointsBody]) -> Parsed | None:
    """Small bodies as one: run i is body i. None unless all are pairs of numbers, none empty."""
    columns = _pairs([b.body for b in bodies], times.decimal_exponent(bodies[0].resolution))
    if columns is None or not np.diff(columns.offsets).all():
        return None
    ends = np.array(list(accumulate(len(b.key) for b in bodies)), np.int64)
    starts = np.zeros_like(ends)
    starts[1:] = ends[:-1]
    keys = padded(b"".join([b.key for b in bodies]), END_MARK)
    return Parsed(FORM, keys, starts, ends, columns, bytes)


def one_run(key: bytes, timestamps: I64s, value_bits: U64s) -> Parsed:
    """Parsed of one series named by its canonical key; without points, of none."""
    runs = min(1, timestamps.size)
    return Parsed(
        FORM,
        padded(key, END_MARK),
        np.zeros(runs, np.int64),
        np.full(runs, len(key), np.int64),
        Columns(
            np.array([0, timestamps.size][: runs + 1], np.int64),
            timestamps,
            value_bits.view(np.float64),
        ),
        bytes,  # the key is canonical already
    )


def slow_points(
    body: bytes, resolution: Resolution, now_ticks: int
) -> tuple[list[int], list[float]]:
    """The same answer a point at a time; InvalidInput names the first point that is wrong."""
    item = json_text.decode(body)
    if isinstance(item, Object):
        stamps, values = item.columns()
    elif isinstance(item, list):
        pairs = [_pair(i, pair) for i, pair in enumerate(item)]
        stamps, values = [t for t, _ in pairs], [v for _, v in pairs]
    else:
        return [now_ticks], [_value(0, item)]
    return (
        [_tick(i, stamp, resolution, now_ticks) for i, stamp in enumerate(stamps)],
        [_value(i, value) for i, value in enumerate(values)],
    )


def _fast_points(body: bytes, scale: int) -> tuple[I64s, U64s] | None:
    """Points that the kernels read; None for bodies they leave to `slow_points`."""
    start = body.lstrip(b" \t\r\n")[:1]
    if start not in {b"[", b"{"}:
        return None
    if start == b"{":
        filling = JsonColumns(body, whole=True)
        if filling.read(scale):
            return None
        columns = filling.columns()
        return columns.timestamps, columns.values.view(np.uint64)
    found = _pairs([body], scale)
    return None if found is None else (found.timestamps, found.values.view(np.uint64))


def _pairs(bodies: Sequence[bytes], scale: int) -> Columns | None:
    """Run i: the points of body i. None when one of them is not for the kernel."""
    text = _GAP.join(bodies)
    places = np.empty((len(bodies), 2), np.int64)
    places[:, 1] = list(accumulate(len(body) + PAD_BYTES for body in bodies))
    places[:, 1] -= PAD_BYTES
    places[0, 0] = 0
    places[1:, 0] = places[:-1, 1] + PAD_BYTES
    size = min(limits.POINTS_PER_REQUEST_MAX, len(text) // POINT_BYTES_MIN + len(bodies))
    timestamps, values = np.empty(size, np.int64), np.empty(size, np.uint64)
    offsets = np.zeros(len(bodies) + 1, np.int64)
    data = padded(text, END_MARK)
    if kernels.pairs(data, places.ravel(), scale, timestamps, values, offsets) < len(bodies):
        return None
    points = int(offsets[-1])
    return Columns(offsets, timestamps[:points], values[:points].view(np.float64))


def _pair(i: int, item: Item) -> tuple[Item, Item]:
    if not isinstance(item, list) or len(item) != 2:
        raise InvalidInput(f"point {i + 1} is not [timestamp, value]")
    return item[0], item[1]


def _tick(i: int, item: Item, resolution: Resolution, now_ticks: int) -> int:
    try:
        if isinstance(item, Number):
            return times.ticks_from_decimal(item, times.decimal_exponent(resolution))
        if isinstance(item, str):
            return times.parse_time(item, resolution, now_ticks)
    except InvalidInput as error:
        raise InvalidInput(f"point {i + 1}: {error}") from error
    raise InvalidInput(
        f"point {i + 1}: the timestamp is {json_text.kind_of(item)}, not a number or a string"
    )


def _value(i: int, item: Item) -> float:
    try:
        return json_text.float_of(item)
    except InvalidInput as error:
        raise InvalidInput(f"point {i + 1}: the value: {error}") from error
