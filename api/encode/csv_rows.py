"""Series as CSV: a row a point, in the form that `tsdb.parse.csv_lines` imports.

    in   series, resolution
    out  series,timestamp,value
         "cpu{host=""a""}",1700000000.123,21.5

Times are Unix seconds with as many decimals as the resolution has, exactly. NaN and infinities are
bare words; spreadsheets know no payloads of NaN, so the stale marker becomes NaN here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from api.encode.point_text import ROWS, TEXT, Layout, batches, pieces, seconds_decimals
from tsdb.codec.resolution import Resolution

if TYPE_CHECKING:
    from tsdb.query.selection import Series

__all__ = ["quoted", "stream"]

HEADING = b"series,timestamp,value\n"


def stream(series: Iterable[Series], resolution: Resolution) -> Iterator[bytes]:
    """The heading, then whole rows in pieces."""
    yield HEADING
    layout = Layout(ROWS, seconds_decimals(resolution), TEXT, between=b",", behind=b"\n")
    for batch, columns in batches(series):
        heads = [quoted(str(one.labels)).encode() + b"," for one in batch]
        yield from pieces(heads, columns, layout)


def quoted(text: str) -> str:
    """A CSV field; in quotes if it has to be."""
    if any(c in text for c in ',"\r\n') or text != text.strip():
        return '"' + text.replace('"', '""') + '"'
    return text
