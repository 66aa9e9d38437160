"""replication.barriers: a position behind all that was acked."""

from __future__ import annotations

from replication.barriers import barriers
from replication.record import decode_record


def test_a_barrier_lies_behind_what_was_acked_and_holds_nothing(servers, read_first):
    log = servers.new_log()
    barrier, other = barriers(), barriers()
    acked = servers.run(log.append(b"1", "s:1", timeout_s=10))

    assert servers.run(barrier(log)) == acked + 1
    assert servers.run(barrier(log)) == acked + 2
    assert servers.run(other(log)) == acked + 3
    records = [decode_record(m.payload) for m in servers.run(read_first(log, 3, 2))]
    assert [(record.shard, record.sender_seq) for record in records] == [
        (log.shard, 1),
        (log.shard, 2),
        (log.shard, 1),
    ]
    assert all(not record.parts for record in records)
    assert records[0].sender != records[2].sender
