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

import orjson

from api.encode.point_text import LINES, TIMES, VALUES, Layout, gathered, pieces, seconds_decimals
from tsdb.codec.resolution import Resolution

if TYPE_CHECKING:
    from tsdb.query.selection import Series

__all__ = ["stream"]

LINE_POINTS_MAX = 10_000
"""At most 0.6 MB of points, where VictoriaMetrics takes lines of 10 MiB."""


def stream(series: Iterable[Series], resolution: Resolution) -> Iterator[bytes]:
    """Whole lines, in pieces of some 64 KiB."""
    return gathered(line for one in series for line in _lines(one, resolution))


def _lines(series: Series, resolution: Resolution) -> Iterator[bytes]:
    decimals = seconds_decimals(resolution) - 3
    opening = b'{"metric":' + orjson.dumps(dict(series.labels)) + b',"values":['
    for at in range(0, len(series), LINE_POINTS_MAX):
        points = slice(at, at + LINE_POINTS_MAX)
        stamps, values = series.timestamps[points], series.values[points]
        texts = [
            b"".join(pieces(stamps, values, Layout(decimals, LINES, columns)))[:-1]
            for columns in (VALUES, TIMES)
        ]
        yield opening + texts[0] + b'],"timestamps":[' + texts[1] + b"]}\n"
