"""What an error is to a client: one table from typed errors to status, kind and headers.

    in   TSDBError and the refusals HTTP itself knows
    out  Refusal: status, the JSON body {"status":"error","errorType":...,"error":...}, headers

The body names the culprit and, where one was passed, the limit and its value. It never holds a
traceback, a path or a version; the request id leads to the log line that has them.

    400  bad_data        the request is wrong                    do not repeat it
    401  unauthorized    no account, or none that is known       do not repeat it
    403  forbidden       this caller may not                     do not repeat it
    404  not_found       no such path or key
    405  not_allowed     no such method here; Allow names those
    406  not_acceptable  no answer in a form that Accept names
    413  too_large       a body passes a bound                   send less at once
    415  unsupported     a body in a form we do not know       send another form
    422  limit           a question passes a bound               ask for less
    422  execution       the points do not allow the query
    429  limit, busy     new series refused; the queue is full;  retry later
                         too many failed logins
    500  internal        our bug
    500  corruption      stored bytes contradict themselves
    503  timeout         a query took too long
    503  canceled        a query was stopped, by an operator or because its client went away
    503  unavailable     starting, closing, disk full, too busy  retry later
    503  storage_failed  the outcome of the write is unknown     retry later: it is safe
"""

from __future__ import annotations

from dataclasses import dataclass, field

import orjson

from api.refusals import limit_of
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
from tsdb.promql.errors import QueryFailed

__all__ = [
    "Forbidden",
    "NotAcceptable",
    "NotAllowed",
    "NotFound",
    "QueryCanceled",
    "QueryTimedOut",
    "Refusal",
    "TooManyLogins",
    "Unauthorized",
    "UnsupportedMedia",
    "internal",
    "refusal",
]

DISK_FULL_RETRY_S = 30
SERIES_RETRY_S = 60
# Bounds on the size of one request; what is not named here or below bounds a question (422).
TOO_LARGE = {
    "BODY_BYTES_MAX",
    "BODY_ENCODED_BYTES_MAX",
    "BODY_RATIO_MAX",
    "FORM_BYTES_MAX",
    "LINE_BYTES_MAX",
    "LINES_REFUSED_MAX",
    "POINTS_PER_REQUEST_MAX",
}
WRONG = {
    "JSON_DEPTH_MAX",
    "LABELS_PER_SERIES_MAX",
    "LABEL_NAME_BYTES_MAX",
    "LABEL_VALUE_BYTES_MAX",
    "MATCHERS_PER_SELECTOR_MAX",
    "QUERY_BYTES_MAX",
    "QUERY_DEPTH_MAX",
    "QUERY_OPERATORS_MAX",
    "QUERY_STEPS_MAX",
    "QUERY_STRING_BYTES_MAX",
    "QUERY_TOKENS_MAX",
    "REGEX_BYTES_MAX",
    "SELECTOR_BYTES_MAX",
    "SERIES_KEY_BYTES_MAX",
}
SERIES = {"SERIES_MAX"}
CHALLENGES = [
    (b"www-authenticate", b'Basic realm="silverback", charset="UTF-8"'),
    (b"www-authenticate", b'Bearer realm="silverback"'),
]


class NotFound(InvalidInput):
    """There is nothing at this path, or no series of this name."""


class NotAllowed(InvalidInput):
    """The path is there, the method is not; `allowed` are those it has."""

    def __init__(self, message: str, allowed: tuple[str, ...]) -> None:
        super().__init__(message)
        self.allowed = allowed


class NotAcceptable(InvalidInput):
    """None of the forms we can answer in is among those the client takes."""


class UnsupportedMedia(InvalidInput):
    """The body is in a form that is not read here."""


class Unauthorized(InvalidInput):
    """Nobody we know: no credentials, or wrong ones."""


class Forbidden(InvalidInput):
    """Where the request comes from, or by whom, it may not be made."""


class TooManyLogins(LimitExceeded):
    """Too many wrong credentials from one address."""

    def __init__(self, *, retry_after_s: int) -> None:
        super().__init__(
            "too many failed logins from this address",
            limit="LOGINS_FAILED_PER_MINUTE_MAX",
            value=limits.LOGINS_FAILED_PER_MINUTE_MAX,
        )
        self.retry_after_s = retry_after_s


class QueryTimedOut(TSDBError):
    """A query took longer than it may."""


class QueryCanceled(TSDBError):
    """A query was stopped: its client went away, or an operator wanted it."""


@dataclass(slots=True)
class Refusal:
    """One error as it goes to a client."""

    status: int
    kind: str
    message: str
    more: dict[str, object] = field(default_factory=dict)
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)

    def body(self, **extra: object) -> bytes:
        document: dict[str, object] = {
            "status": "error",
            "errorType": self.kind,
            "error": self.message,
        }
        limit = limit_of(self.message)
        if limit is not None:
            document |= {"limit": limit[0], "limitValue": limit[1]}
        return orjson.dumps(document | self.more | extra, option=orjson.OPT_APPEND_NEWLINE)


def refusal(error: TSDBError) -> Refusal:
    """The table at the top of this page."""
    message = str(error)
    match error:
        case LimitExceeded():
            return _limit(error)
        case Unauthorized():
            return Refusal(401, "unauthorized", message, headers=CHALLENGES)
        case NotFound():
            return Refusal(404, "not_found", message)
        case NotAllowed():
            allow = (b"allow", ", ".join(error.allowed).encode())
            return Refusal(405, "not_allowed", message, headers=[allow])
        case NotAcceptable():
            return Refusal(406, "not_acceptable", message)
        case UnsupportedMedia():
            return Refusal(415, "unsupported", message)
        case Forbidden():
            return Refusal(403, "forbidden", message)
        case QueryFailed():
            return Refusal(422, "execution", message)
        case InvalidInput():
            return Refusal(400, "bad_data", message)
        case QueryTimedOut():
            return Refusal(503, "timeout", message)
        case QueryCanceled():
            return Refusal(503, "canceled", message)
        case Unavailable():
            return _unavailable(error)
        case StorageFailed():
            unknown = "storage failed; the outcome of writes that waited is unknown, reads go on"
            return Refusal(503, "storage_failed", unknown, headers=_retry(DISK_FULL_RETRY_S))
        case CorruptionError() | NewerFormat():
            # The place is in the log: paths are nothing for clients.
            reason = "stored data is damaged; the log of the server names the place"
            return Refusal(500, "corruption", reason)
    return Refusal(500, "internal", "internal error; the log of the server has more")


def internal() -> Refusal:
    """Our bug."""
    return Refusal(500, "internal", "internal error; the log of the server has more")


def _limit(error: LimitExceeded) -> Refusal:
    more: dict[str, object] = {"limit": error.limit, "limitValue": error.value}
    if isinstance(error, TooManyLogins):
        return Refusal(429, "limit", str(error), more, _retry(error.retry_after_s))
    if error.limit in SERIES:
        return Refusal(429, "limit", str(error), more, _retry(SERIES_RETRY_S))
    if error.limit in TOO_LARGE:
        return Refusal(413, "too_large", str(error), more)
    if error.limit in WRONG:
        return Refusal(400, "bad_data", str(error), more)
    return Refusal(422, "limit", str(error), more)


def _unavailable(error: Unavailable) -> Refusal:
    if error.code == "busy":
        return Refusal(429, "busy", str(error), headers=_retry(error.retry_after_s))
    seconds = DISK_FULL_RETRY_S if error.code == "disk_full" else error.retry_after_s
    return Refusal(503, "unavailable", str(error), {"code": error.code}, _retry(seconds))


def _retry(seconds: int) -> list[tuple[bytes, bytes]]:
    return [(b"retry-after", b"%d" % max(1, seconds))]
