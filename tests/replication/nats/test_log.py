"""replication.nats.log: the contract of all logs, kept by three servers."""

from __future__ import annotations

import pytest
from crash.log_contract import LogContract

from replication.nats.log import JetStreamLog
from tsdb.errors import StorageFailed
from tsdb.log.protocol import Kind


@pytest.fixture
def reopen(servers):
    stream = servers.new_log()
    return lambda: JetStreamLog(servers.nodes[0], stream, servers.loop)


class TestJetStreamLog(LogContract):
    @pytest.fixture
    def reopen(self, reopen):
        return reopen


def test_a_second_writer_is_found_out(reopen):
    log, other = reopen(), reopen()
    log.append([(Kind.POINTS, b"1")])

    with pytest.raises(StorageFailed):
        other.append([(Kind.POINTS, b"2")])
    with pytest.raises(StorageFailed):
        other.append([(Kind.POINTS, b"3")])
    assert [entry.payload for entry in log.read(1)] == [b"1"]
    assert log.append([(Kind.POINTS, b"4")]) == 2


def test_many_entries_of_one_append_stay_in_order(reopen):
    log = reopen()
    log.append([(Kind.POINTS, b"%d" % n) for n in range(200)])

    assert [entry.payload for entry in log.read(1)] == [b"%d" % n for n in range(200)]
