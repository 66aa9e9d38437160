"""Series as JSON lines, in the form that `tsdb.parse.json_lines` and VictoriaMetrics import.

    in   series, resolution
    out  {"metric":{"__name__":"cpu","host":"a"},"values":[1,2.5],"timestamps":[1700000000000,...]}

Timestamps are milliseconds; finer resolutions have decimals, so an export and an import lose
nothing: values come back with the same bits, Prometheus' stale marker as the string "StaleNaN".
Other NaNs are "NaN" and come back as one pattern; infinities are "Infinity", "-Infinity".

A long series takes several lines: readers bound the length of a line.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import orjson

from api.encode.point_text import EXPORT, LINES, Layout, batches, pieces, seconds_decimals
from tsdb.batch import Columns
from tsdb.codec.resolution import Resolution

if TYPE_CHECKING:
    from tsdb.query.selection import Series

__all__ = ["stream"]

LINE_POINTS_MAX = 10_000
"""At most 0.6 MB of points, where VictoriaMetrics takes lines of 10 MiB."""


def stream(series: Iterable[Series], resolution: Resolution) -> Iterator[bytes]:
    """Whole lines, in pieces."""
    layout = Layout(
        LINES,
        seconds_decimals(resolution) - 3,
        EXPORT,
        between=b'],"timestamps":[',
        tail=b"]}\n",
    )
    for batch, columns in batches(series):
        heads = [b'{"metric":' + orjson.dumps(dict(one.labels)) + b',"values":[' for one in batch]
        yield from pieces(*_in_lines(heads, columns), layout)


def _in_lines(heads: list[bytes], columns: Columns) -> tuple[list[bytes], Columns]:
    """A run for each line: long runs in parts, empty ones left out."""
    counts = np.diff(columns.offsets)
    lines = -(-counts // LINE_POINTS_MAX)
    if (lines == 1).all():
        return heads, columns
    run = np.repeat(np.arange(counts.size), lines)
    part = np.arange(run.size) - np.repeat(np.cumsum(lines) - lines, lines)
    starts = columns.offsets[run] + part * LINE_POINTS_MAX
    offsets = np.append(starts, columns.points)
    return [heads[i] for i in run], Columns(offsets, columns.timestamps, columns.values)
