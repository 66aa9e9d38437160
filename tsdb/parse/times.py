"""Times and durations as people and senders write them, to ticks of a database.

    in   text, the resolution, now in ticks (there is no clock in here)
    out  int ticks

    time      2026-08-01T12:00:00.25+02:00   RFC 3339, any offset, any number of decimals
              1785578400.25  -1  1.7e9       Unix seconds
              now  now-1h30m  now+5m         relative to the caller's now
    duration  1h30m  90s  250ms  1.5         units y w d h m s ms, largest first; bare: seconds

Integer arithmetic throughout: a float64 of today's nanoseconds is off by up to 128 of them. A
time finer than a tick goes to the nearest one (half up), because senders print times they hold as
floats; a duration must be whole ticks. y is 365 d and w 7 d, as in Prometheus.
"""

from __future__ import annotations

import datetime
import re

from tsdb.codec.resolution import Resolution
from tsdb.errors import InvalidInput
from tsdb.index.quoting import shown

__all__ = [
    "INT64_MAX",
    "INT64_MIN",
    "decimal_exponent",
    "lenient_time",
    "parse_duration",
    "parse_time",
    "rfc3339",
    "ticks_from_decimal",
]

INT64_MIN, INT64_MAX = -(1 << 63), (1 << 63) - 1
TEXT_CHARACTERS_MAX = 400
"""Longer numbers are refused: no sender prints one, and big integers cost quadratic time."""

_DECIMAL = re.compile(r"([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d+))?", re.ASCII)
_RFC3339 = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:([Zz])|([+-])(\d\d):(\d\d))?",
    re.ASCII,
)
_LENIENT = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[Tt ](\d\d:\d\d)(:\d\d(?:\.\d+)?)?)?([Zz]|[+-]\d\d:\d\d)?", re.ASCII
)
_DURATION = re.compile(
    r"(?:(\d+)y)?(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+)s)?(?:(\d+)ms)?", re.ASCII
)
_UNITS_MS = (365 * 86_400_000, 7 * 86_400_000, 86_400_000, 3_600_000, 60_000, 1_000, 1)
_EPOCH_DAY = datetime.date(1970, 1, 1).toordinal()


def parse_time(text: str, resolution: Resolution, now_ticks: int) -> int:
    """Ticks of a time in any of the three forms; InvalidInput names the text."""
    text = text.strip()
    if text.startswith("now"):
        return _relative(text, resolution, now_ticks)
    if "T" in text or "t" in text or ":" in text:
        return rfc3339(text, resolution)
    try:
        return ticks_from_decimal(text, decimal_exponent(resolution))
    except InvalidInput as error:
        raise InvalidInput(
            f"time {shown(text)} is not RFC 3339, Unix seconds or now-1h: {error}"
        ) from error


def parse_duration(text: str, resolution: Resolution) -> int:
    """Ticks of a duration, zero allowed; InvalidInput names the text."""
    stripped = text.strip()
    whole_ms = _duration_ms(stripped)
    if whole_ms is None:
        return _seconds(stripped, resolution)
    ticks, rest = divmod(whole_ms * resolution.ticks_per_s, 1_000)
    if rest:
        raise InvalidInput(
            f"duration {shown(text)} is finer than the database's resolution {resolution.name_}"
        )
    return _in_range(ticks, text)


def lenient_time(text: str, resolution: Resolution) -> int:
    """Ticks of a date as files hold it: time of day, seconds and offset (then UTC) may lack."""
    found = _LENIENT.fullmatch(text)
    if found is None:
        raise InvalidInput(f"time {shown(text)} is not like 2026-08-01 12:00:00")
    day, clock, seconds, zone = found.groups()
    return rfc3339(f"{day}T{clock or '00:00'}{seconds or ':00'}{zone or 'Z'}", resolution)


def rfc3339(text: str, resolution: Resolution) -> int:
    """Ticks of `2026-08-01T12:00:00.25+02:00`."""
    found = _RFC3339.fullmatch(text)
    if found is None or len(text) > TEXT_CHARACTERS_MAX:
        raise InvalidInput(f"time {shown(text)} is not RFC 3339, as 2026-08-01T12:00:00Z")
    if not (found[8] or found[9]):
        raise InvalidInput(f"time {shown(text)} has no offset: end it with Z")
    year, month, day, hour, minute, second = (int(found[i]) for i in range(1, 7))
    offset_s = 0
    if found[9]:
        offset_hours, offset_minutes = int(found[10]), int(found[11])
        if offset_hours > 23 or offset_minutes > 59:
            raise InvalidInput(f"time {shown(text)} has an offset that no zone has")
        offset_s = (offset_hours * 3600 + offset_minutes * 60) * (-1 if found[9] == "-" else 1)
    if hour > 23 or minute > 59 or second > 59:
        raise InvalidInput(f"time {shown(text)} has an hour, minute or second out of range")
    try:
        days = datetime.date(year, month, day).toordinal() - _EPOCH_DAY
    except ValueError as error:
        raise InvalidInput(f"time {shown(text)} has a date that does not exist") from error
    seconds = days * 86_400 + hour * 3600 + minute * 60 + second - offset_s
    fraction = found[7] or ""
    mantissa = seconds * 10 ** len(fraction) + int(fraction or "0")
    return _in_range(_scaled(mantissa, decimal_exponent(resolution) - len(fraction)), text)


def ticks_from_decimal(text: str, exponent: int) -> int:
    """The integer nearest to the decimal number `text` times 10^exponent, half up; exact."""
    mantissa, power = _decimal(text)
    power += exponent
    if mantissa and power > 40:  # past int64 whatever the mantissa is
        raise InvalidInput(f"{shown(text)} is outside int64 ticks")
    if power < -2 * TEXT_CHARACTERS_MAX:  # less than half a tick whatever the mantissa is
        return 0
    return _in_range(_scaled(mantissa, power) if mantissa else 0, text)


def decimal_exponent(resolution: Resolution) -> int:
    """k for 10^k ticks a second."""
    return len(str(resolution.ticks_per_s)) - 1


def _relative(text: str, resolution: Resolution, now_ticks: int) -> int:
    sign, duration = text[3:4], text[4:]
    if not sign:
        return now_ticks
    if sign not in "+-" or not duration:
        raise InvalidInput(f"time {shown(text)} is not of the form now-1h30m")
    try:
        ticks = parse_duration(duration, resolution)
    except InvalidInput as error:
        raise InvalidInput(f"time {shown(text)}: {error}") from error
    return _in_range(now_ticks + (-ticks if sign == "-" else ticks), text)


def _duration_ms(text: str) -> int | None:
    """None for text that is not made of units."""
    found = _DURATION.fullmatch(text) if len(text) <= TEXT_CHARACTERS_MAX else None
    if found is None or not text:
        return None
    return sum(
        int(count) * unit for count, unit in zip(found.groups(), _UNITS_MS, strict=True) if count
    )


def _seconds(text: str, resolution: Resolution) -> int:
    exponent = decimal_exponent(resolution)
    try:
        mantissa, power = _decimal(text)
        ticks = ticks_from_decimal(text, exponent)
    except InvalidInput as error:
        raise InvalidInput(
            f"duration {shown(text)} is neither like 1h30m nor a number of seconds: {error}"
        ) from error
    if text[0] in "+-":
        raise InvalidInput(f"duration {shown(text)} has a sign")
    finest = -power - exponent  # decimals left after scaling to ticks
    if mantissa and finest > 0 and (ticks == 0 or mantissa != ticks * 10**finest):
        raise InvalidInput(
            f"duration {shown(text)} is finer than the database's resolution {resolution.name_}"
        )
    return ticks


def _decimal(text: str) -> tuple[int, int]:
    """(mantissa, power) of a decimal number of bounded length."""
    found = _DECIMAL.fullmatch(text) if len(text) <= TEXT_CHARACTERS_MAX else None
    if found is None or not (found[2] or found[3]):
        raise InvalidInput(f"{shown(text)} is not a decimal number")
    fraction = found[3] or ""
    return int(found[1] + found[2] + fraction), int(found[4] or "0") - len(fraction)


def _scaled(mantissa: int, exponent: int) -> int:
    """mantissa * 10^exponent to the nearest integer, half up."""
    if exponent >= 0:
        return mantissa * _power(exponent)
    divisor = _power(-exponent)
    return (2 * mantissa + divisor) // (2 * divisor)


def _power(exponent: int) -> int:
    power: int = 10**exponent
    return power


def _in_range(ticks: int, text: str) -> int:
    if not INT64_MIN <= ticks <= INT64_MAX:
        raise InvalidInput(f"{shown(text)} is outside int64 ticks")
    return ticks
