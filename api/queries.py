"""What query strings may say: parameters by route, and times to ticks.

    in   text
    out  checked parameters; ranges in ticks of the database

A parameter that a route does not know is refused: a misspelt `strat=` would otherwise answer a
question nobody asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import parse_qsl

import orjson
from pydantic import BaseModel, ConfigDict, Field

from api.times import parse_time
from tsdb import limits
from tsdb.commit.request import Ack
from tsdb.errors import InvalidInput

if TYPE_CHECKING:
    from tsdb.database.database import Database

__all__ = [
    "DeleteQuery",
    "ExportQuery",
    "ListQuery",
    "ReadQuery",
    "WriteQuery",
    "ack_of",
    "ack_of_word",
    "parameters_of",
    "span",
]

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1
TIME = "RFC 3339, Unix seconds with a fraction, a date, `now` or `now-1h30m`"
Aggregate = Literal["avg", "count", "first", "last", "max", "min", "sum"]
Start = Annotated[str | None, Field(description=f"First moment of the range, inclusive: {TIME}.")]
End = Annotated[str | None, Field(description="Last moment of the range, inclusive.")]


class _Query(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ReadQuery(_Query):
    start: Start = None
    end: End = None
    step: str | None = Field(
        None, description="Fold points into buckets of this length (`30s`, `5m`) from `start` on."
    )
    agg: Aggregate | None = Field(
        None, description="How a bucket's points become one (needs `step`; `avg` unless given)."
    )
    limit: int | None = Field(
        None,
        ge=-limits.POINTS_PER_SELECT_MAX,
        le=limits.POINTS_PER_SELECT_MAX,
        description="At most this many points: the first n, or the last n of -n.",
    )


class DeleteQuery(_Query):
    start: Start = None
    end: End = None


class ListQuery(_Query):
    match: str | None = Field(None, description='Selector, such as `cpu{host=~"a|b"}`.')
    prefix: str | None = Field(None, description="What the metric name starts with.")
    after: str | None = Field(None, description="`next` of the page before.")
    limit: int = Field(
        1000, ge=1, le=limits.KEYS_PER_ANSWER_MAX, description="At most this many keys."
    )


class ExportQuery(_Query):
    match: list[str] = Field(
        min_length=1,
        max_length=limits.MATCHERS_PER_SELECTOR_MAX,
        alias="match[]",
        description="Selector; may be repeated. A series that several match comes once.",
        examples=[['cpu{host="a"}']],
    )
    start: Start = None
    end: End = None


class WriteQuery(_Query):
    ack: Ack = Field(
        Ack.DISK,
        description="What the answer means: `disk` fsynced and visible, `memory` visible and "
        "handed to the operating system, `applied` as `disk` (differs in a cluster).",
    )


def ack_of(query_string: bytes) -> Ack:
    """The `ack` of a write; its only parameter."""
    if not query_string:
        return Ack.DISK
    ack = Ack.DISK
    for name, value in parse_qsl(query_string.decode("latin-1"), keep_blank_values=True):
        if name != "ack":
            raise InvalidInput(f"query parameter {name!r} is unknown; there is ack")
        ack = ack_of_word(value)
    return ack


def ack_of_word(value: str) -> Ack:
    if value not in list(Ack):
        raise InvalidInput(f"ack={value!r} is not one of {', '.join(Ack)}")
    return Ack(value)


def parameters_of(body: bytes) -> dict[str, Any]:
    """Parameters that come as a JSON object instead of a query string."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidInput(f"the body is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise InvalidInput("the body is not an object")
    return document


def span(database: Database, start: str | None, end: str | None) -> tuple[int, int]:
    """The range in ticks; what is not given is open. Raises InvalidInput naming both ends."""
    first = INT64_MIN if start is None else _tick(database, "start", start)
    last = INT64_MAX if end is None else _tick(database, "end", end)
    if last < first:
        raise InvalidInput(f"end={end} is before start={start}")
    return first, last


def _tick(database: Database, name: str, text: str) -> int:
    ticks_per_s = database.resolution.ticks_per_s
    try:
        return parse_time(text, ticks_per_s=ticks_per_s, now_ticks=database.now_ticks())
    except InvalidInput as error:
        raise InvalidInput(f"{name}: {error}") from error
