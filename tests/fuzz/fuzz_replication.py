"""Fuzz what a node reads of replication: records, envelopes, and the state of a replica.

    in   byte 0: what the rest is (mod 4): a record, one whose checksum is made right, an envelope,
         the state of a replica
    out  any error but CorruptionError, or bytes that are not what they are read as, is a finding

tests/fuzz/test_fuzz_replication.py replays the kept corpus in the ordinary test run.

Run      python tests/fuzz/fuzz_replication.py -max_total_time=10 tests/fuzz/corpus/replication
"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    import atheris

    with atheris.instrument_imports(include=["replication"]):
        import replication.envelope
        import replication.record
        import replication.replica  # noqa: F401  (first here, so that they are instrumented)

from xxhash import xxh3_64_intdigest

from replication.envelope import decode_arrived, encode_arrived
from replication.record import decode_record, encode_record
from replication.replica import Replica
from tsdb.errors import CorruptionError

SHARDS = 2


def check(data: bytes) -> bool:
    """Whether the input was read as something."""
    if not data:
        return False
    body = data[1:]
    try:
        if data[0] % 4 == 0:
            assert encode_record(decode_record(body)) == body
        elif data[0] % 4 == 1:
            right = body + xxh3_64_intdigest(body).to_bytes(8, "little")
            assert encode_record(decode_record(right)) == right
        elif data[0] % 4 == 2:
            assert encode_arrived(decode_arrived(body)) == body
        else:
            state = Replica(None, SHARDS, body).state(0)
            assert Replica(None, SHARDS, state).state(0) == state
    except CorruptionError:
        return False
    return True


if __name__ == "__main__":
    atheris.Setup(sys.argv, check)
    atheris.Fuzz()
