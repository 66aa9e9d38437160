"""Times and durations at the edge: `tsdb.parse.times`, and what people may leave out.

    in   RFC 3339, Unix seconds with decimals, `now-1h30m`; here also a bare date, a missing
         offset (UTC then), a missing time of day
    out  int64 ticks; and ticks to RFC 3339 text

One reader for the command line and for query strings. Bodies are stricter: there a time without
an offset is a mistake of a program, here it is a person typing.

Pure: the caller says what `now` is.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal

from tsdb.codec.resolution import Resolution
from tsdb.parse import times

__all__ = ["duration_ticks", "parse_time", "time_text"]

_SHORT = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[Tt ](\d\d:\d\d)(:\d\d(?:\.\d+)?)?)?([Zz]|[+-]\d\d:\d\d)?", re.ASCII
)


def parse_time(text: str, *, ticks_per_s: int, now_ticks: int) -> int:
    """The tick that `text` means; InvalidInput says what is understood."""
    short = _SHORT.fullmatch(text.strip())
    if short:
        day, clock, seconds, zone = short.groups()
        text = f"{day}T{clock or '00:00'}{seconds or ':00'}{zone or 'Z'}"
    return times.parse_time(text, _resolution(ticks_per_s), now_ticks)


def duration_ticks(text: str, *, ticks_per_s: int) -> int:
    """Ticks of `15s`, `1h30m`, `500ms` or a plain number of seconds; never negative."""
    return times.parse_duration(text, _resolution(ticks_per_s))


def time_text(ticks: int, *, ticks_per_s: int) -> str:
    """RFC 3339 in UTC with as many digits as a tick needs; plain seconds where years end."""
    seconds, rest = divmod(ticks, ticks_per_s)
    digits = len(str(ticks_per_s)) - 1
    try:
        moment = datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return f"{Decimal(ticks) / ticks_per_s:f}"
    fraction = f".{rest:0{digits}d}" if digits else ""
    return f"{moment.isoformat()[:19]}{fraction}Z"


def _resolution(ticks_per_s: int) -> Resolution:
    return next(r for r in Resolution if r.ticks_per_s == ticks_per_s)
