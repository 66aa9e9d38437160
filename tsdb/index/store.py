"""Index files: which ref is which label set, on disk (docs/format/index.md).

    in   IndexColumns of the series defined since the last file
    out  an immutable file in `index/`, named by its refs and its own checksum; columns again

A file is the same copy twice, a copy is a header and five sections. Names of series are worth
more than their size: without them points are numbers of nobody. Each section has a checksum and
is taken from whichever copy holds.

Read with pread only. Every byte is checked on every read; what holds no series although its
checksums hold (a bug of the writer) is damage too, and named by its place.

Price: 92 to 134 bytes a series of ten labels, both copies; 0.5 s to read and load a million.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xxhash

from tsdb.errors import CorruptionError, NewerFormat
from tsdb.index.columns import IndexColumns
from tsdb.vfs import TEMPORARY, File, Files, write_all

__all__ = ["VERSION", "read_index", "verify_index", "write_index"]

MAGIC = b"SBKINDEX"
VERSION = 1
COPIES = 2
ALIGNMENT_BYTES = 64
_FIELDS = struct.Struct("<8sHH4xQQQIIQ8x")  # up to the table of sections
_ENTRY = struct.Struct("<QQ")  # of the table: bytes, check
_CHECK = struct.Struct("<Q")
HEADER_BYTES = 192
CHECK_OFFSET = HEADER_BYTES - _CHECK.size  # at this place in every version
SECTIONS: tuple[tuple[str, npt.DTypeLike], ...] = (
    ("refs", "<u4"),
    ("sizes", "<u1"),
    ("rows", "<u4"),
    ("label_sizes", "<u2"),
    ("text", "<u1"),
)
assert _FIELDS.size == 64
assert _FIELDS.size + len(SECTIONS) * _ENTRY.size <= CHECK_OFFSET


@dataclass(frozen=True, slots=True)
class Header:
    """One copy's header."""

    series: int
    labels: int  # distinct ones
    items: int  # of all rows
    first_ref: int
    last_ref: int
    copy_bytes: int
    sections: tuple[tuple[int, int], ...]  # bytes without padding, check with it

    @property
    def offsets(self) -> tuple[int, ...]:
        """Where each section begins in a copy, and where the last one ends."""
        offsets = [HEADER_BYTES]
        for size, _ in self.sections:
            offsets.append(offsets[-1] + _padded(size))
        return tuple(offsets)

    def pack(self) -> bytes:
        head = _FIELDS.pack(
            MAGIC,
            VERSION,
            len(SECTIONS),
            self.series,
            self.labels,
            self.items,
            self.first_ref,
            self.last_ref,
            self.copy_bytes,
        )
        body = (head + b"".join(_ENTRY.pack(*entry) for entry in self.sections)).ljust(
            CHECK_OFFSET, b"\0"
        )
        return body + _CHECK.pack(xxhash.xxh3_64_intdigest(body))


def write_index(files: Files, directory: Path, columns: IndexColumns) -> str:
    """Write the series of `columns`, durably; returns the file's name.

    The name says the content: the same series written again replace the file by itself.
    """
    assert columns.count, "a file without series has no name"
    assert columns.fault() is None, f"not canonical: {columns.fault()}"
    parts = [_padded_bytes(array) for array in _sections_of(columns)]
    checks = [xxhash.xxh3_64_intdigest(part) for part in parts]
    sizes = [array.nbytes for array in _sections_of(columns)]
    header = Header(
        series=columns.count,
        labels=columns.offsets.size - 1,
        items=columns.rows.size,
        first_ref=int(columns.refs[0]),
        last_ref=int(columns.refs[-1]),
        copy_bytes=HEADER_BYTES + sum(map(len, parts)),
        sections=tuple(zip(sizes, checks, strict=True)),
    )
    packed = header.pack()
    check = _CHECK.unpack(packed[CHECK_OFFSET:])[0]
    name = f"{header.first_ref:010d}-{header.last_ref:010d}-{check:016x}"
    _put(files, directory / name, [packed, *parts] * COPIES)
    return name


def read_index(files: Files, path: Path) -> IndexColumns:
    """The series of a file; CorruptionError if a part of it holds in neither copy."""
    file = files.open_read(path)
    try:
        return _columns(path, file)
    finally:
        file.close()


def verify_index(files: Files, path: Path) -> list[CorruptionError]:
    """All that is wrong with a file, also what its other copy makes good. Reads both copies."""
    file = files.open_read(path)
    faults: list[CorruptionError] = []
    try:
        size = file.size()
        for start in (0, size // COPIES):
            try:
                header = _header(path, file, start)
            except CorruptionError as error:
                faults.append(error)
                continue
            found = _sections(path, file, header, start).values()
            faults += [part for part in found if isinstance(part, CorruptionError)]
            if header.copy_bytes * COPIES != size:
                faults.append(CorruptionError(path, size, "the file is not two copies long"))
        if not faults:
            _columns(path, file)
    except CorruptionError as error:
        faults.append(error)
    finally:
        file.close()
    return faults


def _columns(path: Path, file: File) -> IndexColumns:
    header = _any_header(path, file)
    arrays: dict[str, npt.NDArray[Any]] = {}
    found = _sections(path, file, header, 0)
    if any(isinstance(part, CorruptionError) for part in found.values()):
        other = _sections(path, file, header, header.copy_bytes)
        for name, part in found.items():
            if isinstance(part, CorruptionError) and isinstance(other[name], bytes):
                found[name] = other[name]
    for name, dtype in SECTIONS:
        part = found[name]
        if isinstance(part, CorruptionError):
            raise part
        arrays[name] = np.frombuffer(part, dtype)
    offsets = np.zeros(header.labels + 1, np.int64)
    np.cumsum(arrays["label_sizes"], out=offsets[1:])
    columns = IndexColumns(arrays["refs"], arrays["sizes"], arrays["rows"], offsets, arrays["text"])
    fault = columns.fault()
    if fault is not None:
        section, place = fault
        starts = {name: start for (name, _), start in zip(SECTIONS, header.offsets, strict=False)}
        raise CorruptionError(path, starts[section] + place, f"{section}: not canonical series")
    if (header.first_ref, header.last_ref) != (int(columns.refs[0]), int(columns.refs[-1])):
        raise CorruptionError(path, 0, "first and last ref are not those of the header")
    return columns


def _any_header(path: Path, file: File) -> Header:
    try:
        return _header(path, file, 0)
    except CorruptionError:
        try:
            return _header(path, file, file.size() // COPIES)
        except CorruptionError:
            pass
        raise


def _header(path: Path, file: File, start: int) -> Header:
    data = file.pread(HEADER_BYTES, start)
    if len(data) < HEADER_BYTES:
        raise CorruptionError(path, start, "shorter than a header")
    if data[: len(MAGIC)] != MAGIC:
        raise CorruptionError(path, start, "not an index file")
    if _CHECK.unpack(data[CHECK_OFFSET:])[0] != xxhash.xxh3_64_intdigest(data[:CHECK_OFFSET]):
        raise CorruptionError(path, start, "the header's checksum does not hold")
    _, version, sections, *numbers = _FIELDS.unpack(data[: _FIELDS.size])
    if version > VERSION:
        raise NewerFormat(path, version, VERSION)
    table = data[_FIELDS.size : _FIELDS.size + len(SECTIONS) * _ENTRY.size]
    series, labels, items, first_ref, last_ref, copy_bytes = numbers
    header = Header(
        series, labels, items, first_ref, last_ref, copy_bytes, tuple(_ENTRY.iter_unpack(table))
    )
    if version != VERSION or sections != len(SECTIONS) or not _is_consistent(header):
        raise CorruptionError(path, start, "the header contradicts itself")
    return header


def _is_consistent(header: Header) -> bool:
    refs, sizes, rows, label_sizes, _ = (size for size, _ in header.sections)
    return (
        header.series > 0
        and header.offsets[-1] == header.copy_bytes
        and (refs, sizes) == (4 * header.series, header.series)
        and (rows, label_sizes) == (4 * header.items, 2 * header.labels)
    )


def _sections(
    path: Path, file: File, header: Header, start: int
) -> dict[str, bytes | CorruptionError]:
    """Each section of the copy at `start`, or why it does not hold."""
    found: dict[str, bytes | CorruptionError] = {}
    end = file.size()
    for (name, _), (size, check), place in zip(
        SECTIONS, header.sections, header.offsets[:-1], strict=True
    ):
        offset = start + place
        if offset + _padded(size) > end:
            found[name] = CorruptionError(path, offset, f"{name} is cut off")
            continue
        data = file.pread(_padded(size), offset)
        if xxhash.xxh3_64_intdigest(data) == check:
            found[name] = data[:size]
        else:
            found[name] = CorruptionError(path, offset, f"the checksum of {name} does not hold")
    return found


def _sections_of(columns: IndexColumns) -> tuple[npt.NDArray[Any], ...]:
    label_sizes = np.diff(columns.offsets).astype(np.uint16)
    arrays = columns.refs, columns.sizes, columns.rows, label_sizes, columns.text
    return tuple(
        np.ascontiguousarray(array, dtype)
        for array, (_, dtype) in zip(arrays, SECTIONS, strict=True)
    )


def _padded(size: int) -> int:
    return -(-size // ALIGNMENT_BYTES) * ALIGNMENT_BYTES


def _padded_bytes(array: npt.NDArray[Any]) -> bytes:
    return array.tobytes().ljust(_padded(array.nbytes), b"\0")


def _put(files: Files, path: Path, parts: list[bytes]) -> None:
    """As `vfs.write_whole`, part by part."""
    temporary = path.with_name(path.name + TEMPORARY)
    if files.exists(temporary):
        files.unlink(temporary)
    file = files.create(temporary)
    try:
        offset = 0
        for part in parts:
            write_all(file, part, offset)
            offset += len(part)
        file.sync()
    finally:
        file.close()
    files.rename(temporary, path)
    files.sync_dir(path.parent)
