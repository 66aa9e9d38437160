"""What requests of Prometheus' API say: parameters, times, durations.

    in   query string and form body
    out  Form: values by name; int64 milliseconds; Prometheus' own words where one is wrong

A form's values go before those of the query string, as in Go. A body of another type is not read:
some clients send JSON's type with nothing in it. Parameters that nobody knows are ignored, because
dashboards add their own.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import parse_qsl

from api.exchange import Exchange
from api.node import Node
from tsdb import limits
from tsdb.errors import InvalidInput, LimitExceeded

__all__ = ["MOMENT_MAX", "MOMENT_MIN", "Form", "duration", "form_of", "moment"]

FORM = b"application/x-www-form-urlencoded"
# The ends of time in Prometheus, and how its clients write them.
MOMENT_MIN, MOMENT_MAX = -(2**63) + 62_135_596_801_000, 2**63 - 62_135_596_801_001
_ENDS = {
    "-292273086-05-16T16:47:06Z": MOMENT_MIN,
    "292277025-08-18T07:12:54.999999999Z": MOMENT_MAX,
}
INT64_DIGITS = 19
DURATION_CHARACTERS_MAX = 200  # seven counts with many zeros; Python reads no longer ones
_NUMBER = re.compile(r"[+-]?(?:\d++\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_INTEGER = re.compile(r"[+-]?\d+", re.ASCII)
_RFC3339 = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:[.,](\d+))?(Z|[+-]\d\d:\d\d)", re.ASCII)
_UNITS_MS = (365 * 86_400_000, 7 * 86_400_000, 86_400_000, 3_600_000, 60_000, 1_000, 1)
_DURATION = re.compile(
    "".join(rf"(?:(\d+){unit})?" for unit in ("y", "w", "d", "h", "m", "s", "ms")), re.ASCII
)


@dataclass(frozen=True, slots=True)
class Form:
    """Parameters of one request."""

    values: dict[str, list[str]]

    def text(self, name: str) -> str:
        """The first value, or nothing."""
        return self.values.get(name, [""])[0]

    def all(self, name: str) -> list[str]:
        return self.values.get(name, [])

    def time(self, name: str, default: int | None = None) -> int:
        """A moment in ms. Without a default it has to be there."""
        text = self.text(name)
        if not text and default is not None:
            return default
        try:
            return moment(text)
        except InvalidInput as error:
            known = "" if default is None else f"invalid time value for '{name}': "
            raise InvalidInput(f'invalid parameter "{name}": {known}{error}') from error

    def duration(self, name: str) -> float:
        """Milliseconds."""
        try:
            return duration(self.text(name))
        except InvalidInput as error:
            raise InvalidInput(f'invalid parameter "{name}": {error}') from error

    def lookback_ms(self) -> int:
        """How old a latest point may be; the usual age where none is given, or none above zero."""
        text = self.text("lookback_delta")
        try:
            asked = int(duration(text)) if text else 0
        except InvalidInput as error:
            raise InvalidInput(f"error parsing lookback delta duration: {error}") from error
        return asked if asked > 0 else limits.LOOKBACK_MS

    def limit(self) -> int:
        """How many there may be at most; 0 for all."""
        text = self.text("limit")
        if not text:
            return 0
        wrong = "" if _INTEGER.fullmatch(text) else "invalid syntax"
        # Python refuses to read thousands of digits; zeros in front are none.
        digits = text.lstrip("+-").lstrip("0") or "0"
        if not wrong and (len(digits) > INT64_DIGITS or int(digits) >= 2**63):
            wrong = "value out of range"
        if wrong:
            said = f'strconv.Atoi: parsing "{text[:100]}": {wrong}'
            raise InvalidInput(f'invalid parameter "limit": {said}')
        if text[0] == "-" and digits != "0":
            raise InvalidInput('invalid parameter "limit": limit must be non-negative')
        return int(digits)


async def form_of(node: Node, exchange: Exchange) -> Form:
    """The parameters of a request, wherever they stand. Raises InvalidInput, LimitExceeded."""
    body = b""
    media = exchange.headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    if exchange.scope["method"] in {"POST", "PUT"} and media == FORM:
        body = await node.ingest.body(exchange)
        if len(body) > limits.FORM_BYTES_MAX:
            raise LimitExceeded(
                "the form is too long", limit="FORM_BYTES_MAX", value=limits.FORM_BYTES_MAX
            )
    values: dict[str, list[str]] = {}
    for part in (body, exchange.scope["query_string"]):
        for name, value in _pairs(part):
            values.setdefault(name, []).append(value)
    return Form(values)


def _pairs(text: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(text.decode(), keep_blank_values=True, errors="strict")
    except UnicodeDecodeError as error:
        raise InvalidInput("the parameters are not valid UTF-8") from error


def moment(text: str) -> int:
    """Unix seconds with a fraction, or RFC 3339, in ms."""
    found: int | None = None
    if _NUMBER.fullmatch(text):
        fraction, whole = math.modf(float(text))
        if math.isfinite(whole):
            found = int(whole) * 1000 + math.floor(abs(fraction) * 1000 + 0.5) * _sign(fraction)
    elif text in _ENDS:
        found = _ENDS[text]
    elif match := _RFC3339.fullmatch(text):
        found = _of_rfc3339(*match.groups())
    if found is None or not MOMENT_MIN <= found <= MOMENT_MAX:
        raise InvalidInput(f'cannot parse "{text[:100]}" to a valid timestamp')
    return found


def _of_rfc3339(clock: str, fraction: str | None, zone: str) -> int | None:
    try:
        at = datetime.fromisoformat(clock + zone)
    except ValueError:
        return None
    epoch = datetime.fromisoformat("1970-01-01T00:00:00Z")
    return (at - epoch) // (epoch.resolution * 1000) + int(f"{fraction or 0:0<3}"[:3])


def _sign(value: float) -> int:
    return -1 if value < 0 else 1


def duration(text: str) -> float:
    """Seconds, or a text such as `1h30m`, in ms; parts of a millisecond are kept."""
    if _NUMBER.fullmatch(text):
        found = float(text) * 1000
    elif 0 < len(text) <= DURATION_CHARACTERS_MAX and (match := _DURATION.fullmatch(text)):
        units = zip(match.groups(), _UNITS_MS, strict=True)
        found = float(sum(int(count) * unit for count, unit in units if count))
        if found >= 2**63 / 1e6:
            raise InvalidInput(f'cannot parse "{text[:100]}" to a valid duration')
    else:
        raise InvalidInput(f'cannot parse "{text[:100]}" to a valid duration')
    if not abs(found) < 2**63 / 1e6:
        raise InvalidInput(f'cannot parse "{text[:100]}" to a valid duration. It overflows int64')
    return found
