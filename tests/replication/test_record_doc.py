"""docs/format/record.md says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

from replication.copying import decode_standing, encode_standing
from replication.envelope import Arrived, Copied, decode_entry, encode_arrived, encode_copied
from replication.ledger import Mark, Place
from replication.record import Part, Record, decode_record, encode_record
from tsdb.log.protocol import Kind

PAGE = Path(__file__).resolve().parents[2] / "docs" / "format" / "record.md"
EXAMPLES = dict(re.findall(r"```hex ([\w-]+)\n(.*?)```", PAGE.read_text(), re.DOTALL))


def test_the_example_is_a_barrier() -> None:
    data = bytes.fromhex(EXAMPLES["record-barrier"])
    assert decode_record(data) == Record(5, 1, 3, ())
    assert encode_record(Record(5, 1, 3, ())) == data


def test_the_entries_are_a_part_that_arrived_and_the_end_of_a_copy() -> None:
    data = bytes.fromhex(EXAMPLES["entry-arrived"])
    digests = 0x1122334455667788, 0x99AABBCCDDEEFF00
    part = Part(Kind.CONTROL, b"\1\2")
    arrived = Arrived(5, 118, 1_700_000_000_000_000_000, 1, 3, 0, 1, *digests, part)
    assert decode_entry(data) == arrived
    assert encode_arrived(arrived) == data

    data = bytes.fromhex(EXAMPLES["entry-copied"])
    copied = decode_entry(data)
    assert isinstance(copied, Copied)
    assert (copied.shard, copied.copy, copied.part.kind) == (5, 9, Kind.MARK)
    assert encode_copied(copied) == data
    standing = decode_standing(copied.part.payload)
    assert standing.place == Place(118, digests[1], 1_700_000_000_000_000_000, 118)
    assert standing.marks == ((1, Mark(3, 118)),)
    assert [(n, t.tolist(), o.tolist()) for n, t, o in standing.senders] == [(1, [7], [2])]
    assert encode_standing(standing) == copied.part.payload


def test_every_example_is_executed() -> None:
    assert EXAMPLES.keys() == {"record-barrier", "entry-arrived", "entry-copied"}
