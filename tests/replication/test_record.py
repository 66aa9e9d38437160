"""Records come back as they went, and nothing else comes back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replication.envelope import Arrived, decode_arrived, encode_arrived
from replication.record import KINDS, Part, Record, decode_record, encode_record, message_id
from tsdb.errors import CorruptionError

U64 = st.integers(0, 2**64 - 1)
U32 = st.integers(0, 2**32 - 1)
U16 = st.integers(0, 2**16 - 1)
PARTS = st.builds(Part, st.sampled_from(sorted(KINDS)), st.binary(max_size=60))
RECORDS = st.builds(Record, U16, U64, U64, st.lists(PARTS, max_size=5).map(tuple))
ARRIVED = st.builds(
    Arrived,
    shard=U16,
    seq=U64,
    time_ns=st.integers(-(2**63), 2**63 - 1),
    sender=U64,
    sender_seq=U64,
    number=st.integers(0, 2**31),
    parts=st.integers(2**31 + 1, 2**32 - 1),
    before=U64,
    chain=U64,
    part=PARTS,
)


@given(RECORDS)
def test_a_record_comes_back(record):
    assert decode_record(encode_record(record)) == record


@given(RECORDS, st.data())
def test_a_changed_bit_or_a_cut_is_told(record, data):
    whole = encode_record(record)
    at = data.draw(st.integers(0, len(whole) - 1))
    flipped = bytearray(whole)
    flipped[at] ^= 1 << data.draw(st.integers(0, 7))
    for damaged in (bytes(flipped), whole[:at], whole + b"\0"):
        with pytest.raises(CorruptionError):
            decode_record(damaged)


@given(st.binary(max_size=200))
def test_other_bytes_are_no_record(data):
    with pytest.raises(CorruptionError):
        decode_record(b"SR" + data)


def test_an_id_names_a_record_of_a_process():
    record = Record(3, 255, 17, ())
    assert message_id(record) == "00000000000000ff:3:17"


@given(ARRIVED)
def test_an_envelope_comes_back(arrived):
    assert decode_arrived(encode_arrived(arrived)) == arrived


@given(st.binary(max_size=100))
def test_other_bytes_are_an_envelope_or_told(data):
    try:
        arrived = decode_arrived(data)
    except CorruptionError:
        return
    assert encode_arrived(arrived) == data
