"""Bodies are parsed beside the gate, where there is a core to spare, and used in their order.

    in   requests in arrival order (`offer`)
    out  what each says, when the gate comes to it (`outcome`): Parsed, or what went wrong

A parser does not know what else the database holds, so bodies can be parsed at the same time; all
that follows has an order. Helpers take the oldest body that nobody has begun. The gate, when it
comes to one that is not begun, parses it itself: on a machine without a spare core this is one
thread and a lock, and nobody waits for a thread that does not run.

At most PARSED_AHEAD bodies are parsed and not used yet: their columns take more than their bytes.
"""

from __future__ import annotations

import os
import threading
from collections import deque

from tsdb.batch import Parsed
from tsdb.commit.request import Request

__all__ = ["Parsing"]

PARSED_AHEAD = 8
HELPERS_MAX = 4


class Parsing:
    """One pipeline's helpers."""

    def __init__(self, helpers: int | None = None) -> None:
        spare = (os.cpu_count() or 1) - 1
        count = min(HELPERS_MAX, spare) if helpers is None else helpers
        self._lock = threading.Lock()
        self._work = threading.Condition(self._lock)  # helpers wait
        self._done = threading.Condition(self._lock)  # the gate waits
        self._waiting: deque[Request] = deque()  # nobody has begun them
        self._begun: set[int] = set()  # requests under way, or done and not used; by id
        self._outcomes: dict[int, Parsed | Exception] = {}
        self._ahead = 0
        self._closing = False
        self._helpers = count
        self._threads: list[threading.Thread] = []  # begun with the first body that is offered

    def offer(self, request: Request, *, soon: bool) -> None:
        """A helper may parse it. `soon`: the gate will come to it at once, so none is woken."""
        if not self._helpers:
            return
        if not self._threads:
            self._begin()
        with self._lock:
            self._waiting.append(request)
            if not soon or len(self._waiting) > 1:
                self._work.notify()

    def outcome(self, request: Request) -> Parsed | Exception:
        """What the request says; parsed now, unless a helper has or is about to."""
        with self._lock:
            if id(request) in self._begun:
                self._done.wait_for(lambda: id(request) in self._outcomes)
                self._begun.discard(id(request))
                self._ahead -= 1
                self._work.notify()
                return self._outcomes.pop(id(request))
            if self._helpers:  # those before it are used up, so nothing is before it here
                assert self._waiting[0] is request
                self._waiting.popleft()
        return parsed(request)

    def close(self) -> None:
        """After the last `outcome`."""
        with self._lock:
            self._closing = True
            self._work.notify_all()
        for thread in self._threads:
            thread.join()

    def _begin(self) -> None:
        for i in range(self._helpers):
            thread = threading.Thread(target=self._help_forever, name=f"parse-{i}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _help_forever(self) -> None:
        while True:
            with self._lock:
                self._work.wait_for(self._may_help)
                if self._closing:
                    return
                request = self._waiting.popleft()
                self._begun.add(id(request))
                self._ahead += 1
            found = parsed(request)
            with self._lock:
                self._outcomes[id(request)] = found
                self._done.notify()

    def _may_help(self) -> bool:
        return self._closing or (bool(self._waiting) and self._ahead < PARSED_AHEAD)


def parsed(request: Request) -> Parsed | Exception:
    """What the request says, or why it says nothing we understand."""
    assert request.parse is not None
    try:
        return request.parse()
    except Exception as error:  # a parser's bug fails its own request, not everybody's
        return error
