"""Functions that templates of rules may call; those of Prometheus and of Go.

    in   values of templates
    out  values of templates; TemplateError where Go would say so

`query` asks the database at the moment of the evaluation; `functions` binds it.
"""

from __future__ import annotations

import html
import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any
from urllib.parse import quote_plus, urlsplit

import re2

from api import times
from api.rules.recording import Sample
from api.rules.templates import Field, TemplateError
from tsdb.errors import InvalidInput

__all__ = ["Query", "functions", "go_text"]

Query = Callable[[str], list[Sample]]

_SMALL = ("m", "u", "n", "p", "f", "a", "z", "y")
_LARGE = ("k", "M", "G", "T", "P", "E", "Z", "Y")
_BINARY = ("ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi")
_FORMAT = re.compile(r"%([-+# 0]*)(\d+|\*)?(?:\.(\d+|\*))?([a-zA-Z%])")


def go_text(value: Any) -> str:
    """A value as Go's `print` shows it."""
    if value is None:
        return "<no value>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _float_text(value)
    if isinstance(value, Mapping):
        return "map[" + " ".join(f"{k}:{go_text(value[k])}" for k in sorted(value)) + "]"
    if isinstance(value, list | tuple):
        return "[" + " ".join(map(go_text, value)) + "]"
    if isinstance(value, Field):
        return "{" + " ".join(map(go_text, value.fields.values())) + "}"
    return str(value)


def _float_text(value: float) -> str:
    """Shortest digits; with an exponent below 1e-4 and from 1e21 on."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("+Inf" if value > 0 else "-Inf")
    if value == 0 or 1e-4 <= abs(value) < 1e21:
        text = format(value, ".17g") if abs(value) >= 1e16 else repr(value)
        if "e" in text or abs(value) >= 1e16:
            text = str(int(value))
        return text.removesuffix(".0")
    mantissa, _, exponent = repr(value).partition("e")
    return f"{mantissa.removesuffix('.0')}e{int(exponent):+03d}"


def functions(
    query: Query, external_url: str = "", now: Callable[[], float] = lambda: 0.0
) -> dict[str, Callable[..., Any]]:
    """All functions by name. `now` gives Unix seconds."""

    def queried(text: str) -> list[Field]:
        try:
            samples = query(text)
        except InvalidInput as error:
            raise TemplateError(f"error executing query: {error}") from error
        return [Field({"Labels": dict(labels), "Value": value}) for labels, value in samples]

    return {
        **PLAIN,
        "query": queried,
        "now": now,
        "externalURL": lambda: external_url,
        "pathPrefix": lambda: urlsplit(external_url).path,
    }


def humanize(value: Any) -> str:
    """1234567 is 1.235M, 0.00123 is 1.23m."""
    number = _float(value)
    if number == 0 or not math.isfinite(number):
        return _short(number)
    if abs(number) >= 1:
        prefix = ""
        for larger in _LARGE:
            if abs(number) < 1000:
                break
            prefix, number = larger, number / 1000
        return f"{_short(number)}{prefix}"
    prefix = ""
    for smaller in _SMALL:
        if abs(number) >= 1:
            break
        prefix, number = smaller, number * 1000
    return f"{_short(number)}{prefix}"


def humanize1024(value: Any) -> str:
    number = _float(value)
    if abs(number) <= 1 or not math.isfinite(number):
        return _short(number)
    prefix = ""
    for larger in _BINARY:
        if abs(number) < 1024:
            break
        prefix, number = larger, number / 1024
    return f"{_short(number)}{prefix}"


def humanize_duration(value: Any) -> str:
    """90061 s is 1d 1h 1m 1s, 0.5 s is 500ms."""
    seconds = _float(value)
    if not math.isfinite(seconds):
        return _short(seconds)
    if seconds == 0:
        return "0s"
    sign, seconds = ("-", -seconds) if seconds < 0 else ("", seconds)
    if seconds >= 1:
        whole = int(seconds)
        days, hours = whole // 86_400, whole // 3_600 % 24
        minutes, rest = whole // 60 % 60, whole % 60
        if days:
            return f"{sign}{days}d {hours}h {minutes}m {rest}s"
        if hours:
            return f"{sign}{hours}h {minutes}m {rest}s"
        if minutes:
            return f"{sign}{minutes}m {rest}s"
        return f"{sign}{_short(seconds)}s"
    prefix = ""
    for smaller in _SMALL:
        if seconds >= 1:
            break
        prefix, seconds = smaller, seconds * 1000
    return f"{sign}{_short(seconds)}{prefix}s"


def humanize_timestamp(value: Any) -> str:
    seconds = _float(value)
    if not math.isfinite(seconds):
        return _short(seconds)
    moment = _moment(seconds)
    fraction = f".{moment.microsecond:06d}".rstrip("0").rstrip(".")
    return f"{moment:%Y-%m-%d %H:%M:%S}{fraction} +0000 UTC"


def printf(text: str, *values: Any) -> str:
    """Go's verbs v s q d f g e t x, with flags, width and precision."""
    left = list(values)

    def formatted(match: re.Match[str]) -> str:
        flags, width, precision, verb = match.groups()
        if verb == "%":
            return "%"
        if width == "*":
            width = str(_whole(left.pop(0))) if left else ""
        if not left:
            return f"%!{verb}(MISSING)"
        value = left.pop(0)
        shown = _verb(verb, value, precision, "+" in flags)
        if "0" in flags and "-" not in flags and width:
            return shown.zfill(int(width))
        return shown.ljust(int(width or 0)) if "-" in flags else shown.rjust(int(width or 0))

    done = _FORMAT.sub(formatted, text)
    if left:
        extra = ", ".join(f"{_go_type(value)}={go_text(value)}" for value in left)
        return f"{done}%!(EXTRA {extra})"
    return done


def _verb(verb: str, value: Any, precision: str | None, plus: bool) -> str:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    sign = "+" if plus else ""
    if verb == "v":
        return go_text(value)
    if verb == "s" and isinstance(value, str):
        return value if precision is None else value[: int(precision)]
    if verb == "q" and isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if verb in "feg" and isinstance(value, float):
        if not math.isfinite(value):
            return go_text(value)
        if verb == "g" and precision is None:
            return go_text(value)
        return format(value, f"{sign}.{precision or 6}{verb}")
    if verb in "dxXo" and number and isinstance(value, int):
        return format(value, f"{sign}{verb}")
    if verb == "t" and isinstance(value, bool):
        return go_text(value)
    return f"%!{verb}({_go_type(value)}={go_text(value)})"


def _go_type(value: Any) -> str:
    return {bool: "bool", int: "int", float: "float64", str: "string"}.get(type(value), "value")


def _short(value: float) -> str:
    """%.4g of Go."""
    if not math.isfinite(value):
        return go_text(value)
    text = format(value, ".4g")
    mantissa, mark, exponent = text.partition("e")
    return f"{mantissa}e{int(exponent):+03d}" if mark else text


def _float(value: Any) -> float:
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            raise TemplateError(f'strconv.ParseFloat: parsing "{value}": invalid syntax') from None
    if isinstance(value, int | float):
        return float(value)
    raise TemplateError(f"can't convert {go_text(value)} to float")


def _whole(value: Any) -> int:
    if isinstance(value, int):
        return value
    raise TemplateError(f"{go_text(value)} is no whole number")


def _moment(seconds: float) -> datetime:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError) as error:
        raise TemplateError(f"{_short(seconds)} cannot be represented as a time") from error


def _first(samples: list[Any]) -> Any:
    if not samples:
        raise TemplateError("first() called on vector with no elements")
    return samples[0]


def _label(name: str, sample: Field) -> str:
    return str(sample.fields["Labels"].get(name, ""))


def _sorted_by(name: str, samples: list[Field]) -> list[Field]:
    return sorted(samples, key=lambda sample: _label(name, sample))


def _replaced(pattern: str, replacement: str, text: str) -> str:
    template = re.sub(r"\$(\d+)|\$\{(\d+)\}", lambda m: f"\\{m[1] or m[2]}", replacement)
    return str(re2.compile(pattern).sub(template, text))


def _matches(pattern: str, text: str) -> bool:
    return re2.compile(pattern).search(text) is not None


def _index(value: Any, *keys: Any) -> Any:
    for key in keys:
        if isinstance(value, Mapping):
            value = value.get(key, "")
        else:
            try:
                value = value[key]
            except (IndexError, TypeError):
                raise TemplateError(f"error calling index: index out of range: {key}") from None
    return value


def _without_port(host: str) -> str:
    name, mark, port = host.rpartition(":")
    return name.strip("[]") if mark and port.isdigit() else host


def _without_domain(host: str) -> str:
    name, mark, port = host.partition(":")
    if re.fullmatch(r"[\d.]+", name):
        return host
    return name.split(".")[0] + mark + port


def _duration_s(text: str) -> float:
    return times.duration_ticks(text, ticks_per_s=1000) / 1000


def _chosen(values: tuple[Any, ...], wanted: bool) -> Any:
    """`and`, `or`: the first value that decides, else the last."""
    return next((value for value in values if bool(value) is wanted), values[-1])


def _ordered(holds: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def compared(left: Any, right: Any) -> bool:
        if isinstance(left, str) != isinstance(right, str):
            raise TemplateError("incompatible types for comparison")
        return holds(left, right)

    return compared


PLAIN: dict[str, Callable[..., Any]] = {
    "and": lambda *values: _chosen(values, False),
    "args": lambda *values: {f"arg{i}": value for i, value in enumerate(values)},
    "eq": lambda first, *others: any(first == other for other in others),
    "first": _first,
    "ge": _ordered(lambda a, b: a >= b),
    "graphLink": lambda text: f"/graph?g0.expr={quote_plus(text)}&g0.tab=0",
    "gt": _ordered(lambda a, b: a > b),
    "html": lambda *values: html.escape(_joined(values)),
    "humanize": humanize,
    "humanize1024": humanize1024,
    "humanizeDuration": humanize_duration,
    "humanizePercentage": lambda value: f"{_short(_float(value) * 100)}%",
    "humanizeTimestamp": humanize_timestamp,
    "index": _index,
    "label": _label,
    "le": _ordered(lambda a, b: a <= b),
    "len": len,
    "lt": _ordered(lambda a, b: a < b),
    "match": _matches,
    "ne": lambda left, right: left != right,
    "not": lambda value: not value,
    "or": lambda *values: _chosen(values, True),
    "parseDuration": _duration_s,
    "print": lambda *values: _joined(values),
    "printf": printf,
    "println": lambda *values: " ".join(map(go_text, values)) + "\n",
    "reReplaceAll": _replaced,
    "safeHtml": str,
    "sortByLabel": _sorted_by,
    "stripDomain": _without_domain,
    "stripPort": _without_port,
    "strvalue": lambda sample: sample.fields["Labels"].get("__value__", ""),
    "tableLink": lambda text: f"/graph?g0.expr={quote_plus(text)}&g0.tab=1",
    "title": lambda text: re.sub(r"\b\w", lambda m: m[0].upper(), text),
    "toDuration": lambda value: f"{_short(_float(value))}s",
    "toLower": str.lower,
    "toTime": lambda value: _moment(_float(value)),
    "toUpper": str.upper,
    "urlquery": lambda *values: quote_plus(_joined(values)),
    "value": lambda sample: sample.fields["Value"],
}


def _joined(values: tuple[Any, ...]) -> str:
    """Go's Sprint: a space only between two values of which neither is a text."""
    if not values:
        return ""
    text = go_text(values[0])
    for before, value in pairwise(values):
        apart = not isinstance(before, str) and not isinstance(value, str)
        text += (" " if apart else "") + go_text(value)
    return text
