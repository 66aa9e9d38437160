"""What the log's server says to an append, and what it means; pure.

    in   the body and the headers of a reply
    out  Acked, or Refused with what the caller may know now

A refusal is about one attempt. If an earlier one got no answer, the payload may be in the log in
spite of it, which only the caller knows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum, auto

from tsdb.errors import Unavailable

__all__ = ["Absent", "Acked", "Refusal", "Refused", "judge"]


class Absent(Unavailable, LookupError):
    """There is no such stream, or no such message in it, as far as the server that leads knows."""

    def __init__(self, message: str) -> None:
        super().__init__(message, code="absent")


class Refusal(StrEnum):
    """Why an attempt did not get in; `value` is the code of Unavailable."""

    NO_LEADER = auto()  # nobody listens: an election, or too few servers
    LOG_FULL = auto()
    SEALED = auto()
    TOO_LARGE = auto()
    CONFLICT = auto()  # compare-and-set lost
    UNKNOWN = auto()  # anything else; the same message id may be tried again

    @property
    def is_final(self) -> bool:
        return self in {Refusal.SEALED, Refusal.TOO_LARGE, Refusal.CONFLICT}


@dataclass(frozen=True, slots=True)
class Acked:
    seq: int
    duplicate: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    why: Refusal
    text: str
    absent: bool = False  # surely not in the log by this attempt


# Numbers of nats-server's own list of errors, server/errors.json.
_BY_NUMBER = {
    10008: Refusal.NO_LEADER,  # cluster not available
    10009: Refusal.NO_LEADER,  # cluster not leader
    10023: Refusal.LOG_FULL,  # insufficient resources
    10047: Refusal.LOG_FULL,  # storage resources exceeded
    10028: Refusal.LOG_FULL,  # memory resources exceeded
    10054: Refusal.TOO_LARGE,
    10071: Refusal.CONFLICT,
    10164: Refusal.CONFLICT,
    10109: Refusal.SEALED,
    10118: Refusal.NO_LEADER,  # replication is off line
}
_STORE_FAILED = 10077


def judge(body: bytes, headers: Mapping[str, str] | None) -> Acked | Refused:
    if headers and headers.get("Status") == "503":
        return Refused(Refusal.NO_LEADER, "no server leads the log", absent=True)
    try:
        said = json.loads(body)
        error = said.get("error")
        if error is None:
            return Acked(int(said["seq"]), bool(said.get("duplicate")))
        number, text = int(error.get("err_code", 0)), str(error.get("description", error))
    except (ValueError, KeyError, AttributeError, TypeError):
        return Refused(Refusal.UNKNOWN, f"a reply that says nothing: {body[:200]!r}")
    why = _BY_NUMBER.get(number, Refusal.UNKNOWN)
    if number == _STORE_FAILED and "maximum" in text:
        why = Refusal.LOG_FULL
    return Refused(why, f"{text} ({number})", absent=why is not Refusal.UNKNOWN)
