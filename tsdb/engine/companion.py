"""Another machine over the same log: what a cluster node keeps beside the engine.

    in   REPLICATED entries of the log, in order
    out  its state as of a checkpoint, stored with the engine's and given back at the next open

The engine does not look into such entries; who opened the database with a companion does, and
applies what they hold to the engine. State and blocks are named by one manifest, so they are
always of the same position.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Protocol

import xxhash

from tsdb.block.manifest import COMPANION
from tsdb.errors import CorruptionError, NewerFormat
from tsdb.log.protocol import Entry
from tsdb.vfs import Files, write_whole

__all__ = ["Companion", "read_companion", "write_companion"]

MAGIC = b"SBKCOMPN"
VERSION = 1
_HEAD = struct.Struct("<8sIIQQ")  # magic, version, 0, seq, bytes of state
_CHECK = struct.Struct("<Q")


class Companion(Protocol):
    def apply(self, entry: Entry) -> None:
        """A REPLICATED entry, when the log is replayed."""

    def state(self, seq: int) -> bytes:
        """What it knows as of the entry `seq`, which was applied and not checkpointed yet."""


def write_companion(files: Files, folder: Path, seq: int, state: bytes) -> str:
    """Store the state durably in a new file; returns its name."""
    name = f"{COMPANION}{seq:020d}"
    data = _HEAD.pack(MAGIC, VERSION, 0, seq, len(state)) + state
    write_whole(files, folder / name, data + _CHECK.pack(xxhash.xxh3_64_intdigest(data)))
    return name


def read_companion(files: Files, path: Path) -> bytes:
    """The state in a file. Raises CorruptionError, NewerFormat, FileNotFoundError."""
    file = files.open_read(path)
    try:
        data = file.pread(file.size(), 0)
    finally:
        file.close()
    if len(data) < _HEAD.size + _CHECK.size or data[:8] != MAGIC:
        raise CorruptionError(path, 0, "no state of a companion here: wrong magic or cut off")
    _, version, _, _, size = _HEAD.unpack_from(data)
    if version > VERSION:
        raise NewerFormat(path, version, VERSION)
    body, check = data[: -_CHECK.size], _CHECK.unpack_from(data, len(data) - _CHECK.size)[0]
    if len(body) != _HEAD.size + size or xxhash.xxh3_64_intdigest(body) != check:
        raise CorruptionError(path, 0, "checksum of the companion's state does not hold")
    return body[_HEAD.size :]
