"""The seam between this program and a file system: every file operation goes through `Files`.

    in   paths (pathlib.Path), bytes, explicit offsets
    out  the same operations on the operating system (`OsFiles`); tests put a simulated disk or
         a fault injector in its place

Why a seam: which bytes survive a power cut depends on every sync that was or was not made, and
only an implementation that logs operations can enumerate that (tests/crash). So nothing else
in the engine opens, renames or syncs a file.

Rules of `OsFiles`. Files are private (0600, folders 0700), never follow a symbolic link in the
last part of a path, and are closed on exec. Reads are `pread`: a truncated file is a short
read, not SIGBUS. Errors are OSError as the kernel gave them; who may answer which of them is
the caller's decision (after a failed sync: nobody, see tsdb/log/wal.py).

Price: one Python call more per operation, 0.1 µs beside a system call of 1 µs.
"""

from __future__ import annotations

import contextlib
import enum
import errno
import fcntl
import os
import stat
import sys
from pathlib import Path
from typing import Protocol, TypeAlias

from tsdb import limits
from tsdb.errors import Unavailable

Buffer: TypeAlias = bytes | bytearray | memoryview

TEMPORARY = ".tmp"
"""Suffix of a file that is not there yet: recovery may delete it unread."""
_FILE_MODE, _FOLDER_MODE = 0o600, 0o700
_ALLOCATE_REFUSED = {errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.ENOSPC, errno.EDQUOT}
_LINK_REFUSED = {errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS}
_COPY_BYTES = 1 << 20


class File(Protocol):
    """An open file. Offsets are explicit, so threads may share it."""

    def pread(self, size: int, offset: int) -> bytes:
        """`size` bytes from `offset`; fewer only at the end of the file."""

    def pwrite(self, data: Buffer, offset: int) -> int:
        """Bytes written, which may be fewer than given: use `write_all`."""

    def truncate(self, size: int) -> None: ...

    def allocate(self, offset: int, size: int) -> None:
        """Make the file at least `offset + size` long with zeros, if that is cheap here."""

    def size(self) -> int: ...

    def datasync(self) -> None:
        """Contents and length are on disk when this returns."""

    def sync(self) -> None: ...

    def close(self) -> None: ...


class Lock(Protocol):
    def release(self) -> None: ...


class Files(Protocol):
    """A file system. A name is durable only after `sync_dir` of the folder that holds it."""

    def create(self, path: Path) -> File:
        """A new file for reading and writing; FileExistsError if there is one."""

    def open_read(self, path: Path) -> File: ...

    def open_write(self, path: Path) -> File:
        """An existing file for reading and writing."""

    def mkdir(self, path: Path) -> None: ...

    def list(self, path: Path) -> list[str]:
        """Names in the folder, sorted."""

    def exists(self, path: Path) -> bool: ...

    def is_dir(self, path: Path) -> bool: ...

    def rename(self, old: Path, new: Path) -> None:
        """Atomic; replaces a file at `new`."""

    def unlink(self, path: Path) -> None: ...

    def rmdir(self, path: Path) -> None: ...

    def link(self, old: Path, new: Path) -> None:
        """A second name for a file that is never written again; a copy where links are refused."""

    def sync_dir(self, path: Path) -> None: ...

    def free_bytes(self, path: Path) -> tuple[int, int]:
        """Bytes this process may still use there, and the size of the file system."""

    def lock(self, path: Path) -> Lock:
        """Exclusive until released or the process ends; Unavailable(code="locked") if taken."""


class Room(enum.IntEnum):
    """How full a disk is; the levels are `limits.DISK_*`."""

    STOP = 0
    LOW = 1
    ENOUGH = 2


def room(files: Files, path: Path) -> Room:
    """STOP: no writes. LOW: warn, nothing that needs space. ENOUGH: as usual."""
    free, total = files.free_bytes(path)
    if free < max(limits.DISK_STOP_BYTES, int(total * limits.DISK_STOP_SHARE)):
        return Room.STOP
    if free < max(limits.DISK_LOW_BYTES, int(total * limits.DISK_LOW_SHARE)):
        return Room.LOW
    return Room.ENOUGH


def write_all(file: File, data: Buffer, offset: int) -> None:
    """Write all of `data`: a bare pwrite may stop half way and say so only by its result."""
    written = file.pwrite(data, offset)
    if written == len(data):
        return
    rest = memoryview(data)
    while written < len(rest):
        count = file.pwrite(rest[written:], offset + written)
        if count <= 0:
            raise OSError(errno.EIO, "pwrite made no progress")
        written += count


def write_whole(files: Files, path: Path, data: Buffer) -> None:
    """Put a whole file in place, durably: after a crash `path` is the old file or the new one."""
    temporary = path.with_name(path.name + TEMPORARY)
    if files.exists(temporary):
        files.unlink(temporary)
    file = files.create(temporary)
    try:
        write_all(file, data, 0)
        file.sync()
    finally:
        file.close()
    files.rename(temporary, path)
    files.sync_dir(path.parent)


def remove_tree(files: Files, path: Path) -> None:
    """Remove a folder and all in it. Not atomic: rename it to a name that says so first."""
    for name in files.list(path):
        child = path / name
        if files.is_dir(child):
            remove_tree(files, child)
        else:
            files.unlink(child)
    files.rmdir(path)


class OsFile:
    """An open file of the operating system."""

    __slots__ = ("_fd",)

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def pread(self, size: int, offset: int) -> bytes:
        data = os.pread(self._fd, size, offset)
        if len(data) == size or not data:
            return data
        pieces = [data]
        have = len(data)
        while have < size:  # a signal, or more than the kernel copies at once
            data = os.pread(self._fd, size - have, offset + have)
            if not data:
                break
            pieces.append(data)
            have += len(data)
        return b"".join(pieces)

    def pwrite(self, data: Buffer, offset: int) -> int:
        return os.pwrite(self._fd, data, offset)

    def truncate(self, size: int) -> None:
        os.ftruncate(self._fd, size)

    def allocate(self, offset: int, size: int) -> None:
        if not hasattr(os, "posix_fallocate"):
            return
        try:
            os.posix_fallocate(self._fd, offset, size)
        except OSError as error:
            if error.errno not in _ALLOCATE_REFUSED:
                raise

    def size(self) -> int:
        return os.fstat(self._fd).st_size

    def datasync(self) -> None:
        _sync(self._fd, data_only=True)

    def sync(self) -> None:
        _sync(self._fd, data_only=False)

    def close(self) -> None:
        """Idempotent, so that clean-up paths need not know how far things got."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


def _sync(fd: int, *, data_only: bool) -> None:
    if sys.platform == "darwin":  # there fsync leaves the bytes in the drive's cache
        fcntl.fcntl(fd, fcntl.F_FULLFSYNC)
    elif data_only:
        os.fdatasync(fd)
    else:
        os.fsync(fd)


class OsLock:
    """flock of one file; the kernel releases it when the process ends, however it ends."""

    __slots__ = ("_fd",)

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def release(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


class OsFiles:
    """`Files` of the operating system."""

    def create(self, path: Path) -> File:
        return OsFile(_open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL))

    def open_read(self, path: Path) -> File:
        return OsFile(_open(path, os.O_RDONLY))

    def open_write(self, path: Path) -> File:
        return OsFile(_open(path, os.O_RDWR))

    def mkdir(self, path: Path) -> None:
        os.mkdir(path, _FOLDER_MODE)

    def list(self, path: Path) -> list[str]:
        return sorted(os.listdir(path))

    def exists(self, path: Path) -> bool:
        return os.path.lexists(path)

    def is_dir(self, path: Path) -> bool:
        try:
            return stat.S_ISDIR(os.lstat(path).st_mode)
        except (FileNotFoundError, NotADirectoryError):
            return False

    def rename(self, old: Path, new: Path) -> None:
        os.rename(old, new)

    def unlink(self, path: Path) -> None:
        os.unlink(path)

    def rmdir(self, path: Path) -> None:
        os.rmdir(path)

    def link(self, old: Path, new: Path) -> None:
        try:
            os.link(old, new, follow_symlinks=False)
        except OSError as error:
            if error.errno not in _LINK_REFUSED:
                raise
            self._copy(old, new)

    def sync_dir(self, path: Path) -> None:
        fd = _open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            _sync(fd, data_only=False)
        finally:
            os.close(fd)

    def free_bytes(self, path: Path) -> tuple[int, int]:
        found = os.statvfs(path)
        return found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize

    def lock(self, path: Path) -> Lock:
        fd = _open(path, os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(fd, 0)
            os.pwrite(fd, b"%d\n" % os.getpid(), 0)
        except BlockingIOError:
            owner = os.pread(fd, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(fd)
            raise Unavailable(
                f"{path} is held by process {owner}: one process at a time may open a database",
                code="locked",
            ) from None
        except OSError:
            os.close(fd)
            raise
        return OsLock(fd)

    def _copy(self, old: Path, new: Path) -> None:
        with (
            contextlib.closing(self.open_read(old)) as source,
            contextlib.closing(self.create(new)) as target,
        ):
            try:
                offset = 0
                while data := source.pread(_COPY_BYTES, offset):
                    write_all(target, data, offset)
                    offset += len(data)
                target.sync()
            except OSError:
                self.unlink(new)
                raise


def _open(path: Path, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, _FILE_MODE)
