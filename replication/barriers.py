"""Records that say nothing, appended to learn where a log ends.

    in   a log of a shard
    out  a position: all that was acked before the append lies before it

Each maker of barriers is a sender of its own, so replicas know its records as they know all others.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable

from replication.nats.jetstream import ShardStream
from replication.record import Record, encode_record, message_id

__all__ = ["barriers"]

TIMEOUT_S = 15.0  # longer than an election of the log takes


def barriers() -> Callable[[ShardStream], Awaitable[int]]:
    """Appends one barrier to the log it is given; raises what `append` does."""
    sender = int.from_bytes(os.urandom(8), "little")
    made: dict[int, int] = {}

    async def barrier(log: ShardStream) -> int:
        made[log.shard] = made.get(log.shard, 0) + 1
        record = Record(log.shard, sender, made[log.shard], ())
        return await log.append(encode_record(record), message_id(record), timeout_s=TIMEOUT_S)

    return barrier
