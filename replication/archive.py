"""A folder as one stream of bytes, and back: a tar file, for a node that copies another's data.

    in   a folder
    out  pieces of a tar file; and from those a folder like it, durable

Only plain files and folders, by relative names. Files are read and written in pieces; blocks bring
checksums of their own, so none is added here.
"""

from __future__ import annotations

import contextlib
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from tsdb.errors import CorruptionError
from tsdb.vfs import Files, write_all

__all__ = ["packed", "unpack"]

PIECE_BYTES = 1 << 20
_END = bytes(2 * tarfile.BLOCKSIZE)


def packed(files: Files, folder: Path, *, under: str = "") -> Iterator[bytes]:
    """The tar file of all that is in `folder`."""
    yield from _members(files, folder, under)
    yield _END


def _members(files: Files, folder: Path, under: str) -> Iterator[bytes]:
    for name in files.list(folder):
        path, info = folder / name, tarfile.TarInfo(under + name)
        if files.is_dir(path):
            info.type = tarfile.DIRTYPE
            yield info.tobuf()
            yield from _members(files, path, f"{under}{name}/")
            continue
        with contextlib.closing(files.open_read(path)) as file:
            info.size = file.size()
            yield info.tobuf()
            for offset in range(0, info.size, PIECE_BYTES):
                yield file.pread(min(PIECE_BYTES, info.size - offset), offset)
        yield bytes(-info.size % tarfile.BLOCKSIZE)


def unpack(files: Files, stream: IO[bytes], folder: Path) -> int:
    """Write what is in the tar file into `folder`, which is there and empty; bytes written.

    Raises CorruptionError when the stream is cut off or holds anything but files and folders.
    """
    written = 0
    folders = [folder]
    try:
        with tarfile.open(fileobj=stream, mode="r|") as archive:
            for member in archive:
                path = _place(folder, member)
                if member.isdir():
                    files.mkdir(path)
                    folders.append(path)
                else:
                    written += _write(files, archive, member, path)
    except (tarfile.TarError, EOFError) as error:
        raise CorruptionError(folder, written, f"the copy is cut off: {error}") from error
    for one in folders:
        files.sync_dir(one)
    return written


def _place(folder: Path, member: tarfile.TarInfo) -> Path:
    name = PurePosixPath(member.name)
    if name.is_absolute() or ".." in name.parts or not (member.isfile() or member.isdir()):
        raise CorruptionError(folder, 0, f"{member.name[:100]!r} has no place in a copy")
    return folder / name


def _write(files: Files, archive: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> int:
    source = archive.extractfile(member)
    assert source is not None
    with contextlib.closing(files.create(path)) as file:
        offset = 0
        while piece := source.read(PIECE_BYTES):
            write_all(file, piece, offset)
            offset += len(piece)
        if offset != member.size:
            raise CorruptionError(path, offset, f"{offset} of {member.size} bytes came")
        file.sync()
    return offset
