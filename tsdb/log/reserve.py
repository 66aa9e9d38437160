"""Free space that is never written to: deletes, merges and the operator need room to work.

    in   free bytes of the file system (tsdb.vfs.room)
    out  Unavailable(code="disk_full") below the stop level, until there is enough again

Below `limits.DISK_STOP` writing stops; it starts again only above `limits.DISK_LOW`, so that it
does not flutter. Looking costs a system call, so it is done now and then.
"""

from __future__ import annotations

from pathlib import Path

from tsdb.errors import Unavailable
from tsdb.limits import MIB
from tsdb.vfs import Files, Room, room

LOOK_APPENDS = 64
"""Appends between two looks, each counted once for every MiB: 64 MiB, an eighth of the smallest
stop level."""
_RETRY_S = 30


class Reserve:
    def __init__(self, files: Files, folder: Path) -> None:
        self._files, self._folder = files, folder
        self._stopped = False
        self._until_look = 0

    def check(self, size_bytes: int, *, now: bool) -> None:
        """Raises Unavailable if the disk is too full to write; OSError if that is not known."""
        self._until_look -= 1 + size_bytes // MIB
        if self._until_look > 0 and not now and not self._stopped:
            return
        self._until_look = LOOK_APPENDS
        level = room(self._files, self._folder)
        self._stopped = level is Room.STOP or (self._stopped and level is not Room.ENOUGH)
        if self._stopped:
            raise disk_full(f"{self._folder} is below its reserve")


def disk_full(why: str) -> Unavailable:
    return Unavailable(f"disk full: {why}", code="disk_full", retry_after_s=_RETRY_S)
