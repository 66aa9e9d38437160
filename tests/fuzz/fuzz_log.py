"""Fuzz the recovery of the log: whatever the files hold, no wrong entry, no crash, no hang.

    in   byte 0: bit 0 the log was closed, bit 1 checksums are made right again after the edits,
         bit 2 the rest is the whole contents of the last segment
         then edits, 4 bytes and their data each: segment, offset (u16), length (mod 32), data
    out  AssertionError, or any error that is not ours, is a finding

With wrong checksums nothing wrong may be believed. With right ones the fields may say anything;
then the log must still open or refuse by a typed error, and open the same way again.
tests/fuzz/test_fuzz_log.py replays the kept corpus in the ordinary test run.

Run      python tests/fuzz/fuzz_log.py -max_total_time=10 tests/fuzz/corpus/log
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

if __name__ == "__main__":
    import atheris

    with atheris.instrument_imports(include=["tsdb.log"]):
        import tsdb.log.wal  # noqa: F401  (first here, so that it is instrumented)

from crash import wal_trials
from crash.disk import SimulatedDisk
from crash.wal_scripts import open_wal

from tsdb.errors import CorruptionError, NewerFormat
from tsdb.log import record, wal
from tsdb.log.protocol import Kind

LOGS = [wal_trials.make_log(wal, closed=closed) for closed in (False, True)]
EDIT_BYTES = 4


def check(data: bytes) -> bool:
    """Whether anything of the log was lost."""
    if not data:
        return False
    original, wanted = LOGS[data[0] & 1]
    disk = original.copy()
    segments = wal_trials.segments_of(disk)
    if data[0] & 4:
        disk.poke(segments[-1], data[1:])
    else:
        _edit(disk, segments, data[1:])
    if not data[0] & 2:
        lost, _ = wal_trials.check_believed(wal, disk, wanted)
        return bool(lost)
    for path in segments:
        disk.poke(path, _checked_again(disk.tree()[path]))
    return _check_opens_twice(disk, len(wanted))


def _edit(disk: SimulatedDisk, segments: list[str], edits: bytes) -> None:
    at = 0
    while at + EDIT_BYTES <= len(edits):
        path = segments[edits[at] % len(segments)]
        contents = bytearray(disk.tree()[path])
        size = edits[at + 3] % 32
        offset = int.from_bytes(edits[at + 1 : at + 3], "little") % (len(contents) + 1)
        new = edits[at + EDIT_BYTES : at + EDIT_BYTES + size]
        if size:
            contents[offset : offset + len(new)] = new
        else:
            del contents[offset:]
        disk.poke(path, bytes(contents))
        at += EDIT_BYTES + size


def _checked_again(contents: bytes) -> bytes:
    """Each record that its length still spans gets the checksum of what it now says."""
    data, at = bytearray(contents), 0
    while at + record.HEADER_BYTES <= len(data):
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        body = bytes(data[at + record.HEADER_BYTES : at + record.HEADER_BYTES + length])
        if len(body) != length or not any(data[at : at + 8]):
            break
        check = record.check_of(bytes(data[at : at + 40]), body)
        data[at + 40 : at + 48] = check.to_bytes(8, "little")
        at += record.record_bytes(length)
    return bytes(data)


def _check_opens_twice(disk: SimulatedDisk, entries: int) -> bool:
    try:
        log = open_wal(wal, disk)
        found = list(log.read(1))
    except (NewerFormat, CorruptionError):
        return True
    last = log.append([(Kind.POINTS, b"next")])
    log.close()
    again = open_wal(wal, disk)
    got = list(again.read(1))
    assert [entry.seq for entry in got] == [*(entry.seq for entry in found), last]
    assert [entry.payload for entry in got] == [*(entry.payload for entry in found), b"next"]
    return len(found) != entries


if __name__ == "__main__":
    atheris.Setup(sys.argv, check)
    atheris.Fuzz()
