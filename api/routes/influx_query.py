"""Answers to the InfluxQL that clients send beside writes (`api.routes.influxql`).

    in   statements, which database they are about
    out  {"results":[{"statement_id":0,"series":[{"name","columns","values"}]}]}

A series is called measurement, separator, field, and nothing keeps where one ended: given a
measurement, the rest of the name is the field; without one, names are split at their first
separator. A series without a separator is the field `value` of a measurement of its name.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson
from starlette.responses import Response

from api.errors import Forbidden, refusal
from api.exchange import Answer
from api.node import Node
from api.routes.influxql import Condition, Create, Select, Show, Statement, Where, parse
from api.times import time_text
from api.work import Reply, Work
from tsdb import limits
from tsdb.errors import InvalidInput, TSDBError
from tsdb.parse.times import INT64_MAX, INT64_MIN

if TYPE_CHECKING:
    from tsdb.batch import U32s
    from tsdb.database.database import Database
    from tsdb.index.matchers import Matcher
    from tsdb.index.reader import Reader

__all__ = ["Names", "answer", "buckets", "matchers_of"]

NAME, BARE_FIELD = "__name__", "value"
NS_PER_S = 10**9
EPOCHS_NS = {"ns": 1, "n": 1, "u": 1_000, "us": 1_000, "µ": 1_000, "ms": 10**6, "s": 10**9,
             "m": 60 * 10**9, "h": 3600 * 10**9}  # fmt: skip
POLICY = ["autogen", "0s", "168h0m0s", 1, True]
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Names:
    """How series are named; see `tsdb.parse.line_protocol_keys.Naming`."""

    label: str
    separator: str

    def split(self, name: str) -> tuple[str, str]:
        """(measurement, field), as far as a name tells."""
        if not self.separator:
            return name, BARE_FIELD
        measurement, _, field = name.partition(self.separator)
        return measurement, field or BARE_FIELD

    def of_field(self, measurement: str, field: str) -> tuple[str, ...]:
        """Names that a field may have."""
        bare = (measurement,) if field == BARE_FIELD else ()
        return (measurement + self.separator + field, *bare)

    def pattern(self, measurement: str) -> str:
        """Matches the names of all its fields."""
        return f"{escaped(measurement)}(?:{escaped(self.separator)}.+)?"

    def field(self, name: str, measurement: str) -> str:
        return name.removeprefix(measurement).removeprefix(self.separator) or BARE_FIELD


async def answer(node: Node, query: dict[str, str], headers: list[tuple[bytes, bytes]]) -> Response:
    """GET or POST /query."""
    try:
        epoch = query.get("epoch", "")
        if epoch and epoch not in EPOCHS_NS:
            raise InvalidInput(f"epoch={epoch!r} is not one of {', '.join(EPOCHS_NS)}")
        if not query.get("q"):
            raise InvalidInput('missing required parameter "q"')
        database = node.database()
        now_ns = database.now_ticks() * (NS_PER_S // database.resolution.ticks_per_s)
        statements = parse(query["q"], now_ns)
    except TSDBError as error:
        return Reply(_refused(error, headers))
    names = Names(node.settings.influx_db_label, node.settings.influx_separator)
    asked = functools.partial(_Asked, names=names, database_name=query.get("db", ""), epoch=epoch)
    return Work(node, functools.partial(_answered, statements, asked, headers), node.readers)


async def answer_of_writer(
    node: Node, query: dict[str, str], headers: list[tuple[bytes, bytes]]
) -> Response:
    """POST /query by an account that may not read: agents create their database before they write.

    Whatever else it asks is not looked into.
    """
    try:
        creates = all(isinstance(one, Create) for one in parse(query.get("q", ""), 0))
    except TSDBError:
        creates = False
    if not creates:
        told = "this account may write: of InfluxQL it may say CREATE DATABASE, and nothing else"
        return Reply(_refused(Forbidden(told), headers))
    return await answer(node, query, headers)


def _answered(
    statements: list[Statement],
    asked: Callable[[Database], _Asked],
    headers: list[tuple[bytes, bytes]],
    database: Database,
) -> Answer:
    """Runs in a reader thread."""
    about = asked(database)
    results: list[Json] = []
    try:
        for i, statement in enumerate(statements):
            series = about.series(statement)
            results.append({"statement_id": i} | ({"series": series} if series else {}))
    except TSDBError as error:
        return _refused(error, headers)
    body = orjson.dumps({"results": results}, option=orjson.OPT_APPEND_NEWLINE)
    return Answer(body, headers=list(headers))


def _refused(error: TSDBError, headers: list[tuple[bytes, bytes]]) -> Answer:
    refused = refusal(error)
    body = orjson.dumps({"error": refused.message}, option=orjson.OPT_APPEND_NEWLINE)
    return Answer(body, refused.status, headers=[*headers, *refused.headers])


def buckets(database: Database, *, label: str, name: str | None) -> Answer:
    """Databases as version 2 lists buckets."""
    found = [text for text in _databases(database, label) if name in (None, text)]
    document = {
        "links": {"self": "/api/v2/buckets"},
        "buckets": [
            {"id": text.encode().hex()[:16].ljust(16, "0"), "name": text, "type": "user",
             "retentionRules": []}
            for text in found
        ],
    }  # fmt: skip
    return Answer(orjson.dumps(document))


def _databases(database: Database, label: str) -> list[str]:
    return sorted(database.label_values(label)) if label else []


def matchers_of(
    names: Names, database_name: str, measurement: str, tags: Iterable[Condition]
) -> list[Matcher]:
    """What a statement is about, names of fields aside."""
    from tsdb.index.matchers import Matcher, Op

    found = []
    if database_name and names.label:
        found.append(Matcher(names.label, Op.EQUAL, database_name))
    if measurement:
        found.append(Matcher(NAME, Op.MATCH, names.pattern(measurement)))
    for one in tags:
        op = Op(one.op)
        value = f"(?s:.*(?:{one.value}).*)" if op.regex else one.value
        found.append(Matcher(one.tag, op, value))
    return found


def escaped(text: str) -> str:
    """`text` as a pattern that matches it alone."""
    return "".join(
        c if c.isalnum() or c == "_" or ord(c) > 127 else f"\\x{{{ord(c):x}}}" for c in text
    )


class _Asked:
    """A query of one database."""

    def __init__(self, database: Database, *, names: Names, database_name: str, epoch: str) -> None:
        self._database, self._names = database, names
        self._name, self._epoch = database_name, epoch

    def series(self, statement: Statement) -> list[Json]:
        match statement:
            case Create():
                return []
            case Show(what="databases"):
                rows = [[name] for name in _databases(self._database, self._names.label)]
                return [{"name": "databases", "columns": ["name"], "values": rows}]
            case Show(what="retention policies"):
                columns = ["name", "duration", "shardGroupDuration", "replicaN", "default"]
                return [{"columns": columns, "values": [POLICY]}]
            case Show():
                return self._show(statement)
            case Select():
                return self._select(statement)

    # --- SHOW -----------------------------------------------------------------------------------

    def _show(self, show: Show) -> list[Json]:
        measurements = self._measurements(show)
        if show.what == "measurements":
            rows = _page(show, [[name] for name in measurements])
            return [{"name": "measurements", "columns": ["name"], "values": rows}] if rows else []
        reading: dict[str, tuple[list[str], Callable[[str, Reader, U32s], list[list[str]]]]] = {
            "field keys": (["fieldKey", "fieldType"], self._field_keys),
            "tag keys": (["tagKey"], self._tag_keys),
            "tag values": (["key", "value"], functools.partial(self._tag_values, show.keys)),
        }
        columns, read = reading[show.what]
        found = []
        for name in measurements:
            rows = _page(show, read(name, *self._found(show, name)))
            if rows:
                found.append({"name": name, "columns": columns, "values": rows})
        return found

    def _measurements(self, show: Show) -> list[str]:
        index, refs = self._found(show, show.measurement)
        if show.measurement:
            return [show.measurement] if refs.size else []
        names = index.label_values(NAME, refs)
        return sorted({self._names.split(name)[0] for name in names})

    def _found(self, show: Show, measurement: str) -> tuple[Reader, U32s]:
        database = show.database or self._name
        found = matchers_of(self._names, database, measurement, show.where.tags)
        return self._database.find(tuple(found))

    def _field_keys(self, measurement: str, index: Reader, refs: U32s) -> list[list[str]]:
        names = index.label_values(NAME, refs)
        return sorted([self._names.field(name, measurement), "float"] for name in names)

    def _tag_keys(self, measurement: str, index: Reader, refs: U32s) -> list[list[str]]:
        hidden = (NAME, self._names.label)
        return [[name] for name in sorted(index.label_names(refs)) if name not in hidden]

    def _tag_values(
        self, keys: tuple[str, ...], measurement: str, index: Reader, refs: U32s
    ) -> list[list[str]]:
        return [[key, value] for key in keys for value in sorted(index.label_values(key, refs))]

    # --- SELECT ---------------------------------------------------------------------------------

    def _select(self, select: Select) -> list[Json]:
        database = select.database or self._name
        matchers = matchers_of(self._names, database, select.measurement, select.where.tags)
        start, end = self._ticks(select.where)
        if end < start:
            return []
        found = self._database.select(matchers, start, end, points_max=limits.INFLUXQL_POINTS_MAX)
        rows: dict[tuple[int, tuple[tuple[str, str], ...]], dict[str, float]] = {}
        fields: set[str] = set()
        tags: set[str] = set()
        for one in found:
            field = self._names.field(one.labels.name, select.measurement)
            if select.fields and field not in select.fields:
                continue
            own = tuple(p for p in one.labels.items() if p[0] not in (NAME, self._names.label))
            fields.add(field)
            tags.update(name for name, _ in own)
            for ticks, value in zip(one.timestamps.tolist(), one.values.tolist(), strict=True):
                rows.setdefault((ticks, own), {})[field] = value
        if not rows:
            return []
        columns = list(select.fields) or sorted(fields | tags)
        ordered = sorted(rows, reverse=select.page.descending)
        lines = [
            [self._time(ticks), *(_cell(name, rows[ticks, own], own) for name in columns)]
            for ticks, own in _page(select, ordered)
        ]
        if not lines:
            return []
        return [{"name": select.measurement, "columns": ["time", *columns], "values": lines}]

    def _ticks(self, where: Where) -> tuple[int, int]:
        """The range in ticks: those that lie within it."""
        tick_ns = NS_PER_S // self._database.resolution.ticks_per_s
        start, end = -(-where.start_ns // tick_ns), where.end_ns // tick_ns
        return (
            INT64_MIN if where.start_ns == INT64_MIN else start,
            INT64_MAX if where.end_ns == INT64_MAX else end,
        )

    def _time(self, ticks: int) -> int | str:
        per_s = self._database.resolution.ticks_per_s
        if not self._epoch:
            return time_text(ticks, ticks_per_s=per_s)
        return ticks * (NS_PER_S // per_s) // EPOCHS_NS[self._epoch]


def _cell(
    name: str, values: dict[str, float], tags: tuple[tuple[str, str], ...]
) -> float | str | None:
    """A field of the row, or a tag of it."""
    return values[name] if name in values else dict(tags).get(name)


def _page(statement: Show | Select, rows: list[Any]) -> list[Any]:
    page = statement.page
    last = None if page.limit is None else page.offset + page.limit
    return rows[page.offset : last]
