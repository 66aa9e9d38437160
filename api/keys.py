"""Keys of the key-value API: exactly one series each.

    in   the path behind /kv/, as it came; label sets
    out  label sets; matchers that mean one series and no other; the text of a key

A key without a brace is a metric name as it stands, whatever else is in it; with one it is
`name{label="v"}`. A selector means every series that has at least these labels, a key those with
exactly these: so the labels that other series have beside them must be empty.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from api.errors import NotFound
from tsdb import limits
from tsdb.errors import InvalidInput, LimitExceeded

if TYPE_CHECKING:
    from tsdb.database.database import Database
    from tsdb.index.labels import Labels
    from tsdb.index.matchers import Matcher

__all__ = [
    "PREFIX",
    "canonical_of",
    "exactly",
    "labels_of",
    "labels_of_text",
    "selector_of",
    "text_of",
]

PREFIX = b"/kv/"
NAME = "__name__"


def labels_of(raw_path: bytes) -> Labels:
    """The label set that a path names. Raises InvalidInput."""
    if not raw_path.startswith(PREFIX):
        raise NotFound("there is nothing at this path: the slashes of /kv/ may not be encoded")
    try:
        text = unquote_to_bytes(raw_path[len(PREFIX) :]).decode()
    except UnicodeDecodeError as error:
        raise InvalidInput("the key in the path is not valid UTF-8") from error
    if not text:
        raise InvalidInput("the key in the path is empty; GET /kv lists keys")
    return labels_of_text(text)


def labels_of_text(text: str) -> Labels:
    """The label set that a key's text names. Raises InvalidInput."""
    from tsdb.index.labels import Labels
    from tsdb.index.selector import parse_series

    return parse_series(text) if "{" in text else Labels({NAME: text})


@functools.lru_cache(maxsize=1 << 14)
def canonical_of(raw_path: bytes) -> bytes:
    """The canonical key that a path names; the way of every write, so it is remembered."""
    from tsdb.index.labels import canonical

    return canonical(labels_of(raw_path))


def text_of(labels: Labels) -> str:
    """The text that names these labels in a path, before percent-encoding."""
    name = labels.name
    return name if len(labels) == 1 and name and "{" not in name else str(labels)


def exactly(database: Database, labels: Labels) -> tuple[Matcher, ...]:
    """Matchers that only the series with these labels fulfils; NotFound if there is none."""
    from tsdb.index.matchers import Matcher, Op

    matchers = tuple(Matcher(name, Op.EQUAL, value) for name, value in labels.items())
    index, refs = database.find(matchers)
    others = [name for name in index.label_names(refs) if name not in labels]
    if others:
        matchers += tuple(Matcher(name, Op.EQUAL, "") for name in others)
        _, refs = database.find(matchers)
    if not refs.size:
        raise NotFound(f"there is no series {text_of(labels)}")
    return matchers


def selector_of(matchers: tuple[Matcher, ...]) -> str:
    """The matchers as text, as a delete is logged."""
    if len(matchers) > limits.MATCHERS_PER_SELECTOR_MAX:
        raise LimitExceeded(
            "too many labels distinguish this series from others",
            limit="MATCHERS_PER_SELECTOR_MAX",
            value=limits.MATCHERS_PER_SELECTOR_MAX,
        )
    return "{" + ",".join(map(str, matchers)) + "}"
