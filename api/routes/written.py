"""What a write's outcome is to a client.

    in   Written
    out  Answer: all kept (success), some kept (partial), or new series refused for now (429)

`points` are kept and as durable as `durable` says; `refused` has a sentence for each line or point
that is not, as far as REFUSALS_TOLD_MAX goes, and `refused_count` counts them all. A request of
which nothing is kept raises its error before it gets here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from api.errors import Refusal, refusal
from api.exchange import Answer

if TYPE_CHECKING:
    from tsdb.commit.request import Written

__all__ = ["TOO_MANY_REQUESTS", "answer_of", "refused_for_now"]

TOO_MANY_REQUESTS = 429  # the sender should come again; no other limit is a matter of time


def refused_for_now(written: Written) -> Refusal | None:
    """Why the sender should come again, if it should."""
    if written.limit is None:
        return None
    refused = refusal(written.limit)
    return refused if refused.status == TOO_MANY_REQUESTS else None


def answer_of(written: Written) -> Answer:
    durable = b"true" if written.durable else b"false"
    if not written.refused_count:
        return Answer(
            b'{"status":"success","points":%d,"seq":%d,"durable":%s}\n'
            % (written.points, written.seq, durable)
        )
    kept: dict[str, object] = {
        "points": written.points,
        "seq": written.seq,
        "durable": written.durable,
        "refused_count": written.refused_count,
        "refused": list(written.refused),
    }
    later = refused_for_now(written)
    if later is not None:
        return Answer(later.body(**kept), later.status, headers=later.headers)
    document = {"status": "partial", **kept}
    return Answer(orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE))
