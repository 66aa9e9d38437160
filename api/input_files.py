"""Files that people hand to a command: plain, .gz or .zst, told apart by their first bytes.

    in   a path
    out  pieces of bytes or whole lines, and how far the file has been read

gzip streams. zstd is unpacked into an unnamed temporary file first, because the library at hand
only reads whole frames into memory otherwise. `-` is standard input.
"""

from __future__ import annotations

import io
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from tsdb.errors import InvalidInput

__all__ = ["InputFile", "open_input", "packing_of", "stem_of", "whole_lines"]

_MAGICS = {b"\x1f\x8b": "gz", b"\x28\xb5\x2f\xfd": "zst"}


@dataclass(slots=True)
class InputFile:
    """`size_bytes` and `read_bytes` are those of the file as it lies on disk; 0 if unknown."""

    name: str
    content: BinaryIO
    size_bytes: int
    _raw: BinaryIO

    def read_bytes(self) -> int:
        return self._raw.tell() if self.size_bytes else 0

    def pieces(self, size_bytes: int) -> Iterator[bytes]:
        """The content; InvalidInput where it is no sound gzip."""
        try:
            while piece := self.content.read(size_bytes):
                yield piece
        except (EOFError, OSError, ValueError) as error:
            raise InvalidInput(f"{self.name}: {error}") from error

    def whole_lines(self, size_bytes: int) -> Iterator[bytes]:
        """Blocks of about `size_bytes` that end where a line ends."""
        return whole_lines(self.pieces(size_bytes), size_bytes)


def whole_lines(pieces: Iterable[bytes], size_bytes: int) -> Iterator[bytes]:
    """The same bytes in blocks of about `size_bytes` that end where a line ends."""
    waiting: list[bytes] = []
    size = 0
    for piece in pieces:
        waiting.append(piece)
        size += len(piece)
        if size >= size_bytes and b"\n" in piece:
            whole, _, rest = b"".join(waiting).rpartition(b"\n")
            yield whole + b"\n"
            waiting, size = [rest], len(rest)
    if size:
        yield b"".join(waiting)


@contextmanager
def open_input(path: Path) -> Iterator[InputFile]:
    """The content of a file, unpacked."""
    if str(path) == "-":
        yield InputFile("standard input", sys.stdin.buffer, 0, sys.stdin.buffer)
        return
    with path.open("rb") as raw:
        magic = raw.read(4)
        raw.seek(0)
        packing = next((kind for head, kind in _MAGICS.items() if magic.startswith(head)), "")
        size = path.stat().st_size
        if packing == "gz":
            from isal import igzip

            with igzip.open(raw, "rb") as content:
                yield InputFile(str(path), content, size, raw)
        elif packing == "zst":
            with _unpacked_zstd(path) as content:
                size = content.seek(0, io.SEEK_END)
                content.seek(0)
                yield InputFile(str(path), content, size, content)
        else:
            yield InputFile(str(path), raw, size, raw)


@contextmanager
def _unpacked_zstd(path: Path) -> Iterator[BinaryIO]:
    import cramjam

    with tempfile.NamedTemporaryFile(prefix="silverback-") as unpacked:
        try:
            cramjam.zstd.decompress_into(cramjam.File(str(path)), cramjam.File(unpacked.name))
        except (cramjam.DecompressionError, OSError) as error:
            raise InvalidInput(f"{path} is damaged: {error}") from error
        with Path(unpacked.name).open("rb") as content:
            yield content


def packing_of(path: Path) -> str:
    """`gz`, `zst` or nothing, by the name of a file that is to be written."""
    return {".gz": "gz", ".zst": "zst"}.get(path.suffix.lower(), "")


def stem_of(path: Path) -> str:
    """`rooms` of `data/rooms.csv.gz`."""
    name = path.name
    for suffix in (".gz", ".zst", ".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".bin", ".txt"):
        name = name.removesuffix(suffix)
    return name or path.name
