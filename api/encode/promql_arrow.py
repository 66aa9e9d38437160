"""Answers to PromQL as an Arrow stream, in the columns of `api.encode.arrow_stream`.

    in   Answer of `tsdb.promql.query`
    out  bytes: labels, timestamp in ms, value; a row a point

Nothing says whether it was a vector or a matrix, nor warnings: who asks for Arrow wants points.
A string has no such form.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from api.encode.arrow_stream import stream_of
from api.encode.promql_json import first_runs
from api.errors import NotAcceptable
from tsdb.batch import Columns
from tsdb.codec.resolution import Resolution
from tsdb.promql.query import Answer
from tsdb.promql.values import Scalar, Text, Vector

__all__ = ["stream"]


def stream(answer: Answer, *, limit: int = 0) -> Iterator[bytes]:
    """The stream in pieces. A limit above 0 cuts the series off. Raises NotAcceptable."""
    labels, columns = _runs(answer)
    if 0 < limit < columns.runs:
        labels, columns = labels[:limit], first_runs(columns, limit)
    return stream_of(labels, columns, Resolution.MS)


def _runs(answer: Answer) -> tuple[Sequence[Mapping[str, str]], Columns]:
    value = answer.value
    if isinstance(value, Text):
        raise NotAcceptable("a string is answered as JSON only, not as an Arrow stream")
    if isinstance(value, Scalar):
        return [{}], Columns(np.array([0, 1]), answer.times, value.values)
    if isinstance(value, Vector):
        offsets = np.zeros(len(value.rows) + 1, np.int64)
        np.cumsum(value.present.sum(axis=1), out=offsets[1:])
        stamps = answer.times[np.nonzero(value.present)[1]]
        return value.rows.labels(), Columns(offsets, stamps, value.values[value.present])
    rows, columns = value
    return rows.labels(), columns
