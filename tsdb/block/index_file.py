"""The index file of a block: built in memory, read section by section, mended from its copies.

    in   BlockMeta, ChunkTable, aggregates, stripe checksums; an open file
    out  the bytes of the file; IndexFile, which reads and checks one section at a time

    header | table | sections | copies of the sections that must not be lost | table | header

The header stands at both ends, so its second copy is found from the size of the file. A reader
takes a second copy when the first does not hold, and remembers that for `verify`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tsdb.batch import U64s
from tsdb.block import section
from tsdb.block.layout import (
    AGGREGATES_POINTS_MIN,
    HEADER_BYTES,
    ONCE,
    SECTION,
    TWICE,
    BlockMeta,
    Header,
    Kind,
    Maker,
    check_of,
    decode_header,
    encode_header,
)
from tsdb.errors import CorruptionError, NewerFormat
from tsdb.vfs import File

__all__ = ["IndexFile", "encode_index", "read_exactly"]

_READ_AHEAD_BYTES = 4096 - 64
"""Read on opening: header and table, and of a small block the whole file."""
_RETRIES = 2


def encode_index(
    meta: BlockMeta, maker: Maker, columns: Mapping[Kind, npt.NDArray[np.generic]]
) -> tuple[BlockMeta, bytes]:
    """The whole file, and `meta` with the size of it."""
    once = ONCE if meta.points >= meta.chunks * AGGREGATES_POINTS_MIN else ()
    encoded = {kind: section.encode(kind, columns[kind]) for kind in (*TWICE, *once)}
    order = [*TWICE, *once, *TWICE]
    table = np.zeros(len(order), SECTION)
    body: list[bytes] = []
    at = HEADER_BYTES + table.nbytes
    for i, kind in enumerate(order):
        table[i], data = encoded[kind]
        table[i]["offset"] = at
        body.append(data)
        at += len(data)
    rows = table.tobytes()
    meta = replace(meta, index_bytes=at + len(rows) + HEADER_BYTES)
    header = encode_header(meta, maker, rows)
    return meta, b"".join((header, rows, *body, rows, header))


def read_exactly(file: File, size: int, offset: int, path: Path, *, spare: int = 0) -> bytes:
    """`size` bytes, and up to `spare` more. A read error is tried again, then it is damage."""
    for attempt in range(_RETRIES + 1):
        try:
            data = file.pread(size + spare, offset)
        except OSError as error:
            if attempt == _RETRIES:
                raise CorruptionError(path, offset, f"read failed: {error}") from error
            continue
        if len(data) < size:
            raise CorruptionError(path, offset + len(data), "file ends here, too early")
        return data
    raise AssertionError("unreachable")


class IndexFile:
    """An open index file. `mended` collects the damage that a second copy made good."""

    def __init__(self, file: File, path: Path) -> None:
        self._file = file
        self.path = path
        self.mended: list[CorruptionError] = []
        self.header = self._open()

    @property
    def meta(self) -> BlockMeta:
        return self.header.meta

    def _open(self) -> Header:
        size = self._file.size()
        if size < 2 * HEADER_BYTES:
            raise CorruptionError(self.path, size, "file ends here, too early for an index")
        head = read_exactly(self._file, HEADER_BYTES, 0, self.path, spare=_READ_AHEAD_BYTES)
        try:
            header, table = self._front(head)
        except CorruptionError as error:
            header, table = self._back(size)
            self.mended.append(error.with_traceback(None))
        if header.meta.index_bytes != size:
            raise CorruptionError(
                self.path,
                min(size, header.meta.index_bytes),
                f"index has {size} bytes, its header says {header.meta.index_bytes}",
            )
        self.rows = np.frombuffer(table, SECTION)
        return header

    def _front(self, head: bytes) -> tuple[Header, bytes]:
        header = decode_header(head[:HEADER_BYTES], self.path, 0)
        table = head[HEADER_BYTES : HEADER_BYTES + header.table_bytes]
        if len(table) < header.table_bytes:
            table = read_exactly(self._file, header.table_bytes, HEADER_BYTES, self.path)
        self._check_table(header, table, HEADER_BYTES)
        return header, table

    def _back(self, size: int) -> tuple[Header, bytes]:
        at = size - HEADER_BYTES
        header = decode_header(read_exactly(self._file, HEADER_BYTES, at, self.path), self.path, at)
        at -= header.table_bytes
        if at < HEADER_BYTES:
            raise CorruptionError(self.path, at + header.table_bytes, "table larger than the file")
        table = read_exactly(self._file, header.table_bytes, at, self.path)
        self._check_table(header, table, at)
        return header, table

    def _check_table(self, header: Header, table: bytes, at: int) -> None:
        if check_of(table) != header.table_check:
            raise CorruptionError(self.path, at, "section table checksum does not hold")

    def has(self, kind: Kind) -> bool:
        return bool((self.rows["kind"] == kind).any())

    def read(self, kind: Kind) -> U64s:
        """The numbers of a section, from the first copy that holds."""
        rows = self.rows[self.rows["kind"] == kind]
        failure: CorruptionError | None = None
        for row in rows:
            try:
                numbers = self._read_row(row)
            except CorruptionError as error:
                failure = failure or error
                continue
            if failure is not None:
                self.mended.append(failure.with_traceback(None))
            return numbers
        raise failure or CorruptionError(self.path, HEADER_BYTES, f"no section {kind.name}")

    def _read_row(self, row: np.void) -> U64s:
        offset, size = int(row["offset"]), section.padded(int(row["bytes"]))
        if offset + size > self.meta.index_bytes:
            raise CorruptionError(self.path, offset, "section reaches past the end of the file")
        data = read_exactly(self._file, size, offset, self.path)
        return section.decode(row, data, self.header.count(int(row["kind"])), self.path)

    def damage(self) -> list[CorruptionError]:
        """Every header, table and section, copies too, that does not hold."""
        found: list[CorruptionError] = []
        front = read_exactly(self._file, HEADER_BYTES, 0, self.path, spare=_READ_AHEAD_BYTES)
        for copy in ("front", "back"):
            try:
                self._front(front) if copy == "front" else self._back(self.meta.index_bytes)
            except (CorruptionError, NewerFormat) as error:
                found.append(_as_damage(error, self.path))
        for row in self.rows:
            try:
                self._read_row(row)
            except CorruptionError as error:
                found.append(error)
        return found


def _as_damage(error: CorruptionError | NewerFormat, path: Path) -> CorruptionError:
    return error if isinstance(error, CorruptionError) else CorruptionError(path, 0, str(error))
