"""The disk of a simulated node: it can be full, break off in the middle, lose what is unsynced.

in   a disk, a random source
out  the same disk after a kill, a power cut, or with a bit flipped
"""

from __future__ import annotations

import errno
import itertools
import os
import random
from collections.abc import Callable

from crash.disk import SimulatedDisk, SimulatedFile
from crash.states import _Durable

RESERVED = 8192
IMAGES = 5  # to choose from, of those that a power cut may leave


class Crash(BaseException):
    """The process is gone in the middle of what it did; nothing catches this."""


class Tape(list):
    """Operations of a disk; who listens hears of each, once it is done."""

    listener: Callable[[tuple], None] | None = None

    def append(self, op: tuple) -> None:
        super().append(op)
        if self.listener is not None:
            self.listener(op)


class SimFile(SimulatedFile):
    def pwrite(self, data, offset: int) -> int:
        self._disk.check_room()
        return super().pwrite(data, offset)

    def allocate(self, offset: int, size: int) -> None:
        """Less than asked for, which a file system may do: zeros are only memory here."""
        super().allocate(offset, min(size, RESERVED))


class SimDisk(SimulatedDisk):
    def __init__(self, files=None, dirs=None) -> None:
        super().__init__(files, dirs)
        self.ops = Tape()
        self.is_full = False

    def check_room(self) -> None:
        if self.is_full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def create(self, path):
        self.check_room()
        file = super().create(path)
        return SimFile(self, file._ino, writable=True)

    def free_bytes(self, path):
        return (0, self.free[1]) if self.is_full else self.free

    def killed(self) -> None:
        """The process is gone, the page cache is not."""
        self.ops.listener = None
        self._locked.clear()


def copied(disk: SimulatedDisk) -> SimDisk:
    """What a process reads there now, all of it durable."""
    files = {ino: bytes(data) for ino, data in disk._files.items()}
    return SimDisk(files, {ino: dict(names) for ino, names in disk._dirs.items()})


def after_power_cut(disk: SimDisk, rng: random.Random) -> SimDisk:
    """One of the disks that may be left."""
    durable = _Durable(disk)
    for op in disk.ops:
        durable.apply(op)
    images = durable.images(random.Random(rng.random()), IMAGES)
    chosen = list(itertools.islice(images, IMAGES))
    return copied(rng.choice(chosen)[1])


def flipped(disk: SimDisk, rng: random.Random, kinds: tuple[str, ...]) -> tuple[SimDisk, str]:
    """The disk with one bit changed in a file of one of these folders, and where that is."""
    kind = rng.choice(kinds)
    tree = {path: data for path, data in disk.tree().items() if data and f"/{kind}" in path}
    if not tree:
        return disk, ""
    path = rng.choice(sorted(tree))
    data = bytearray(tree[path])
    used = len(bytes(data).rstrip(b"\0")) or 1  # what was reserved and not written says nothing
    at = rng.randrange(used)
    data[at] ^= 1 << rng.randrange(8)
    changed = copied(disk)
    changed.poke(path, bytes(data))
    return copied(changed), f"{path} byte {at}"
