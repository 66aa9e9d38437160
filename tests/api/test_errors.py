"""api.errors: every typed error has its status, and no body tells more than it should."""

from __future__ import annotations

import inspect
import json
import re

import pytest

from api import errors
from api.errors import (
    Forbidden,
    NotAcceptable,
    NotAllowed,
    NotFound,
    TooManyLogins,
    Unauthorized,
    UnsupportedMedia,
    refusal,
)
from tsdb import limits
from tsdb.errors import (
    CorruptionError,
    InvalidInput,
    LimitExceeded,
    NewerFormat,
    StorageFailed,
    TSDBError,
    Unavailable,
)


def limited(name: str) -> LimitExceeded:
    return LimitExceeded("too much", limit=name, value=7)


TABLE: list[tuple[TSDBError, int, str, bool]] = [
    (InvalidInput("point 3 is wrong"), 400, "bad_data", False),
    (limited("LABEL_VALUE_BYTES_MAX"), 400, "bad_data", False),
    (Unauthorized("who?"), 401, "unauthorized", False),
    (Forbidden("not from there"), 403, "forbidden", False),
    (NotFound("no series"), 404, "not_found", False),
    (NotAllowed("not that", ("GET", "HEAD")), 405, "not_allowed", False),
    (NotAcceptable("not so"), 406, "not_acceptable", False),
    (UnsupportedMedia("not that"), 415, "unsupported", False),
    (limited("BODY_BYTES_MAX"), 413, "too_large", False),
    (limited("POINTS_PER_REQUEST_MAX"), 413, "too_large", False),
    (limited("POINTS_PER_SELECT_MAX"), 422, "limit", False),
    (limited("SOMETHING_NEW_MAX"), 422, "limit", False),
    (limited("SERIES_MAX"), 429, "limit", True),
    (Unavailable("full", code="busy"), 429, "busy", True),
    (Unavailable("many", code="overloaded"), 503, "unavailable", True),
    (Unavailable("not yet", code="starting"), 503, "unavailable", True),
    (Unavailable("no more", code="closed"), 503, "unavailable", True),
    (Unavailable("disk full", code="disk_full"), 503, "unavailable", True),
    (StorageFailed("EIO on /srv/db/wal/7"), 503, "storage_failed", True),
    (CorruptionError("/srv/db/blocks/7", 12, "bad checksum"), 500, "corruption", False),
    (NewerFormat("/srv/db/MANIFEST", 2, 1), 500, "corruption", False),
    (TSDBError("KeyError in /srv/app.py"), 500, "internal", False),
]


@pytest.mark.parametrize(("error", "status", "kind", "retry"), TABLE, ids=lambda x: str(x)[:30])
def test_errors_meet_their_status(error: TSDBError, status: int, kind: str, retry: bool) -> None:
    refused = refusal(error)
    document = json.loads(refused.body())

    assert (refused.status, document["errorType"]) == (status, kind)
    assert document["status"] == "error"
    assert (b"retry-after" in dict(refused.headers)) is retry
    assert "/srv" not in document["error"]
    if isinstance(error, LimitExceeded):
        assert (document["limit"], document["limitValue"]) == (error.limit, 7)


def test_too_many_logins_say_when_to_come_back() -> None:
    refused = refusal(TooManyLogins(retry_after_s=17))

    assert (refused.status, dict(refused.headers)[b"retry-after"]) == (429, b"17")


def test_a_full_disk_is_not_asked_again_at_once() -> None:
    headers = dict(refusal(Unavailable("disk full", code="disk_full")).headers)

    assert int(headers[b"retry-after"]) >= 30


def test_the_table_in_the_docstring_is_the_table() -> None:
    told = set(re.findall(r"^    (\d{3})  ", inspect.getdoc(errors) or "", re.M)) or set(
        re.findall(r"^\s*(\d{3})  ", errors.__doc__ or "", re.M)
    )

    assert told == {str(status) for _, status, _, _ in TABLE}


def test_limits_are_sorted_by_names_that_exist() -> None:
    names = errors.TOO_LARGE | errors.WRONG | errors.SERIES

    assert {name for name in names if not hasattr(limits, name)} == set()
