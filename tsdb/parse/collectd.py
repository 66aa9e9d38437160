"""What collectd's write_http sends: a JSON array of value lists, or PUTVAL lines.

    in   [{"values":[1,2],"dstypes":["derive","derive"],"dsnames":["rx","tx"],"time":1480959973.476,
           "host":"a","plugin":"interface","plugin_instance":"eth0","type":"if_octets",...}]
         PUTVAL a/interface-eth0/if_octets interval=10.000 1480959973.476:1:2
    out  Parsed: a run a value; values that are null or U are dropped and counted

Series are named as collectd's own write_prometheus and Prometheus' collectd_exporter name them:
`collectd_interface_if_octets_rx_total{instance="a",interface="eth0"}`. The type alone names a
series whose plugin is called the same; `_total` marks counters and derivatives; the type's
instance is the label `type`, or the plugin's where the plugin has none. A PUTVAL line does not say
what its values are: `tsdb.parse.collectd_types` knows.

Price: 10 µs a value.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

from tsdb.batch import Parsed
from tsdb.codec.resolution import Resolution
from tsdb.errors import InvalidInput, LimitExceeded
from tsdb.index.quoting import shown
from tsdb.parse import collectd_types, json_text, line_numbers, times
from tsdb.parse.json_text import Item, Number, Object
from tsdb.parse.listed_points import ListedPoints, canonical

__all__ = ["FORM", "ValueList", "canonical", "parse", "parse_json", "parse_putval"]

FORM = "collectd"
COUNTERS = ("counter", "derive")
PREFIX = "collectd_"
_PUTVAL = re.compile(r'putval[ \t]+(?:"((?:[^"\\]|\\.)*)"|(\S+))[ \t]+(.*)', re.IGNORECASE)
_ESCAPED = re.compile(r"\\(.)")
_WRONG = re.compile(r"[^a-zA-Z0-9_:]")


@dataclass(frozen=True, slots=True)
class ValueList:
    """Values of one moment. `kinds[i]` is whether value i counts up; None is no value."""

    host: str
    plugin: str
    plugin_instance: str
    type: str
    type_instance: str
    ticks: int
    names: tuple[str, ...]
    kinds: tuple[bool, ...]
    values: tuple[float | None, ...]

    def series(self) -> Iterator[str]:
        """Metric names, one for each value."""
        stem = self.type if self.plugin == self.type else f"{self.plugin}_{self.type}"
        for name, counts_up in zip(self.names, self.kinds, strict=True):
            own = "" if name == "value" else f"_{name}"
            yield _WRONG.sub("_", f"{PREFIX}{stem}{own}{'_total' if counts_up else ''}")

    def labels(self) -> list[tuple[str, str]]:
        plugin = _WRONG.sub("_", self.plugin).replace(":", "_")
        found = [("instance", self.host)]
        if self.plugin_instance:
            found.append((plugin, self.plugin_instance))
        if self.type_instance:
            found.append(("type" if self.plugin_instance else plugin, self.type_instance))
        return found


def parse(body: bytes, resolution: Resolution, now_ticks: int) -> Parsed:
    """Either form, told apart by its first character."""
    if body.lstrip()[:1] in (b"[", b"{"):
        return parse_json(body, resolution)
    return parse_putval(body, resolution, now_ticks)


def parse_json(body: bytes, resolution: Resolution) -> Parsed:
    found = json_text.decode(body)
    entries = found if isinstance(found, list) else [found]
    listed = ListedPoints()
    scale = times.decimal_exponent(resolution)
    for number, entry in enumerate(entries, 1):
        try:
            _add(listed, _of_entry(entry, scale))
        except InvalidInput as error:
            _refuse(listed, f"entry {number}", error)
    return listed.parsed(FORM)


def parse_putval(body: bytes, resolution: Resolution, now_ticks: int) -> Parsed:
    listed = ListedPoints()
    scale = times.decimal_exponent(resolution)
    for number, line in enumerate(body.split(b"\n"), 1):
        text = line.strip()
        if not text:
            continue
        try:
            for values in _of_putval(text, scale, now_ticks):
                _add(listed, values)
        except InvalidInput as error:
            _refuse(listed, f"line {number}", error)
    return listed.parsed(FORM)


def _refuse(listed: ListedPoints, place: str, error: InvalidInput) -> None:
    if isinstance(error, LimitExceeded) and error.limit == "POINTS_PER_REQUEST_MAX":
        raise error
    listed.refused.add(f"{place}: {error}")


def _add(listed: ListedPoints, values: ValueList) -> None:
    labels = values.labels()
    for name, value in zip(values.series(), values.values, strict=True):
        if value is None or math.isnan(value):
            listed.dropped += 1
        else:
            listed.append(name, labels, values.ticks, value)


# --- JSON ---------------------------------------------------------------------------------------


def _of_entry(entry: Item, scale: int) -> ValueList:
    if not isinstance(entry, Object):
        raise InvalidInput(f"it is {json_text.kind_of(entry)}, not an object")
    if entry.get("values") is None and entry.get("severity") is not None:
        raise InvalidInput("it is a notification, which is not kept")
    values = tuple(_value(item) for item in entry.array("values"))
    names = tuple(_word(item, "dsnames") for item in entry.array("dsnames"))
    kinds = tuple(_word(item, "dstypes") in COUNTERS for item in entry.array("dstypes"))
    if not len(values) == len(names) == len(kinds):
        raise InvalidInput(
            f"{len(values)} values but {len(names)} dsnames and {len(kinds)} dstypes"
        )
    moment = entry.get("time")
    if not isinstance(moment, Number):
        raise InvalidInput(f"time is {json_text.kind_of(moment)}, not a number of seconds")
    return ValueList(
        _text(entry, "host"),
        _named(entry, "plugin"),
        _text(entry, "plugin_instance"),
        _named(entry, "type"),
        _text(entry, "type_instance"),
        times.ticks_from_decimal(moment, scale),
        names,
        kinds,
        values,
    )


def _value(item: Item) -> float | None:
    return None if item is None else json_text.float_of(item)


def _word(item: Item, name: str) -> str:
    if not isinstance(item, str) or isinstance(item, Number):
        raise InvalidInput(f"{name} holds {json_text.kind_of(item)}")
    return item


def _text(entry: Object, name: str) -> str:
    item = entry.get(name)
    return "" if item is None else _word(item, name)


def _named(entry: Object, name: str) -> str:
    text = _text(entry, name)
    if not text:
        raise InvalidInput(f'"{name}" is missing')
    return text


# --- PUTVAL -------------------------------------------------------------------------------------


def _of_putval(line: bytes, scale: int, now_ticks: int) -> Iterator[ValueList]:
    try:
        found = _PUTVAL.fullmatch(line.decode())
    except UnicodeDecodeError as error:
        raise InvalidInput(f"not UTF-8 at byte {error.start + 1}") from error
    if found is None:
        raise InvalidInput("it is not like PUTVAL host/plugin/type interval=10 time:value")
    identifier = found[2] if found[1] is None else _ESCAPED.sub(r"\1", found[1])
    parts = identifier.split("/", 2)
    if len(parts) != 3:
        raise InvalidInput(f"identifier {shown(identifier)} is not host/plugin/type")
    plugin, _, plugin_instance = parts[1].partition("-")
    kind, _, type_instance = parts[2].partition("-")
    if not plugin or not kind:
        raise InvalidInput(f"identifier {shown(identifier)} is not host/plugin/type")
    for word in found[3].split():
        if "=" in word:
            continue  # an option, such as interval=10.000
        moment, *texts = word.split(":")
        if not texts:
            raise InvalidInput(f"{shown(word)} is not time:value")
        ticks = _ticks(moment, scale, now_ticks)
        names = collectd_types.value_names(kind, len(texts))
        kinds = tuple(collectd_types.counts_up(kind, name) for name in names)
        values = tuple(None if text == "U" else _number(text) for text in texts)
        yield ValueList(
            parts[0], plugin, plugin_instance, kind, type_instance, ticks, names, kinds, values
        )


def _ticks(text: str, scale: int, now_ticks: int) -> int:
    if text == "N":
        return now_ticks
    if not line_numbers.NUMBER.fullmatch(text):
        raise InvalidInput(f"time {shown(text)} is not a number of seconds")
    return times.ticks_from_decimal(text, scale)


def _number(text: str) -> float | None:
    return line_numbers.float_of(text.encode())
