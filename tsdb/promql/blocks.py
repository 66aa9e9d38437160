"""Kernels over blocks of rows, on a few threads.

    in   how many rows, how much work, and what to do with rows first:last
    out  all of it done

Kernels release the interpreter's lock and write to rows of their own, so blocks need no lock
either. The threads are shared by all queries, and a query has only a few blocks waiting at a
time: a large one neither takes more than the machine has nor lets a small one wait for its end.
Small ones, which would only lose by it, never leave the caller's thread.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import cache

__all__ = ["run"]

WORK_MIN = 100_000  # points and cells worth a thread: about half a millisecond
WAITING_A_THREAD = 2  # blocks of one query at a time


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_width(), thread_name_prefix="promql")


@cache
def _width() -> int:
    return len(os.sched_getaffinity(0))


def run(
    rows: int,
    work: int,
    kernel: Callable[[int, int], None],
    check: Callable[[], None] = lambda: None,
) -> None:
    """`kernel(first, last)` for blocks that cover all rows, each once. Returns when all are done.

    `work` counts what is read and written in all. `check` is asked between blocks and ends the
    work by raising. Raises what it or the kernel raised; no block runs on after that.
    """
    blocks = max(1, min(rows, work // WORK_MIN))
    borders = deque((rows * i // blocks, rows * (i + 1) // blocks) for i in range(blocks))
    if blocks == 1 or _width() == 1:
        for first, last in borders:
            kernel(first, last)
            check()
        return
    waiting: deque[Future[None]] = deque()
    try:
        while borders or waiting:
            while borders and len(waiting) < WAITING_A_THREAD * _width():
                waiting.append(_threads().submit(kernel, *borders.popleft()))
            waiting.popleft().result()
            check()
    finally:
        wait([each for each in waiting if not each.cancel()])
