"""One column of the index file: whole numbers as offsets from a base, floats in byte planes.

    in   int64, uint64 or uint32 numbers; a Kind
    out  a row of the section table and its bytes; and back, checked

Numbers take 0, 1, 2, 4 or 8 bytes each, whichever holds the largest offset from the smallest
one. In a block of scrapes most columns are constant or nearly so: refs differ by 1, every
series has the same chunks, every chunk the same points; they cost nothing or a byte. A column
of refs is stored as differences.

Pre-aggregates repeat their high bytes from chunk to chunk: all first bytes side by side, then
all second bytes, and zstd finds it (0.6 of plain size on gauges). Used when an eighth is saved.
Price: opening costs one numpy pass a column, about 0.3 ms for 20,000 chunks.
"""

from __future__ import annotations

from pathlib import PurePath
from typing import TypeAlias

import cramjam
import numpy as np
import numpy.typing as npt

from tsdb.batch import U64s
from tsdb.block.layout import SECTION, SECTION_ALIGN_BYTES, Form, Kind, check_of
from tsdb.errors import CorruptionError

__all__ = ["decode", "encode", "padded"]

Row: TypeAlias = np.void
"""One row of the section table."""
_UNSIGNED: dict[int, npt.DTypeLike] = {1: "<u1", 2: "<u2", 4: "<u4", 8: "<u8"}
_ZSTD_LEVEL = 3
_PLANES_WORTH = 7 / 8


def encode(kind: Kind, numbers: npt.NDArray[np.generic]) -> tuple[Row, bytes]:
    """The table row (offset still 0) and the bytes of one section, padded."""
    words = _as_words(numbers)
    row = np.zeros(1, SECTION)
    row["kind"], row["count"] = kind, words.size
    if kind == Kind.REFS:
        row["form"], row["first"] = Form.DELTA, words[0]
        words = np.diff(words)
    base = words[np.argmin(_ordered(numbers, words))] if words.size else np.uint64(0)
    stored = words - base
    width = _width(int(stored.max()) if words.size else 0)
    data = stored.astype(_UNSIGNED[width]).tobytes() if width else b""
    if kind in (Kind.MIN, Kind.MAX, Kind.SUM, Kind.FIRST, Kind.LAST):
        planes = _squeeze(data, width)
        if len(planes) < len(data) * _PLANES_WORTH:
            row["form"], data = Form.PLANES, planes
    row["base"], row["width"], row["bytes"] = base, width, len(data)
    data += bytes(padded(len(data)) - len(data))
    row["check"] = check_of(data)
    return row[0], data


def padded(size_bytes: int) -> int:
    """Bytes a section takes in the file; its checksum covers the zeros behind it too."""
    return -(-size_bytes // SECTION_ALIGN_BYTES) * SECTION_ALIGN_BYTES


def _as_words(numbers: npt.NDArray[np.generic]) -> U64s:
    if numbers.dtype == np.uint32:
        return numbers.astype(np.uint64)
    return numbers.view(np.uint64)


def _ordered(numbers: npt.NDArray[np.generic], words: U64s) -> npt.NDArray[np.generic]:
    """`words` in the order in which offsets from the smallest are smallest: signed if they are."""
    return words.view(np.int64) if numbers.dtype == np.int64 else words


def _width(largest: int) -> int:
    return next(width for width in (0, 1, 2, 4, 8) if largest < 1 << (8 * width))


def _squeeze(data: bytes, width: int) -> bytes:
    if not width:
        return data
    planes = np.frombuffer(data, np.uint8).reshape(-1, width).T.tobytes()
    return bytes(cramjam.zstd.compress(planes, _ZSTD_LEVEL))


def decode(row: Row, data: bytes, expected: int, path: PurePath | str | None) -> U64s:
    """The `expected` numbers of a section whose bytes were read, or CorruptionError.

    How many there must be is known from the header, so no count becomes a wish for memory.
    """
    offset = int(row["offset"])
    assert len(data) == padded(int(row["bytes"]))
    if check_of(data) != row["check"]:
        raise CorruptionError(path, offset, "section checksum does not hold")
    count, width, form = int(row["count"]), int(row["width"]), int(row["form"])
    stored_count = count - 1 if form == Form.DELTA else count
    if count != expected:
        raise CorruptionError(path, offset, f"section of {count} numbers, not {expected}")
    if width not in (0, *_UNSIGNED) or form > Form.PLANES:
        raise CorruptionError(path, offset, "section has an impossible width or form")
    data = data[: int(row["bytes"])]
    if form == Form.PLANES:
        data = _stretch(data, stored_count * width, width, path, offset)
    if len(data) != stored_count * width:
        raise CorruptionError(path, offset, f"section of {stored_count} x {width} bytes expected")
    words = np.full(stored_count, row["base"], np.uint64)
    if width:
        words += np.frombuffer(data, _UNSIGNED[width])
    if form == Form.DELTA:
        words = np.concatenate((np.array([row["first"]], np.uint64), words))
        np.cumsum(words, out=words)
    return words


def _stretch(
    data: bytes, size_bytes: int, width: int, path: PurePath | str | None, offset: int
) -> bytes:
    """Planes back to numbers. The size is known, so a frame that wants more memory is refused."""
    planes = np.empty(size_bytes, np.uint8)
    try:
        written = cramjam.zstd.decompress_into(data, planes.data)
    except cramjam.DecompressionError as error:
        raise CorruptionError(path, offset, f"section does not decompress: {error}") from error
    if written != size_bytes:
        raise CorruptionError(path, offset, f"section decompresses to {written} bytes")
    return planes.reshape(width, -1).T.tobytes()
