"""The part of InfluxQL that clients need beside writing: text to statements.

    in   text of one or more statements, parted by semicolons; now in nanoseconds
    out  Show, Select, Create; InvalidInput says what is not understood

    CREATE DATABASE name ...
    SHOW DATABASES | MEASUREMENTS | FIELD KEYS | TAG KEYS | RETENTION POLICIES
    SHOW TAG VALUES [FROM m] WITH KEY = k | IN (k, ...)
    SELECT * | field, ... FROM m [WHERE ...] [ORDER BY time [DESC]] [LIMIT n] [OFFSET n]

Conditions are joined by AND: `tag = 'x'`, `!=`, `=~ /re/`, `!~ /re/`, and `time` against a date, a
number with a unit (nanoseconds without) or `now() - 1h`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from tsdb import limits
from tsdb.codec.resolution import Resolution
from tsdb.errors import InvalidInput, LimitExceeded
from tsdb.index.quoting import shown
from tsdb.parse import times

__all__ = ["Condition", "Create", "Select", "Show", "Statement", "parse"]

UNITS_NS = {"ns": 1, "u": 1_000, "µ": 1_000, "us": 1_000, "ms": 10**6, "s": 10**9,
            "m": 60 * 10**9, "h": 3600 * 10**9, "d": 86_400 * 10**9,
            "w": 7 * 86_400 * 10**9}  # fmt: skip
STATEMENTS_MAX = 32
NUMBER_DIGITS_MAX = 19
NAME, TEXT, REGEX, NUMBER, SIGN = "name", "text", "regex", "number", "sign"
_TOKEN = re.compile(
    r"""\s*(?:(?P<name>"(?:[^"\\]|\\.)*+"|[^\W\d]\w*+)|(?P<text>'(?:[^'\\]|\\.)*+')"""
    r"""|(?P<number>\d++(?:ns|us|ms|[uµsmhdw])?+)|(?P<sign>=~|!~|<=|>=|!=|<>|[-+*,.;()=<>/]))""",
    re.S,
)
_REGEX = re.compile(r"\s*/((?:[^/\\]|\\.)*+)/", re.S)
_ESCAPE = re.compile(r"\\(.)", re.S)
SHOWS = {
    ("DATABASES",): "databases",
    ("MEASUREMENTS",): "measurements",
    ("FIELD", "KEYS"): "field keys",
    ("TAG", "KEYS"): "tag keys",
    ("TAG", "VALUES"): "tag values",
    ("RETENTION", "POLICIES"): "retention policies",
}


@dataclass(frozen=True, slots=True)
class Condition:
    """`tag op value`; op is = != =~ !~. A regex matches anywhere."""

    tag: str
    op: str
    value: str


@dataclass(slots=True)
class Where:
    """Conditions on tags, and the range of times in nanoseconds, both ends inclusive."""

    tags: list[Condition] = field(default_factory=list)
    start_ns: int = times.INT64_MIN
    end_ns: int = times.INT64_MAX


@dataclass(slots=True)
class Page:
    descending: bool = False
    limit: int | None = None
    offset: int = 0


@dataclass(slots=True)
class Create:
    database: str


@dataclass(slots=True)
class Show:
    what: str
    database: str = ""
    measurement: str = ""
    keys: tuple[str, ...] = ()
    where: Where = field(default_factory=Where)
    page: Page = field(default_factory=Page)


@dataclass(slots=True)
class Select:
    fields: tuple[str, ...]  # empty: all
    measurement: str
    database: str = ""
    where: Where = field(default_factory=Where)
    page: Page = field(default_factory=Page)


Statement = Create | Show | Select


def parse(text: str, now_ns: int) -> list[Statement]:
    """Statements in order; InvalidInput says where it stops making sense."""
    if len(text) > limits.SELECTOR_BYTES_MAX:
        raise LimitExceeded(
            "the query is too long", limit="SELECTOR_BYTES_MAX", value=limits.SELECTOR_BYTES_MAX
        )
    reader = _Reader(text, now_ns)
    found: list[Statement] = []
    while not reader.ended():
        if reader.takes(";"):
            continue
        found.append(reader.statement())
        if len(found) > STATEMENTS_MAX:
            raise InvalidInput(f"more than {STATEMENTS_MAX} statements at once")
        if not reader.ended() and not reader.takes(";"):
            raise reader.error("the end of the statement")
    if not found:
        raise InvalidInput("error parsing query: there is no statement")
    return found


class _Reader:
    """A position in the text."""

    def __init__(self, text: str, now_ns: int) -> None:
        self._text, self._now_ns = text, now_ns
        self._at = 0

    def statement(self) -> Statement:
        if self.word("CREATE"):
            self.need("DATABASE")
            name = self.name()
            if self.word("WITH"):  # how long to keep what and how often: ours is kept for ever
                while not self.ended() and not self.sees(";"):
                    self.token()
            return Create(name)
        if self.word("SHOW"):
            return self.show()
        if not self.word("SELECT"):
            raise self.error("CREATE DATABASE, SHOW or SELECT")
        return self.select()

    def show(self) -> Show:
        what = self.shown()
        show = Show(what)
        if self.word("ON"):
            show.database = self.name()
        if self.word("FROM"):
            database, show.measurement = self.source()
            show.database = database or show.database
        if self.word("WITH"):
            if what == "measurements":
                self.need("MEASUREMENT")
                self.need_sign("=")
                show.measurement = self.name()
            else:
                self.need("KEY")
                show.keys = self.keys()
        if what == "tag values" and not show.keys:
            raise self.error("WITH KEY = and a tag")
        show.where = self.where()
        show.page = self.page()
        return show

    def shown(self) -> str:
        start = self._at
        for words, what in SHOWS.items():
            self._at = start
            if all(self.word(word) for word in words):
                return what
        self._at = start
        raise self.error("DATABASES, MEASUREMENTS, FIELD KEYS, TAG KEYS or TAG VALUES")

    def select(self) -> Select:
        fields: list[str] = []
        if not self.takes("*"):
            fields.append(self.column())
            while self.takes(","):
                fields.append(self.column())
        self.need("FROM")
        database, measurement = self.source()
        where = self.where()
        return Select(tuple(fields), measurement, database, where, self.page())

    def column(self) -> str:
        name = self.name()
        if self.sees("("):
            raise self.error(
                "no functions: read the points and fold them, or ask GET /kv?step=&agg="
            )
        return name

    def keys(self) -> tuple[str, ...]:
        if self.takes("="):
            return (self.name(),)
        self.need("IN")
        self.need_sign("(")
        found = [self.name()]
        while self.takes(","):
            found.append(self.name())
        self.need_sign(")")
        return tuple(found)

    def source(self) -> tuple[str, str]:
        """(database or empty, measurement) of m, rp.m, db.rp.m, db..m."""
        parts = [self.name()]
        while self.takes("."):
            parts.append("" if self.sees(".") else self.name())
        if len(parts) > 3:
            raise self.error("a measurement, with its retention policy and database in front")
        return (parts[0] if len(parts) == 3 else ""), parts[-1]

    def where(self) -> Where:
        where = Where()
        if not self.word("WHERE"):
            return where
        while True:
            opened = 0
            while self.takes("("):
                opened += 1
            self.condition(where)
            for _ in range(opened):
                self.need_sign(")")
            if not self.word("AND"):
                return where

    def condition(self, where: Where) -> None:
        name = self.name()
        op = self.token("a comparison")[1]
        if name.lower() == "time":
            moment = self.moment()
            if op in ("=", ">", ">="):
                where.start_ns = max(where.start_ns, moment + (op == ">"))
            if op in ("=", "<", "<="):
                where.end_ns = min(where.end_ns, moment - (op == "<"))
            if op not in ("=", ">", ">=", "<", "<="):
                raise self.error("=, <, <=, > or >= after time")
            return
        if op in ("=~", "!~"):
            found = _REGEX.match(self._text, self._at)
            if found is None:
                raise self.error("a regular expression between slashes")
            self._at = found.end()
            where.tags.append(Condition(name, op, found[1].replace("\\/", "/")))
            return
        if op not in ("=", "!=", "<>"):
            raise self.error("=, !=, =~ or !~ after a tag: values are compared by whom asks")
        kind, text = self.token("a text in single quotes")
        if kind != TEXT:
            raise self.error("a text in single quotes: conditions are on tags and time")
        where.tags.append(Condition(name, "=" if op == "=" else "!=", text))

    def moment(self) -> int:
        """Nanoseconds of a date, a number with its unit, or now(), and what is added."""
        kind, text = self.token("a time")
        if kind == TEXT:
            moment = times.lenient_time(text, Resolution.NS)
        elif kind == NUMBER:
            moment = self.nanoseconds(text)
        elif kind == NAME and text.lower() == "now" and self.takes("("):
            self.need_sign(")")
            moment = self._now_ns
        elif text == "-":
            moment = -self.nanoseconds(self.token("a number")[1])
        else:
            raise self.error("a date in single quotes, a number or now()")
        while self.sees("-") or self.sees("+"):
            sign = -1 if self.takes("-") else 1
            if sign > 0:
                self.takes("+")
            moment += sign * self.nanoseconds(self.token("a duration")[1])
        return max(times.INT64_MIN, min(moment, times.INT64_MAX))

    def nanoseconds(self, text: str) -> int:
        digits = text.rstrip("nuµmshdw")
        if not digits.isascii() or not digits.isdigit() or len(digits) > NUMBER_DIGITS_MAX:
            raise self.error("a whole number with a unit")
        return int(digits) * UNITS_NS.get(text[len(digits) :], 1)

    def page(self) -> Page:
        page = Page()
        if self.word("ORDER"):
            self.need("BY")
            if self.name().lower() != "time":
                raise self.error("time: answers are ordered by nothing else")
            page.descending = self.word("DESC") or (self.word("ASC") and False)
        if self.word("LIMIT"):
            page.limit = self.count()
        if self.word("OFFSET"):
            page.offset = self.count()
        return page

    def count(self) -> int:
        kind, text = self.token("a number")
        if kind != NUMBER or not text.isdecimal() or len(text) > NUMBER_DIGITS_MAX:
            raise self.error("a whole number")
        return int(text)

    # --- tokens ---------------------------------------------------------------------------------

    def ended(self) -> bool:
        return not self._text[self._at :].strip()

    def token(self, wanted: str = "more") -> tuple[str, str]:
        """(kind, text without quotes) of the next token."""
        found = _TOKEN.match(self._text, self._at)
        if found is None or found.lastgroup is None:
            raise self.error(wanted)
        self._at = found.end()
        text = found[found.lastgroup]
        if text[0] in "\"'":
            text = _ESCAPE.sub(r"\1", text[1:-1])
        return found.lastgroup, text

    def name(self) -> str:
        start = self._at
        kind, text = self.token("a name")
        if kind != NAME or not text:
            self._at = start
            raise self.error("a name")
        return text

    def sees(self, sign: str) -> bool:
        start = self._at
        found = self.takes(sign)
        self._at = start
        return found

    def takes(self, sign: str) -> bool:
        found = _TOKEN.match(self._text, self._at)
        if found is None or found.lastgroup != SIGN or found[SIGN] != sign:
            return False
        self._at = found.end()
        return True

    def need_sign(self, sign: str) -> None:
        if not self.takes(sign):
            raise self.error(sign)

    def word(self, word: str) -> bool:
        """Take a keyword, unquoted, in any case."""
        found = _TOKEN.match(self._text, self._at)
        if found is None or found.lastgroup != NAME or found[NAME].upper() != word:
            return False
        self._at = found.end()
        return True

    def need(self, word: str) -> None:
        if not self.word(word):
            raise self.error(word)

    def error(self, wanted: str) -> InvalidInput:
        rest = self._text[self._at :].strip() or "the end"
        return InvalidInput(
            f"error parsing query: at character {self._at + 1}, {shown(rest)}: expected {wanted}"
        )
