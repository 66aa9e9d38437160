"""Columns that are filled from JSON text: by the kernel, and by hand where it gives up.

    in   a body; lines that the kernel left over, read by the caller
    out  key bytes and their ranges, Columns

The kernel stops at a line it does not understand; the caller reads it and goes on. So runs keep
the order of the lines, which decides what wins where a time is given twice.

Arrays are as large as the body could need (no point takes less than four bytes) and the system
gives memory only to what is touched.
"""

from __future__ import annotations

import numpy as np

from tsdb import limits
from tsdb.batch import Columns, I64s, U8s
from tsdb.errors import LimitExceeded
from tsdb.parse.kernels import json_text as kernels
from tsdb.parse.text_buffer import is_utf8, padded

__all__ = ["JsonColumns"]

NEWLINE, NUL = 10, 0
LINE_BYTES_MIN = len('{"metric":{},"values":[0],"timestamps":[0]}')
POINT_BYTES_MIN = len("0,0,")
HARD_BYTES_MIN = 20  # a number that the kernel cannot round has that many digits


class JsonColumns:
    """`whole`: the body is one object without a metric rather than one a line with one."""

    def __init__(self, body: bytes, *, whole: bool) -> None:
        size = len(body)
        self._size = size
        self._whole = whole
        self._data = padded(body, NUL if whole else NEWLINE)
        self._doubtful = np.uint64(0 if is_utf8(self._data) else 0x8080808080808080)
        self._state = np.zeros(kernels.STATE_SIZE, np.int64)
        runs = 1 if whole else size // LINE_BYTES_MIN + 1
        points = min(limits.POINTS_PER_REQUEST_MAX, size // POINT_BYTES_MIN + 1)
        self._key_starts = np.empty(runs, np.int64)
        self._key_ends = np.empty(runs, np.int64)
        self._offsets = np.zeros(runs + 1, np.int64)
        self._timestamps = np.empty(points, np.int64)
        self._values = np.empty(points, np.uint64)
        self._hards = np.empty(2 * (size // HARD_BYTES_MIN + 1), np.int64)
        self._more_keys: list[bytes] = []
        self._more_bytes = 0

    def read(self, scale: int) -> bool:
        """Let the kernel go on; true when it met a line for which the caller has to answer."""
        status: int = kernels.lines(
            self._data,
            self._size,
            limits.LINE_BYTES_MAX,
            scale,
            self._whole,
            self._doubtful,
            self._state,
            self._key_starts,
            self._key_ends,
            self._offsets,
            self._timestamps,
            self._values,
            self._hards,
        )
        return status == kernels.SLOW

    @property
    def line(self) -> int:
        """Number of the last line read, counted from 1."""
        return int(self._state[kernels.LINE])

    def left_over(self) -> bytes:
        """Text of the line that the kernel did not read."""
        return self._data[self._state[kernels.SLOW_AT] : self._state[kernels.SLOW_END]].tobytes()

    def append(self, key: bytes, timestamps: list[int], values: list[float]) -> None:
        """Add the run of a line that was left over; its key goes behind the body."""
        run, first = int(self._state[kernels.RUNS]), int(self._state[kernels.POINTS])
        last = first + len(values)
        if last > limits.POINTS_PER_REQUEST_MAX:
            raise LimitExceeded(
                "more points than one request may hold",
                limit="POINTS_PER_REQUEST_MAX",
                value=limits.POINTS_PER_REQUEST_MAX,
            )
        if last == first:
            return
        self._timestamps[first:last] = timestamps
        self._values[first:last] = np.array(values, np.float64).view(np.uint64)
        self._key_starts[run] = self._data.size + self._more_bytes
        self._more_keys.append(key)
        self._more_bytes += len(key)
        self._key_ends[run] = self._data.size + self._more_bytes
        self._offsets[run + 1] = last
        self._state[kernels.RUNS], self._state[kernels.POINTS] = run + 1, last

    def keys(self) -> tuple[U8s, I64s, I64s]:
        """Bytes that hold the keys, and where each run's key starts and ends in them."""
        runs = self._state[kernels.RUNS]
        key_bytes = self._data
        if self._more_keys:
            key_bytes = np.concatenate((key_bytes, padded(b"".join(self._more_keys), NEWLINE)))
        return key_bytes, self._key_starts[:runs], self._key_ends[:runs]

    def columns(self) -> Columns:
        runs, points = self._state[kernels.RUNS], self._state[kernels.POINTS]
        values = self._values[:points].view(np.float64)
        for point, at in self._hards[: 2 * self._state[kernels.HARDS]].reshape(-1, 2).tolist():
            values[point] = self._float_at(at)
        return Columns(self._offsets[: runs + 1], self._timestamps[:points], values)

    def _float_at(self, at: int) -> float:
        """A number of more digits than the kernel can round."""
        end = at
        while chr(self._data[end]) in "0123456789+-.eE":
            end += 1
        return float(self._data[at:end].tobytes())
