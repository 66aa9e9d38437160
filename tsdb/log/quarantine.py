"""Copies of bytes that are no entries: kept for whoever has to find out what happened.

    in   ranges of files that recovery could not believe
    out  `<segment>-<offset>-<end>.bad` in the quarantine folder, durable

The originals stay where they are until their segment is trimmed; a torn tail may go at once,
hence the copy. Names depend on the place only, so a recovery that starts again copies nothing
twice. A file that could not be read is moved here whole instead of being removed.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from tsdb.log.reading import PatientFile
from tsdb.log.record import READ_BYTES
from tsdb.log.recovery import Bad
from tsdb.vfs import TEMPORARY, Files, write_all


def keep_copies(files: Files, folder: Path | None, ranges: list[Bad]) -> None:
    """Copy each range once. Raises OSError as the file system does."""
    if folder is None or not ranges:
        return
    if not files.exists(folder):
        files.mkdir(folder)
    for bad in ranges:
        path = folder / f"{bad.path.name}-{bad.offset:010d}-{bad.end:010d}.bad"
        if not files.exists(path):
            _copy(files, bad, path)
    files.sync_dir(folder)
    files.sync_dir(folder.parent)


def set_aside(files: Files, folder: Path | None, path: Path) -> None:
    """Instead of removing a file that a better disk may still be able to read."""
    if folder is None:
        return
    if not files.exists(folder):
        files.mkdir(folder)
    files.rename(path, folder / path.name)
    files.sync_dir(folder)


def _copy(files: Files, bad: Bad, path: Path) -> None:
    temporary = path.with_name(path.name + TEMPORARY)
    if files.exists(temporary):
        files.unlink(temporary)
    with closing(files.open_read(bad.path)) as file, closing(files.create(temporary)) as copy:
        source = PatientFile(file)
        for offset in range(bad.offset, bad.end, READ_BYTES):
            data = source.pread(min(READ_BYTES, bad.end - offset), offset)
            write_all(copy, data, offset - bad.offset)
        copy.sync()
    files.rename(temporary, path)
