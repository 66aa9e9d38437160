"""Whether a server may still do what it began by itself: of a cluster one node may.

    in   what tells whose turn it is, asked anew
    out  nothing, or Unavailable

Asked just before each effect: a point written, an alert sent. A node that was suspended in the
middle finds out when it runs again, and stops there.
"""

from __future__ import annotations

from collections.abc import Callable

from tsdb.errors import Unavailable

__all__ = ["Duty", "alone", "check"]

Duty = Callable[[], bool]


def alone() -> bool:
    """Of a server that is not in a cluster."""
    return True


def check(has_duty: Duty) -> None:
    """Raises Unavailable when it is another node's turn."""
    if not has_duty():
        raise Unavailable("another node does this now", code="turn_over")
