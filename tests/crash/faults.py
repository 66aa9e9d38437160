"""Fail the n-th call to the file system, for n = 1, 2, 3, ... until nothing fails any more.

    from crash.faults import FaultyFiles, Fault

    in   any `Files` (a SimulatedDisk, or OsFiles on a real folder), a call number, a fault
    out  the same `Files`, one call of which fails; `fired` says which

EIO and ENOSPC are raised instead of making the call; a pwrite has written half by then. A
failed sync of a simulated file also loses what was pending: the page cache keeps it, no later
sync brings it to disk (that is what Linux does). SHORT lets a pwrite stop half way and report
so; other calls are left alone.
"""

from __future__ import annotations

import enum
import errno
import os


class Fault(enum.Enum):
    EIO = errno.EIO
    ENOSPC = errno.ENOSPC
    SHORT = 0


_FILES_CALLS = {
    "create", "open_read", "open_write", "mkdir", "list", "rename", "unlink", "rmdir",
    "link", "sync_dir", "free_bytes", "exists", "is_dir",
}  # fmt: skip
_FILE_CALLS = {"pread", "pwrite", "truncate", "allocate", "size", "datasync", "sync", "close"}
_OPENING = {"create", "open_read", "open_write"}
_CANNOT_FAIL = {"exists", "is_dir"}  # they answer, whatever happens
# What a full disk can refuse; an ENOSPC of a pread would be no test of anything.
_NEEDS_SPACE = {"create", "mkdir", "rename", "link", "pwrite", "truncate", "sync_dir",
                "datasync", "sync", "close", "unlink"}  # fmt: skip


class FaultyFiles:
    """`last` is how many calls in a row fail, from the n-th on (None: all of them)."""

    def __init__(self, files, nth: int, fault: Fault, last: int | None = 1) -> None:
        self._files, self._nth, self._fault, self._last = files, nth, fault, last
        self.is_short = fault is Fault.SHORT
        self.calls = 0
        self.fired: list[str] = []

    def __getattr__(self, name: str):
        inner = getattr(self._files, name)
        if name not in _FILES_CALLS:
            return inner

        def call(*args):
            if self.hit(name):
                raise self.error()
            result = inner(*args)
            if name not in _OPENING:
                return result
            return FaultyFile(result, self, writable=name != "open_read")

        return call

    def hit(self, name: str) -> bool:
        """Count a call; whether it is its turn to fail."""
        if name in _CANNOT_FAIL or (self._fault is Fault.ENOSPC and name not in _NEEDS_SPACE):
            return False
        if self._fault is Fault.SHORT and name != "pwrite":
            return False
        self.calls += 1
        last = self._last
        if self.calls < self._nth or (last is not None and self.calls >= self._nth + last):
            return False
        if not self.fired and hasattr(self._files, "explore_from"):
            self._files.explore_from = len(self._files.ops)  # before, it is a run like any other
        self.fired.append(name)
        return True

    def error(self) -> OSError:
        return OSError(self._fault.value, os.strerror(self._fault.value))


class FaultyFile:
    def __init__(self, file, owner: FaultyFiles, *, writable: bool) -> None:
        self._file, self._owner, self._writable = file, owner, writable
        self._closed = False

    def __getattr__(self, name: str):
        inner = getattr(self._file, name)
        if name not in _FILE_CALLS:
            return inner

        def call(*args):
            if name == "close":
                if self._closed:
                    return None
                self._closed = True
                if not self._writable:
                    return inner()  # nothing was written that could fail now
            if not self._owner.hit(name):
                return inner(*args)
            if name == "pwrite":
                half = inner(bytes(args[0])[: len(args[0]) // 2], args[1])
                if self._owner.is_short and half:
                    return half
            if self._owner.is_short:
                return inner(*args)
            if name in ("datasync", "sync") and hasattr(self._file, "lose_pending"):
                self._file.lose_pending()
            if name == "close":
                inner()  # the descriptor is gone, whatever close said
            raise self._owner.error()

        return call
