"""Columns that are filled from lines of one point each: by a kernel, by hand where it gives up.

    in   whole lines, a kernel bound to its protocol, the slow twin for what it leaves
    out  Parsed: a run a line; how many lines had nan for a value (`dropped`)

Runs keep the order of the lines, which decides what wins where a time is given twice. A wrong
line costs itself, however many there are: past LINES_REFUSED_MAX what the kernel leaves is counted
as wrong without a look, so that garbage costs little. A stream has no line numbers: the sentence
about a line shows it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import numpy as np

from tsdb import limits
from tsdb.batch import Columns, Parsed, U8s
from tsdb.errors import InvalidInput
from tsdb.index.quoting import shown
from tsdb.parse.kernels import graphite as kernels
from tsdb.parse.refused import Refused
from tsdb.parse.text_buffer import padded

__all__ = ["LinePoint", "Lines", "NoPoint", "read_lines"]

NEWLINE = 10
LINE_BYTES_MIN = len("a 1 1")
BLANKS = b" \t\r"


class NoPoint(Enum):
    """What a line may be that is neither a point nor wrong."""

    NAN = 0  # counted among what was left out
    COMMAND = 1


@dataclass(frozen=True, slots=True)
class LinePoint:
    """What one line says; `key` is its name as the kernel would have named it."""

    key: bytes
    ticks: int
    value: float


@dataclass(frozen=True, slots=True)
class Lines:
    """A kernel's lines: what it is called with, how its leftovers are read, how keys are."""

    form: str
    read: Callable[..., int]  # (data, size, *arguments, state, starts, ends, stamps, values)
    arguments: tuple[int, ...]
    slow: Callable[[bytes], LinePoint | NoPoint]
    canonical: Callable[[bytes], bytes]


def read_lines(body: bytes, lines: Lines) -> tuple[Parsed, int]:
    """(every line that can be read, lines dropped)."""
    data, size = padded(body, NEWLINE), len(body)
    rows = size // LINE_BYTES_MIN + 2
    state = np.zeros(kernels.STATE_SIZE, np.int64)
    starts, ends, stamps = (np.empty(rows, np.int64) for _ in range(3))
    values = np.empty(rows, np.uint64)
    refused = Refused()
    more: list[bytes] = []
    more_bytes = data.size
    dropped = unread = 0
    while True:
        status = lines.read(data, size, *lines.arguments, state, starts, ends, stamps, values)
        if status != kernels.SLOW:
            break
        first, last = state[kernels.SLOW_AT], state[kernels.SLOW_END]
        text = data[first:last].tobytes().strip(BLANKS)
        if not text:
            continue
        if refused.count == limits.LINES_REFUSED_MAX:
            unread += 1
            continue
        try:
            point = lines.slow(text)
        except InvalidInput as error:
            refused.add(f"{error}, in {shown(text.decode(errors='replace'))}")
            continue
        if isinstance(point, NoPoint):
            dropped += point is NoPoint.NAN
            continue
        run = int(state[kernels.RUNS])
        starts[run], more_bytes = more_bytes, more_bytes + len(point.key)
        ends[run] = more_bytes
        more.append(point.key)
        stamps[run] = point.ticks
        values[run : run + 1] = np.array([point.value]).view(np.uint64)
        state[kernels.RUNS] = run + 1
    runs = int(state[kernels.RUNS])
    key_bytes: U8s = np.concatenate((data, padded(b"".join(more), NEWLINE))) if more else data
    columns = Columns(
        np.arange(runs + 1, dtype=np.int64), stamps[:runs], values[:runs].view(np.float64)
    )
    parsed = Parsed(
        lines.form,
        key_bytes,
        starts[:runs],
        ends[:runs],
        columns,
        lines.canonical,
        refused.told(),
        refused.more + dropped + unread,
    )
    return parsed, dropped
