"""How often each bound refused a request, points or a connection; behind /metrics.

    in   errors and sentences, which name their bound: `(limit NAME = VALUE)`
    out  counts by NAME

The sentence is what the client reads, so the count and the answer cannot disagree. Names are those
of tsdb.limits and of the settings, so that no client's text becomes a label.
"""

from __future__ import annotations

import re
from collections import Counter

from api.settings import Settings
from tsdb import limits
from tsdb.errors import TSDBError

__all__ = ["LIMITS", "Refusals", "limit_of"]

LIMITS: dict[str, int | float] = {
    name: value
    for name, value in vars(limits).items()
    if name.isupper() and isinstance(value, int | float)
}
NAMES = frozenset(LIMITS) | frozenset(Settings.model_fields)
ALWAYS_SHOWN = (
    "BODY_BYTES_MAX",
    "BODY_ENCODED_BYTES_MAX",
    "HEADERS_MAX",
    "HEADER_BYTES_MAX",
    "LOGINS_FAILED_PER_MINUTE_MAX",
    "READS_MAX",
    "SERIES_MAX",
    "WRITE_STALL_S",
    "body_timeout_s",
    "connections_max",
    "header_timeout_s",
    "queue_bytes_max",
)
_NAMED = re.compile(r"\(limit (\w+) = (\d[\d,]*(?:\.\d+)?)\)")


def limit_of(sentence: str) -> tuple[str, int | float] | None:
    """The bound that a refusal names last, and its value."""
    found = _NAMED.findall(sentence)
    if not found or found[-1][0] not in NAMES:
        return None
    name, text = found[-1]
    value = float(text.replace(",", ""))
    return name, int(value) if value.is_integer() else value


class Refusals:
    """One server's; counted on the event loop's thread, read from any."""

    def __init__(self) -> None:
        self.requests: Counter[str] = Counter(dict.fromkeys(ALWAYS_SHOWN, 0))
        self.points: Counter[str] = Counter()

    def note(self, sentence: str) -> None:
        limit = limit_of(sentence)
        if limit is not None:
            self.requests[limit[0]] += 1

    def note_error(self, error: TSDBError) -> None:
        """Once, however many places it passes on its way out."""
        if not getattr(error, "noted", False):
            error.noted = True  # type: ignore[attr-defined]
            self.note(str(error))
