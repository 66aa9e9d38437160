"""What the crash tests of the log do with it, and the promise they hold it to.

    in   a wal module (the real one, or a mutant's), a disk
    out  scripts for crash.states.explore, and `check`

Every payload is unique. The promise: what was acked is there, in order, at the seq it got;
after it may come a prefix of what was sent since the last ack, and nothing else, ever; no
damage is reported, since a power cut is none; the log goes on from there, and a second
recovery finds the same.
"""

from __future__ import annotations

import random
from pathlib import Path

from crash.disk import SimulatedDisk

from tsdb.errors import StorageFailed, Unavailable
from tsdb.log.protocol import Kind

FOLDER, QUARANTINE = Path("/wal"), Path("/quarantine")
DATABASE = bytes(range(16))
SEGMENT_BYTES = 2000


def payload(number: int) -> bytes:
    """Unique; every third one is longer than a sector."""
    size = (7 * number) % 90 + (600 if number % 3 == 0 else 0)
    return b"%06d:" % number + bytes((number * 31 + i) % 251 + 1 for i in range(size))


def open_wal(module, files, **more):
    return module.Wal.open(
        files,
        FOLDER,
        database_id=DATABASE,
        quarantine=QUARANTINE,
        segment_bytes_max=SEGMENT_BYTES,
        **more,
    )


class Writer:
    """Appends numbered payloads and notes on the disk what was sent and what was acked."""

    def __init__(self, module, disk: SimulatedDisk, files=None) -> None:
        self.module, self.disk, self.files = module, disk, files or disk
        self.number = 0
        self.waiting: list[bytes] = []
        self.unacked: list[bytes] = []
        self.acked: set[bytes] = set()
        self.wal = open_wal(module, self.files)

    def append(self, count: int = 1, *, sync: bool = True) -> None:
        payloads = [payload(self.number + n) for n in range(count)]
        self.number += count
        for one in payloads:
            self.disk.sent(one)
        self.unacked += payloads
        try:
            self.wal.append([(Kind.POINTS, one) for one in payloads], sync=sync)
        except Unavailable:
            self.disk.sent(("failed", payloads))
            raise
        self.waiting += payloads
        if sync:
            self.ack()

    def barrier(self) -> None:
        self.wal.barrier()
        self.ack()

    def ack(self) -> None:
        for one in self.waiting:
            self._ack(one)
        self.waiting, self.unacked = [], []

    def trim(self, through_seq: int) -> None:
        self.disk.sent(("trim", through_seq))
        self.wal.trim(through_seq)

    def reopen(self, *, close: bool) -> None:
        """Cleanly, or as after kill -9: then what is read is shown to users, so it must stay."""
        if close:
            self.wal.close()
            self.ack()
        self.waiting = []
        self.wal = open_wal(self.module, self.files)
        for entry in self.wal.read(1):
            self._ack(entry.payload)
        self.disk.sent(("failed", [one for one in self.unacked if one not in self.acked]))
        self.unacked = []

    def _ack(self, one: bytes) -> None:
        if one not in self.acked:
            self.acked.add(one)
            self.disk.acked(one)


def life(module, disk: SimulatedDisk) -> None:
    """Appends, groups, rotation, marks, unsynced appends, a seal, trims, both ways to restart."""
    writer = Writer(module, disk)
    writer.append()
    writer.append(3)
    writer.wal.mark()
    for _ in range(4):
        writer.append(2)
    writer.append(2, sync=False)
    writer.append(sync=False)
    writer.barrier()
    writer.wal.seal()
    writer.append(3)
    writer.trim(9)
    writer.append()
    writer.reopen(close=False)
    writer.append(2)
    writer.reopen(close=True)
    writer.append(2)
    writer.append(sync=False)
    writer.wal.mark()
    writer.ack()
    writer.trim(16)
    writer.append(5)
    writer.wal.close()


def unsynced(module, disk: SimulatedDisk) -> None:
    """Only unsynced appends, over several segments; the barrier comes late."""
    writer = Writer(module, disk)
    for count in (1, 2, 1, 3, 2):
        writer.append(count, sync=False)
    writer.barrier()
    for count in (2, 1):
        writer.append(count, sync=False)
    writer.reopen(close=False)
    writer.append()
    writer.wal.close()
    writer.ack()


def splitting(module, disk: SimulatedDisk) -> None:
    """Payloads of several records each. The caller makes `record.ENTRY_BYTES_MAX` small."""
    writer = Writer(module, disk)
    for count in (1, 2, 1, 3):
        writer.append(count)
    writer.append(2, sync=False)
    writer.reopen(close=False)
    writer.append(2)


def restarts(module, disk: SimulatedDisk) -> None:
    """Killed again and again, with and without new entries between."""
    writer = Writer(module, disk)
    for count in (1, 0, 3, 0, 0, 2):
        if count:
            writer.append(count)
        writer.reopen(close=False)
    writer.append()


def random_life(seed: int, module, disk: SimulatedDisk) -> None:
    """Forty operations in an order that the seed decides."""
    rng = random.Random(seed)
    writer = Writer(module, disk)
    for _ in range(40):
        what = rng.choices(
            ["append", "unsynced", "barrier", "mark", "seal", "trim", "kill", "close"],
            [16, 8, 3, 3, 2, 3, 2, 1],
        )[0]
        if what == "append":
            writer.append(rng.choice([1, 1, 2, 5]))
        elif what == "unsynced":
            writer.append(rng.choice([1, 2]), sync=False)
        elif what == "barrier":
            writer.barrier()
        elif what == "mark":
            writer.wal.mark()
            writer.ack()
        elif what == "seal":
            writer.wal.seal()
            writer.ack()
        elif what == "trim":
            writer.trim(rng.randrange(len(writer.acked) + 1))
        else:
            writer.reopen(close=what == "close")


def failing(module, disk: SimulatedDisk, files) -> None:
    """`files` fails somewhere. Errors end a process; the next one finds the disk in order."""
    writer = None
    try:
        writer = Writer(module, disk, files)
        for count in (1, 2, 3, 2, 1, 4):
            _try_append(writer, count)
        for count in (2, 1, 1):
            _try_append(writer, count, sync=False)
        writer.barrier()
        writer.wal.seal()
        _try_append(writer, 2)
        writer.wal.mark()
        writer.trim(5)
        _try_append(writer, 1)
        writer.wal.close()
    except (StorageFailed, Unavailable):
        pass
    writer = writer or Writer(module, disk)
    writer.files = disk
    writer.reopen(close=False)
    writer.append(2)


def _try_append(writer: Writer, count: int, *, sync: bool = True) -> None:
    """A full disk costs this append only: try once more, as a client would, with new numbers."""
    try:
        writer.append(count, sync=sync)
    except Unavailable:
        writer.append(count, sync=sync)


def recovering(module, image: SimulatedDisk, acked: list) -> None:
    """A script that only recovers, on a disk with a past."""
    wal = open_wal(module, image)
    known = set(acked)
    for entry in wal.read(1):
        if entry.payload not in known:
            image.acked(entry.payload)  # shown to a user, so it must stay


def check(module, image: SimulatedDisk, acked: list, sent: list) -> None:
    wal = open_wal(module, image)
    found = list(wal.read(1))
    info = wal.info()
    got = [entry.payload for entry in found]

    trimmed = max([0, *(note[1] for note in sent if note[0] == "trim")])
    start = info.first_seq - 1
    assert start <= trimmed, f"log starts at {start + 1}, trimmed was only {trimmed}"
    expected = acked[start:]
    assert got[: len(expected)] == expected, f"acked {_names(expected)}, recovered {_names(got)}"
    tail = got[len(expected) :]
    assert tail in _allowed_tails(sent, acked), f"after the acked came {_names(tail)}"
    seqs = [entry.seq for entry in found]
    if all(entry.parts == 1 for entry in found):
        assert seqs == list(range(start + 1, start + 1 + len(got)))
    assert seqs == sorted(set(seqs))
    assert not info.holes, info.holes

    last = wal.append([(Kind.SERIES, b"and on"), (Kind.POINTS, b"and on and on")])
    assert last == info.last_seq + 2
    wal.close()
    again = open_wal(module, image)
    want = [*got, b"and on", b"and on and on"]
    assert [entry.payload for entry in again.read(start + 1)] == want
    assert not again.info().holes, again.info().holes


def _allowed_tails(sent: list, acked: list) -> list[list[bytes]]:
    """Prefixes of what was sent since the last ack.

    An append that failed is not kept, unless the power failed before the next one.
    """
    since = sent.index(acked[-1]) + 1 if acked else 0
    taken: list[bytes] = []
    allowed: list[list[bytes]] = [[]]
    for note in sent[since:]:
        if isinstance(note, bytes):
            taken = [*taken, note]
            allowed.append(taken)
        elif note[0] == "failed":
            taken = [one for one in taken if one not in note[1]]
    return allowed


def _names(payloads: list[bytes]) -> str:
    return " ".join(one[:6].decode("ascii", "replace").lstrip("0") or "0" for one in payloads)
