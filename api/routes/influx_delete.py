"""InfluxDB 2's delete: a range of time and a predicate.

    in   {"start": ..., "stop": ..., "predicate": "_measurement=\\"cpu\\" AND host=\\"a\\""}
    out  points deleted, durably; InvalidInput says what is not understood

A predicate joins `name="value"` by AND. Nothing keeps where the measurement ends in a series' name,
so `_measurement` alone is refused where it could mean another measurement as well: what is deleted
is never more than was asked. `_field` beside it says it exactly.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from api import keys
from api.queries import parameters_of
from api.routes.influx_query import NAME, Names, matchers_of
from api.routes.influxql import Condition
from tsdb.errors import InvalidInput
from tsdb.index.quoting import shown
from tsdb.parse import times

if TYPE_CHECKING:
    from tsdb.database.database import Database
    from tsdb.index.matchers import Matcher
    from tsdb.parse.line_protocol_keys import Naming

__all__ = ["delete_of"]

MEASUREMENT, FIELD = "_measurement", "_field"
_TERM = re.compile(
    r"""\s*(?P<name>"(?:[^"\\]|\\.)*+"|\w[\w.-]*+)\s*(?P<op>!=|==?)\s*(?P<value>"(?:[^"\\]|\\.)*+"|'(?:[^'\\]|\\.)*+'|\w[\w.-]*+)\s*""",
    re.S,
)
_AND = re.compile(r"and\b", re.I)
_ESCAPE = re.compile(r"\\(.)", re.S)


def delete_of(database: Database, body: bytes, naming: Naming) -> None:
    """Runs in a thread; returns when the delete is durable."""
    from tsdb.index.matchers import Matcher, Op

    document = _document(body)
    start, stop = (_tick(document, name, database) for name in ("start", "stop"))
    if stop < start:
        raise InvalidInput("stop is before start")
    conditions = _conditions(document.get("predicate") or "")
    measurements = [c for c in conditions if c.tag == MEASUREMENT]
    fields = [c for c in conditions if c.tag == FIELD]
    for one in (*measurements, *fields):
        if one.op != "=":
            raise InvalidInput(f"{one.tag} can only be compared by =")
    if fields and len(measurements) != 1:
        raise InvalidInput("_field needs _measurement beside it")
    if len(measurements) > 1 or len(fields) > 1:
        raise InvalidInput("_measurement and _field can be given once")
    names = Names(naming.label, naming.separator)
    measurement = measurements[0].value if measurements else ""
    tags = [c for c in conditions if c.tag not in (MEASUREMENT, FIELD)]
    matchers = matchers_of(names, naming.database, measurement, tags)
    if fields:
        exact = names.of_field(measurement, fields[0].value)[0]
        if naming.bare_value and fields[0].value == "value":
            exact = measurement
        matchers.append(Matcher(NAME, Op.EQUAL, exact))
    elif measurement:
        _check_unambiguous(database, names, measurement, matchers, (start, stop))
    if not matchers:
        raise InvalidInput("a delete needs a bucket or a predicate")
    database.delete(keys.selector_of(tuple(matchers)), start, stop)


def _check_unambiguous(
    database: Database,
    names: Names,
    measurement: str,
    matchers: list[Matcher],
    span: tuple[int, int],
) -> None:
    from tsdb.index.matchers import Matcher, Op

    if not names.separator:
        return
    index, refs = database.find(tuple(matchers))
    for name in sorted(index.label_values(NAME, refs)):
        if names.separator not in names.field(name, measurement):
            continue
        one = (*matchers, Matcher(NAME, Op.EQUAL, name))
        if database.series(one, *span):
            raise InvalidInput(
                f"measurement {shown(measurement)} may end elsewhere in series {shown(name)}: "
                "add _field to the predicate, or use DELETE /kv/{key}"
            )


def _document(body: bytes) -> dict[str, Any]:
    document = parameters_of(body)
    if not isinstance(document.get("predicate") or "", str):
        raise InvalidInput("predicate is not text")
    return document


def _tick(document: dict[str, Any], name: str, database: Database) -> int:
    text = document.get(name)
    if not isinstance(text, str):
        raise InvalidInput(f"{name} is missing: a time as 2026-08-01T12:00:00Z")
    return times.rfc3339(text, database.resolution)


def _conditions(predicate: str) -> list[Condition]:
    found: list[Condition] = []
    at = 0
    while predicate[at:].strip():
        term = _TERM.match(predicate, at)
        if term is None:
            raise InvalidInput(
                f'predicate at character {at + 1}: expected name="value", joined by AND'
            )
        op = "!=" if term["op"] == "!=" else "="
        found.append(Condition(_plain(term["name"]), op, _plain(term["value"])))
        at = term.end()
        joined = _AND.match(predicate, at)
        if joined is None:
            if predicate[at:].strip():
                raise InvalidInput(f"predicate at character {at + 1}: only AND joins conditions")
            break
        at = joined.end()
        if not predicate[at:].strip():
            raise InvalidInput("the predicate ends with AND")
    return found


def _plain(text: str) -> str:
    return _ESCAPE.sub(r"\1", text[1:-1]) if text[:1] in ('"', "'") else text
