"""Kernels over parts of their rows, on a few threads.

    in   how many rows, how much work, and what to do with rows first:last
    out  all of it done

Kernels release the interpreter's lock and write to rows of their own, so parts need no lock
either. The caller works, too, and helpers, shared by all, take parts from it while there are any:
so a small piece of work never waits for the end of a large one, and a caller that is busy makes
the system wake a helper on another processor (waiting for two helpers instead, both were often
put on one: 4.8 ms instead of 3.1). What is small never leaves the caller's thread.

Helpers are asked through one queue, and not by an executor, whose locks and futures cost the caller
30 µs more before it begins its own first part. A helper takes a place when it comes, so nobody
waits for one that is busy elsewhere.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable
from functools import cache
from queue import SimpleQueue
from typing import TypeAlias, TypeVar

__all__ = ["run"]

WORK_MIN = 100_000  # points and cells worth a part: about half a millisecond
THREADS_MAX = 4  # of one piece of work, its caller's included

T = TypeVar("T")
Part: TypeAlias = tuple[int, int]
Kernel: TypeAlias = Callable[[int, int], None]
Ends: TypeAlias = SimpleQueue[BaseException | None]  # of helpers, with what they raised
Places: TypeAlias = deque[tuple[deque[Part], Kernel, Ends]]  # one for each helper that may come

_asked: SimpleQueue[Places] = SimpleQueue()
_starting = threading.Lock()
_helpers: list[threading.Thread] = []


@cache
def _width() -> int:
    return len(os.sched_getaffinity(0))


def run(
    rows: int,
    work: int,
    kernel: Kernel,
    check: Callable[[], None] = lambda: None,
) -> None:
    """`kernel(first, last)` for parts that cover all rows, each once. Returns when all are done.

    `work` counts what is read and written in all. `check` is asked between parts and ends the
    work by raising. Raises what it or the kernel raised; no part runs on after that.
    """
    parts = max(1, min(rows, work // WORK_MIN))
    left = deque((rows * i // parts, rows * (i + 1) // parts) for i in range(parts))
    ends: Ends = SimpleQueue()
    wanted = min(parts, _width(), THREADS_MAX) - 1
    places: Places = deque([(left, kernel, ends)] * wanted)
    if len(_helpers) < wanted:
        _start_helpers()
    for _ in range(wanted):
        _asked.put(places)
    try:
        while part := _next(left):
            kernel(*part)
            check()
    finally:
        left.clear()
        while wanted and _next(places) is not None:  # those who did not come need not
            wanted -= 1
        raised = [error for _ in range(wanted) if (error := ends.get()) is not None]
    for error in raised:
        raise error


def _start_helpers() -> None:
    with _starting:
        while len(_helpers) < max(_width(), THREADS_MAX) - 1:
            name = f"parallel-{len(_helpers)}"
            _helpers.append(threading.Thread(target=_help_forever, name=name, daemon=True))
            _helpers[-1].start()


def _help_forever() -> None:
    while True:
        place = _next(_asked.get())
        if place is not None:
            _help(*place)
        del place  # its arrays are not kept until the next one comes


def _help(left: deque[Part], kernel: Kernel, ends: Ends) -> None:
    """Parts while there are any. What one raises ends the work, and is raised by `run`."""
    try:
        while part := _next(left):
            kernel(*part)
    except BaseException as error:
        left.clear()
        ends.put(error)
    else:
        ends.put(None)


def _next(left: deque[T]) -> T | None:
    try:
        return left.popleft()
    except IndexError:
        return None
