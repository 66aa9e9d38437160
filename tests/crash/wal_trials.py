"""Trials of the log that raise AssertionError when it breaks its promise.

    in   a wal module: the real one (tests/tsdb/log/test_wal_crash.py, test_recovery.py), or a
         mutant's (test_wal_mutants.py), which at least one trial must find

Each is a plain function, so that the same trial proves the program and is itself proved.
"""

from __future__ import annotations

import functools
import random

from crash import wal_scripts
from crash.disk import SimulatedDisk
from crash.faults import Fault, FaultyFiles
from crash.states import Report, explore
from crash.wal_scripts import open_wal

from tsdb.errors import StorageFailed, Unavailable
from tsdb.log import record
from tsdb.log.protocol import Kind
from tsdb.log.segment import HEADER_RECORD_BYTES

LAST_APPEND = 2
IMAGES_PER_FAULT = 40
"""What one fault can break shows within the next appends, not fifty operations later."""


def check_smoke(module) -> None:
    """It works at all: a mutant that fails here would prove nothing about the trials."""
    disk = SimulatedDisk()
    log = open_wal(module, disk)
    payloads = [wal_scripts.payload(n) for n in range(3)]
    log.append([(Kind.POINTS, one) for one in payloads])
    assert [entry.payload for entry in log.read(1)] == payloads


def explore_log(script, module, **more) -> Report:
    return explore(
        functools.partial(script, module), functools.partial(wal_scripts.check, module), **more
    )


def check_script(module, *, script, images_max: int = 500) -> None:
    report = explore_log(script, module, seed=1, images_max=images_max)
    assert not report.violations, report


def check_recovery_of_recovery(module, image: SimulatedDisk, acked: list, sent: list) -> None:
    """On one image: recover, and cut the power at every point of that."""
    report = explore(
        lambda disk: wal_scripts.recovering(module, disk, acked),
        functools.partial(wal_scripts.check, module),
        per_point=8,
        disk=image,
        past=(acked, sent),
    )
    assert not report.violations, report


def check_sweep(module, *, fault: Fault, last: int | None = 1, per_point: int = 2) -> int:
    """Fail each call in turn, cut the power in what follows it. How many calls there are."""
    for nth in range(1, 1000):
        fired: list[str] = []

        def script(disk, nth=nth, fired=fired):
            files = FaultyFiles(disk, nth, fault, last)
            wal_scripts.failing(module, disk, files)
            fired += files.fired

        check = functools.partial(wal_scripts.check, module)
        report = explore(script, check, per_point=per_point, seed=nth, images_max=IMAGES_PER_FAULT)
        assert not report.violations, f"call {nth} ({fired[:1]}): {report}"
        if not fired:
            return nth
    raise AssertionError("the script never ran through")


# --- damage ----------------------------------------------------------------------------------


def make_log(module, *, closed: bool) -> tuple[SimulatedDisk, dict[int, bytes]]:
    """Several segments with marks; killed in the middle of life unless `closed`."""
    disk = SimulatedDisk()
    log = open_wal(module, disk)
    number = 0
    for count in (1, 2, 3, 1, 2, 1, 1, 4, 1, 2, 1, LAST_APPEND):
        log.append([(Kind.POINTS, wal_scripts.payload(number + n)) for n in range(count)])
        number += count
        if number % 4 == 0:
            log.mark()
    if closed:
        log.close()
    return disk, {seq: wal_scripts.payload(seq - 1) for seq in range(1, number + 1)}


def segments_of(disk: SimulatedDisk) -> list[str]:
    folder = f"{wal_scripts.FOLDER}/"
    return sorted(path for path, data in disk.tree().items() if data and path.startswith(folder))


def check_damaged(module, disk: SimulatedDisk, wanted: dict[int, bytes], loses: int) -> set[int]:
    """Nothing wrong, at most `loses` entries gone, each of them named or of the last append."""
    lost, named = check_believed(module, disk, wanted)
    tail = set(sorted(wanted)[-LAST_APPEND:])
    assert len(lost) <= loses, f"lost {sorted(lost)}"
    assert lost <= named | tail, f"lost {sorted(lost)}, named only {sorted(named)}"
    return lost


def check_believed(module, disk: SimulatedDisk, wanted: dict[int, bytes]) -> tuple[set, set]:
    """Nothing wrong; what is lost is named, or the end of the log. The lost and the named."""
    log = open_wal(module, disk)
    found = {entry.seq: entry.payload for entry in log.read(1)}
    holes = log.info().holes
    named = {seq for hole in holes for seq in range(hole.first_seq, hole.last_seq + 1)}

    for seq, payload in found.items():
        assert payload == wanted[seq], f"wrong payload at {seq}"
    assert not named & set(found), "named as lost, but there"
    lost = set(wanted) - set(found)
    quiet = lost - named
    assert not quiet or min(quiet) > max([0, *found]), f"lost {sorted(quiet)}, not named"

    last = log.append([(Kind.POINTS, b"next")])
    again = open_wal(module, disk)
    assert {e.seq: e.payload for e in again.read(1)} == {**found, last: b"next"}
    return lost, named


def check_bit_flips(module, *, count: int, seed: int) -> int:
    """Flip one bit at a time anywhere in the log. How many flips cost an entry."""
    rng = random.Random(seed)
    logs = [make_log(module, closed=closed) for closed in (False, True)]
    costly = 0
    for n in range(count):
        original, wanted = logs[n % 2]
        disk = original.copy()
        path = rng.choice(segments_of(disk))
        data = bytearray(disk.tree()[path])
        bit = rng.randrange(min(len(data.rstrip(b"\0")) + 8, len(data)) * 8)
        data[bit // 8] ^= 1 << bit % 8
        disk.poke(path, bytes(data))
        try:
            # Of the last append, which no later watermark covers, all may go; else one record.
            costly += bool(check_damaged(module, disk, wanted, LAST_APPEND))
        except AssertionError as error:
            raise AssertionError(f"flip {n} (seed {seed}), {path} bit {bit}: {error}") from error
    return costly


def small_log(module, letter: bytes, count: int) -> tuple[SimulatedDisk, str]:
    """One segment of equal records, never closed; its path."""
    disk = SimulatedDisk()
    log = open_wal(module, disk)
    for n in range(count):
        log.append([(Kind.POINTS, letter * 100 + bytes([n]))])
    return disk, segments_of(disk)[0]


RECORD_BYTES = record.record_bytes(101)


def place(seq: int) -> slice:
    """Where entry `seq` of a small log lies in its file."""
    start = HEADER_RECORD_BYTES + (seq - 1) * RECORD_BYTES
    return slice(start, start + RECORD_BYTES)


def check_splice(module) -> None:
    """The head of one history, the tail of another, cut where records meet."""
    one, path = small_log(module, b"1", 6)
    two, _ = small_log(module, b"2", 6)
    cut = place(4).start
    one.poke(path, one.tree()[path][:cut] + two.tree()[path][cut:])
    log = open_wal(module, one)
    assert log.info().holes, [entry.payload[:1] for entry in log.read(1)]


def check_misdirected_write(module) -> None:
    """The disk wrote record 1 over record 3 too."""
    disk, path = small_log(module, b"1", 5)
    data = bytearray(disk.tree()[path])
    data[place(3)] = data[place(1)]
    disk.poke(path, bytes(data))
    log = open_wal(module, disk)
    assert [entry.seq for entry in log.read(1)] == [1, 2, 4, 5]
    assert [(hole.first_seq, hole.last_seq) for hole in log.info().holes] == [(3, 3)]


def check_stale_bytes(module) -> None:
    """Past the tail lie records of a deleted segment: valid, newer, and not of this file."""
    disk, path = small_log(module, b"1", 1)
    data, end = disk.tree()[path], place(2).start
    prev = int.from_bytes(data[place(1)][40:48], "little")
    stale, _, _ = record.encode(
        [(0, b"stale", 2, 0, 1), (0, b"stale", 3, 0, 1)], dseq=2, tag=12345, prev=prev
    )
    disk.poke(path, data[:end] + stale + data[end + len(stale) :])
    log = open_wal(module, disk)
    assert [entry.seq for entry in log.read(1)] == [1]
    assert not log.info().holes


def check_gap_over_watermark(module) -> None:
    """Entries 6 to 9 are gone, 7 is the watermark: 6 and 7 are named, 10 was never acked."""
    disk = SimulatedDisk()
    log = open_wal(module, disk)
    for n in range(7):
        log.append([(Kind.POINTS, b"1" * 100 + bytes([n]))])
    log.append([(Kind.POINTS, b"1" * 100 + bytes([n])) for n in (7, 8, 9)])
    (path,) = segments_of(disk)
    data = bytearray(disk.tree()[path])
    start, end = place(6).start, place(9).stop
    data[start:end] = b"\xaa" * (end - start)
    disk.poke(path, bytes(data))

    log = open_wal(module, disk)
    assert [entry.seq for entry in log.read(1)] == [1, 2, 3, 4, 5]
    assert [(hole.first_seq, hole.last_seq) for hole in log.info().holes] == [(6, 7)]
    assert log.append([(Kind.POINTS, b"next")]) == 8


def check_latch(module) -> None:
    """After one failed sync nothing is accepted, whatever the disk says by then."""
    disk = SimulatedDisk()
    open_wal(module, disk).close()
    for nth in range(1, 60):
        image = disk.copy()
        files = FaultyFiles(image, nth, Fault.EIO)
        log = None
        try:
            log = open_wal(module, files)
            log.append([(Kind.POINTS, b"1")])
            log.append([(Kind.POINTS, b"2")])
        except StorageFailed:
            if log is not None:
                check_refuses_everything(log)
        if not files.fired:
            return
    raise AssertionError("the script never ran through")


def check_refuses_everything(log) -> None:
    calls = [
        functools.partial(log.append, [(Kind.POINTS, b"3")]),
        log.barrier,
        log.mark,
        log.seal,
        functools.partial(log.trim, 1),
    ]
    for call in calls:
        try:
            call()
        except StorageFailed:
            continue
        except Unavailable as error:
            raise AssertionError(f"{call} says it may be tried again: {error}") from error
        raise AssertionError(f"{call} succeeded after a failed sync")
