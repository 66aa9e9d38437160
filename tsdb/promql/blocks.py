"""Kernels over blocks of rows, on a few threads.

    in   how many rows, how much work, and what to do with rows first:last
    out  all of it done

Kernels release the interpreter's lock and write to rows of their own, so blocks need no lock
either. The threads are shared by all queries: one large query cannot take more than the machine
has, and small ones, which would only lose by it, never leave the caller's thread.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise

__all__ = ["run"]

WORK_MIN = 100_000  # points and cells worth a thread: about half a millisecond
BLOCKS_A_THREAD = 4  # so that threads end together though blocks differ


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_width(), thread_name_prefix="promql")


@cache
def _width() -> int:
    return max(1, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1)


def run(rows: int, work: int, kernel: Callable[[int, int], None]) -> None:
    """`kernel(first, last)` for blocks that cover all rows, each once. Returns when all are done.

    `work` counts what is read and written in all. Raises what the kernel raised.
    """
    blocks = min(rows, work // WORK_MIN, _width() * BLOCKS_A_THREAD)
    if blocks < 2 or _width() == 1:
        kernel(0, rows)
        return
    borders = [rows * i // blocks for i in range(blocks + 1)]
    waiting = [_threads().submit(kernel, first, last) for first, last in pairwise(borders)]
    for each in waiting:
        each.result()
