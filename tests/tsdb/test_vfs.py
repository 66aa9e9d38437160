"""tsdb.vfs: what the operating system may do half way, and how private our files are."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tsdb import limits, vfs
from tsdb.errors import Unavailable
from tsdb.vfs import OsFiles, Room


class StubbornFile:
    """Takes at most `most` bytes a call, like a pipe, a quota or an interrupted call."""

    def __init__(self, most: int) -> None:
        self.most, self.data = most, bytearray()

    def pwrite(self, data: vfs.Buffer, offset: int) -> int:
        taken = bytes(data[: self.most])
        self.data[offset : offset + len(taken)] = taken
        return len(taken)


@pytest.mark.parametrize("most", [1, 3, 7, 100])
@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_write_all_survives_short_writes(most, kind):
    file = StubbornFile(most)

    vfs.write_all(file, kind(b"0123456789abcdef"), 0)

    assert file.data == b"0123456789abcdef"


def test_write_all_gives_up_when_nothing_moves():
    with pytest.raises(OSError, match="no progress") as caught:
        vfs.write_all(StubbornFile(0), b"x", 0)
    assert caught.value.errno == errno.EIO


def test_files_and_folders_are_private(tmp_path: Path):
    files = OsFiles()
    files.mkdir(tmp_path / "d")
    files.create(tmp_path / "d" / "f").close()
    files.lock(tmp_path / "LOCK").release()

    assert stat.S_IMODE(os.stat(tmp_path / "d").st_mode) == 0o700
    assert stat.S_IMODE(os.stat(tmp_path / "d" / "f").st_mode) == 0o600
    assert stat.S_IMODE(os.stat(tmp_path / "LOCK").st_mode) == 0o600


def test_symbolic_links_are_not_followed(tmp_path: Path):
    files = OsFiles()
    (tmp_path / "real").write_bytes(b"secret")
    (tmp_path / "link").symlink_to(tmp_path / "real")

    for call in (files.open_read, files.open_write, files.lock):
        with pytest.raises(OSError, match="symbolic") as caught:
            call(tmp_path / "link")
        assert caught.value.errno == errno.ELOOP
    with pytest.raises(FileExistsError):
        files.create(tmp_path / "link")
    assert (tmp_path / "real").read_bytes() == b"secret"


def test_a_child_process_does_not_inherit_our_files(tmp_path: Path):
    file = OsFiles().create(tmp_path / "f")
    assert not os.get_inheritable(file._fd)
    file.close()
    file.close()  # idempotent


def test_pread_is_short_only_at_the_end(tmp_path: Path):
    file = OsFiles().create(tmp_path / "f")
    vfs.write_all(file, b"0123456789", 0)

    assert file.pread(4, 2) == b"2345"
    assert file.pread(100, 8) == b"89"
    assert file.pread(5, 10) == b""
    file.truncate(5)
    assert file.pread(100, 0) == b"01234"
    file.close()


def test_allocate_appends_zeros_and_keeps_bytes(tmp_path: Path):
    file = OsFiles().create(tmp_path / "f")
    vfs.write_all(file, b"abc", 0)
    file.allocate(0, 4096)

    assert file.size() in (3, 4096)  # best effort: a file system may refuse
    assert file.pread(4096, 0).rstrip(b"\0") == b"abc"
    file.close()


def test_write_whole_replaces_and_forgets_a_stale_temporary(tmp_path: Path):
    files, path = OsFiles(), tmp_path / "MANIFEST"
    (tmp_path / "MANIFEST.tmp").write_bytes(b"from a crash, longer than what follows")

    vfs.write_whole(files, path, b"one")
    vfs.write_whole(files, path, b"two")

    assert path.read_bytes() == b"two"
    assert files.list(tmp_path) == ["MANIFEST"]


def test_a_held_lock_names_its_owner(tmp_path: Path):
    files = OsFiles()
    code = (
        "import sys; from pathlib import Path; from tsdb.vfs import OsFiles\n"
        "lock = OsFiles().lock(Path(sys.argv[1])); print('held', flush=True); sys.stdin.read()"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "LOCK")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    try:
        assert child.stdout.readline() == b"held\n"
        with pytest.raises(Unavailable, match=f"process {child.pid}") as caught:
            files.lock(tmp_path / "LOCK")
        assert caught.value.code == "locked"
    finally:
        child.communicate()
    lock = files.lock(tmp_path / "LOCK")  # its end released it
    with pytest.raises(Unavailable, match=f"process {os.getpid()}"):
        files.lock(tmp_path / "LOCK")
    lock.release()


def test_names(tmp_path: Path):
    files = OsFiles()
    for name in ("b", "a"):
        files.create(tmp_path / name).close()
    files.mkdir(tmp_path / "c")
    files.link(tmp_path / "a", tmp_path / "c" / "a2")
    files.rename(tmp_path / "b", tmp_path / "c" / "b2")
    files.sync_dir(tmp_path)

    assert files.list(tmp_path) == ["a", "c"]
    assert files.list(tmp_path / "c") == ["a2", "b2"]
    assert files.exists(tmp_path / "a")
    assert not files.exists(tmp_path / "b")
    assert files.is_dir(tmp_path / "c")
    assert not files.is_dir(tmp_path / "a")
    vfs.remove_tree(files, tmp_path / "c")
    files.unlink(tmp_path / "a")
    assert files.list(tmp_path) == []


def test_a_link_across_file_systems_is_a_copy(tmp_path: Path, monkeypatch):
    def refuse(*_args, **_more):
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    (tmp_path / "a").write_bytes(bytes(range(256)) * 10_000)

    OsFiles().link(tmp_path / "a", tmp_path / "b")

    assert (tmp_path / "b").read_bytes() == (tmp_path / "a").read_bytes()


GIB = limits.GIB


@pytest.mark.parametrize(
    ("free", "total", "level"),
    [
        (2 * GIB, 4 * GIB, Room.ENOUGH),
        (GIB - 1, 4 * GIB, Room.LOW),
        (GIB // 2 - 1, 4 * GIB, Room.STOP),
        (99 * GIB, 1000 * GIB, Room.LOW),
        (49 * GIB, 1000 * GIB, Room.STOP),
    ],
)
def test_the_larger_of_bytes_and_share_decides(free, total, level, monkeypatch, tmp_path: Path):
    monkeypatch.setattr(OsFiles, "free_bytes", lambda _self, _path: (free, total))

    assert vfs.room(OsFiles(), tmp_path) is level


def test_free_bytes_of_a_real_disk(tmp_path: Path):
    free, total = OsFiles().free_bytes(tmp_path)

    assert 0 <= free <= total
