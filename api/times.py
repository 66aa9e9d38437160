"""Times as people write them, to ticks of a database and back.

    in   RFC 3339 or ISO 8601 text, Unix seconds with a fraction, `now`, `now-1h30m`
    out  int64 ticks; and ticks to RFC 3339 text

One reader for the command line and for HTTP, so that the same text means the same moment
everywhere. Text without a zone is UTC. Arithmetic is exact (Decimal and integers): a float of
seconds cannot hold nanoseconds. What is finer than a tick is cut, towards the past.

Pure: the caller says what `now` is.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation

from tsdb.errors import InvalidInput

__all__ = ["duration_ticks", "parse_time", "time_text"]

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1
HELP = (
    "a time such as 2026-01-31T12:00:00Z, 2026-01-31, Unix seconds (1769860800.5), now or now-1h30m"
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DATE = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d)?)(?:\.(\d{1,18}))?)?\s*(Z|[+-]\d\d:?\d\d)?",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d{1,3})?", re.IGNORECASE)
_NOW = re.compile(r"now(?:\s*([+-])\s*(\S+))?", re.IGNORECASE)
_STEP = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h|d|w|y)")
_UNIT_S = {
    "ns": Decimal("1e-9"),
    "us": Decimal("1e-6"),
    "µs": Decimal("1e-6"),
    "ms": Decimal("1e-3"),
    "s": Decimal(1),
    "m": Decimal(60),
    "h": Decimal(3600),
    "d": Decimal(86_400),
    "w": Decimal(7 * 86_400),
    "y": Decimal(365 * 86_400),
}


def parse_time(text: str, *, ticks_per_s: int, now_ticks: int) -> int:
    """The tick that `text` means; InvalidInput says what is understood."""
    text = text.strip()
    if now := _NOW.fullmatch(text):
        sign, step = now.groups()
        ahead = duration_ticks(step, ticks_per_s=ticks_per_s) if step else 0
        return _in_range(now_ticks - ahead if sign == "-" else now_ticks + ahead, text)
    if _NUMBER.fullmatch(text):
        return _in_range(_floor(Decimal(text) * ticks_per_s), text)
    if date := _DATE.fullmatch(text):
        return _in_range(_date_ticks(date, text, ticks_per_s), text)
    raise InvalidInput(f"{text!r} is not {HELP}")


def duration_ticks(text: str, *, ticks_per_s: int) -> int:
    """Ticks of `15s`, `1h30m`, `500ms` or a plain number of seconds; never negative."""
    text = text.strip()
    seconds, at = Decimal(0), 0
    if _NUMBER.fullmatch(text):
        seconds, at = Decimal(text), len(text)
    while at < len(text) and (step := _STEP.match(text, at)):
        seconds += Decimal(step[1]) * _UNIT_S[step[2]]
        at = step.end()
    if not text or at < len(text) or seconds < 0:
        raise InvalidInput(f"{text!r} is not a duration such as 15s, 1h30m, 7d or 500ms")
    return _in_range(_floor(seconds * ticks_per_s), text)


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


def _date_ticks(date: re.Match[str], text: str, ticks_per_s: int) -> int:
    day, clock, fraction, zone = date.groups()
    zone = "+00:00" if zone in {None, "Z", "z"} else zone
    try:
        moment = datetime.fromisoformat(f"{day}T{clock or '00:00'}{zone}")
    except ValueError as error:
        raise InvalidInput(f"{text!r}: {error}") from error
    since = moment - _EPOCH
    whole = (since.days * 86_400 + since.seconds) * ticks_per_s
    return whole + _floor(Decimal(f"0.{fraction or 0}") * ticks_per_s)


def _floor(value: Decimal) -> int:
    try:
        return int(value.to_integral_value(rounding="ROUND_FLOOR"))
    except (InvalidOperation, OverflowError) as error:
        raise InvalidInput(f"{value}: not a number of seconds") from error


def _in_range(ticks: int, text: str) -> int:
    if not INT64_MIN <= ticks <= INT64_MAX:
        raise InvalidInput(f"{text!r} is outside the times that this resolution can hold")
    return ticks
