"""A disk in memory that remembers every operation, so that each power cut can be tried.

    from crash.disk import SimulatedDisk

(`pythonpath = ["tests"]` in pyproject.toml puts this folder's parent on the path; modules here
that do not start with `test_` are plain modules, usable by the tests of any package.)

    in   operations of `tsdb.vfs.Files`, plus notes of the test: `sent`, `acked`
    out  the same answers as a file system; `ops`, from which crash.states builds disk images

Two views of one disk: what a process reads (page cache: all operations so far) and what a power
cut would leave (crash.states). Dropping every object that uses the disk and opening anew is
`kill -9`: the page cache stays.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

from tsdb.errors import Unavailable

ROOT = 0


class SimulatedDisk:
    """`tsdb.vfs.Files` in memory. Files and folders are inodes; names live in folders."""

    def __init__(
        self,
        files: dict[int, bytes] | None = None,
        dirs: dict[int, dict[str, int]] | None = None,
    ) -> None:
        self.ops: list[tuple] = []
        self.free = (1 << 40, 1 << 41)
        self.explore_from = 0  # crash.states looks at no power cut before this operation
        self.started = (files or {}, dirs or {ROOT: {}})  # durable from the beginning
        self._files = {ino: bytearray(data) for ino, data in self.started[0].items()}
        self._dirs = {ino: dict(names) for ino, names in self.started[1].items()}
        self._next = max([*self._files, *self._dirs]) + 1
        self._locked: set[Path] = set()

    # --- notes of the test -------------------------------------------------------------------

    def sent(self, value) -> None:
        """The program was asked to keep `value`."""
        self.ops.append(("sent", value))

    def acked(self, value) -> None:
        """The program promised that `value` is kept."""
        self.ops.append(("acked", value))

    # --- Files -------------------------------------------------------------------------------

    def create(self, path: Path) -> SimulatedFile:
        folder = self._folder(path)
        if path.name in self._dirs[folder]:
            raise FileExistsError(errno.EEXIST, "File exists", str(path))
        ino = self._new()
        self._files[ino] = bytearray()
        self._name("create", {folder}, [(folder, path.name, ino)], path)
        return SimulatedFile(self, ino, writable=True)

    def open_read(self, path: Path) -> SimulatedFile:
        return SimulatedFile(self, self._file(path), writable=False)

    def open_write(self, path: Path) -> SimulatedFile:
        return SimulatedFile(self, self._file(path), writable=True)

    def mkdir(self, path: Path) -> None:
        folder = self._folder(path)
        if path.name in self._dirs[folder]:
            raise FileExistsError(errno.EEXIST, "File exists", str(path))
        ino = self._new()
        self._dirs[ino] = {}
        self.ops.append(("newdir", ino))
        self._name("mkdir", {folder}, [(folder, path.name, ino)], path)

    def list(self, path: Path) -> list[str]:
        return sorted(self._dirs[self._dir(path)])

    def exists(self, path: Path) -> bool:
        try:
            self._lookup(path)
        except OSError:
            return False
        return True

    def is_dir(self, path: Path) -> bool:
        return self.exists(path) and self._lookup(path) in self._dirs

    def rename(self, old: Path, new: Path) -> None:
        ino, source, target = self._lookup(old), self._folder(old), self._folder(new)
        replaced = self._dirs[target].get(new.name)
        if replaced == ino:
            return  # two names of one file: POSIX does nothing
        if replaced is not None and (ino in self._dirs) != (replaced in self._dirs):
            number = errno.EISDIR if replaced in self._dirs else errno.ENOTDIR
            raise OSError(number, os.strerror(number), str(new))
        if self._dirs.get(replaced):
            raise OSError(errno.ENOTEMPTY, "Directory not empty", str(new))
        changes = [(source, old.name, None), (target, new.name, ino)]
        self._name("rename", {source, target}, changes, new)

    def unlink(self, path: Path) -> None:
        self._file(path)
        self._name("unlink", {self._folder(path)}, [(self._folder(path), path.name, None)], path)

    def rmdir(self, path: Path) -> None:
        if self._dirs[self._dir(path)]:
            raise OSError(errno.ENOTEMPTY, "Directory not empty", str(path))
        self._name("rmdir", {self._folder(path)}, [(self._folder(path), path.name, None)], path)

    def link(self, old: Path, new: Path) -> None:
        ino, folder = self._file(old), self._folder(new)
        if new.name in self._dirs[folder]:
            raise FileExistsError(errno.EEXIST, "File exists", str(new))
        self._name("link", {folder}, [(folder, new.name, ino)], new)

    def sync_dir(self, path: Path) -> None:
        self.ops.append(("syncdir", self._dir(path)))

    def free_bytes(self, path: Path) -> tuple[int, int]:
        return self.free

    def lock(self, path: Path) -> SimulatedLock:
        if path in self._locked:
            raise Unavailable(f"{path} is held by process {os.getpid()}", code="locked")
        self._locked.add(path)
        return SimulatedLock(self._locked, path)

    # --- inside ------------------------------------------------------------------------------

    def tree(self) -> dict[str, bytes | None]:
        """Every path with its contents (None for a folder): to compare disks, or to damage one."""
        found: dict[str, bytes | None] = {}
        waiting = [(ROOT, Path("/"))]
        while waiting:
            ino, path = waiting.pop()
            for name, child in self._dirs[ino].items():
                if child in self._dirs:
                    found[str(path / name)] = None
                    waiting.append((child, path / name))
                else:
                    found[str(path / name)] = bytes(self._files[child])
        return found

    def copy(self) -> SimulatedDisk:
        """The same page cache on another disk, where all of it is durable."""
        return SimulatedDisk(
            {ino: bytes(data) for ino, data in self._files.items()},
            {ino: dict(names) for ino, names in self._dirs.items()},
        )

    def poke(self, path: str, data: bytes) -> None:
        """Rot: the contents change and nobody did it."""
        self._files[self._file(Path(path))][:] = data

    def lose_pending(self, ino: int) -> None:
        """A sync failed: what was pending stays in the page cache and never gets to the disk.

        The next sync of the same file succeeds, as it does on Linux.
        """
        self.ops.append(("lost", ino))

    def _new(self) -> int:
        self._next += 1
        return self._next - 1

    def _lookup(self, path: Path) -> int:
        ino = ROOT
        for name in path.parts[1:]:
            if ino not in self._dirs:
                raise NotADirectoryError(errno.ENOTDIR, "Not a directory", str(path))
            if name not in self._dirs[ino]:
                raise FileNotFoundError(errno.ENOENT, "No such file or directory", str(path))
            ino = self._dirs[ino][name]
        return ino

    def _file(self, path: Path) -> int:
        ino = self._lookup(path)
        if ino in self._dirs:
            raise IsADirectoryError(errno.EISDIR, "Is a directory", str(path))
        return ino

    def _dir(self, path: Path) -> int:
        ino = self._lookup(path)
        if ino not in self._dirs:
            raise NotADirectoryError(errno.ENOTDIR, "Not a directory", str(path))
        return ino

    def _folder(self, path: Path) -> int:
        return self._dir(path.parent)

    def _name(self, what: str, touched: set[int], changes: list, path: Path) -> None:
        change_names(self._dirs, changes)
        self.ops.append(("name", what, frozenset(touched), tuple(changes), str(path)))


class SimulatedFile:
    def __init__(self, disk: SimulatedDisk, ino: int, *, writable: bool) -> None:
        self._disk, self._ino, self._writable = disk, ino, writable
        self._open = True

    def pread(self, size: int, offset: int) -> bytes:
        return bytes(self._data()[offset : offset + size])

    def pwrite(self, data, offset: int) -> int:
        self._change(("write", self._ino, offset, bytes(data)))
        return len(data)

    def truncate(self, size: int) -> None:
        self._change(("truncate", self._ino, size))

    def allocate(self, offset: int, size: int) -> None:
        if offset + size > len(self._data()):
            self._change(("truncate", self._ino, offset + size))

    def size(self) -> int:
        return len(self._data())

    def datasync(self) -> None:
        self._data()
        self._disk.ops.append(("sync", self._ino))

    def sync(self) -> None:
        self.datasync()

    def lose_pending(self) -> None:
        self._disk.lose_pending(self._ino)

    def close(self) -> None:
        self._open = False

    def _data(self) -> bytearray:
        if not self._open:
            raise OSError(errno.EBADF, "Bad file descriptor")
        return self._disk._files[self._ino]

    def _change(self, op: tuple) -> None:
        data = self._data()
        if not self._writable:
            raise OSError(errno.EBADF, "Bad file descriptor")
        change_file(data, op)
        self._disk.ops.append(op)


class SimulatedLock:
    def __init__(self, locked: set[Path], path: Path) -> None:
        self._locked, self._path = locked, path

    def release(self) -> None:
        self._locked.discard(self._path)


def change_names(dirs: dict[int, dict[str, int]], changes) -> None:
    for folder, name, ino in changes:
        names = dirs.setdefault(folder, {})
        if ino is None:
            names.pop(name, None)
        else:
            names[name] = ino


def change_file(data: bytearray, op: tuple) -> None:
    """Apply a write or truncate to the contents of a file; gaps are zeros."""
    if op[0] == "write":
        _, _, offset, written = op
        if offset > len(data):
            data.extend(bytes(offset - len(data)))
        data[offset : offset + len(written)] = written
    else:
        size = op[2]
        if size < len(data):
            del data[size:]
        else:
            data.extend(bytes(size - len(data)))
