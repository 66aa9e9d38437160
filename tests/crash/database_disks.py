"""A simulated disk whose syncs wait: what arrives meanwhile is one group.

in   a SimulatedDisk
out  the same `Files`; `held()` stops the next fdatasync until the block is left
"""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from collections.abc import Iterator

from crash.disk import SimulatedDisk


class HeldFiles:
    """`waiting` is set while a datasync stands still."""

    def __init__(self, disk: SimulatedDisk) -> None:
        self.disk = disk
        self.waiting = threading.Event()
        self._go_on = threading.Event()
        self._go_on.set()
        self.failing = False  # a datasync loses what is pending and raises EIO

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        self.waiting.clear()
        self._go_on.clear()
        try:
            yield
        finally:
            self._go_on.set()

    def __getattr__(self, name: str):
        inner = getattr(self.disk, name)
        if name not in ("create", "open_write"):
            return inner
        return lambda path: _HeldFile(inner(path), self)


class _HeldFile:
    def __init__(self, file, owner: HeldFiles) -> None:
        self._file, self._owner = file, owner

    def __getattr__(self, name: str):
        return getattr(self._file, name)

    def datasync(self) -> None:
        owner = self._owner
        if not owner._go_on.is_set():
            owner.waiting.set()
            owner._go_on.wait()
        if owner.failing:
            self._file.lose_pending()
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        self._file.datasync()
