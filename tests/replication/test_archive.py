"""A folder goes over a wire and comes out the same, or not at all."""

from __future__ import annotations

import io
import tarfile

import pytest

from replication.archive import packed, unpack
from tsdb.errors import CorruptionError
from tsdb.vfs import OsFiles

FILES = OsFiles()


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "source"
    (folder / "blocks" / "a-block").mkdir(parents=True)
    (folder / "MANIFEST-1").write_bytes(b"m" * 700)
    (folder / "blocks" / "a-block" / "chunks").write_bytes(bytes(range(256)) * 9000)
    (folder / "blocks" / "empty").write_bytes(b"")
    return folder


@pytest.fixture
def target(tmp_path):
    folder = tmp_path / "target"
    folder.mkdir()
    return folder


def test_what_was_packed_is_unpacked(source, target):
    data = b"".join(packed(FILES, source))
    assert unpack(FILES, io.BytesIO(data), target) == 700 + 256 * 9000
    for path in source.rglob("*"):
        there = target / path.relative_to(source)
        assert there.is_dir() if path.is_dir() else there.read_bytes() == path.read_bytes()


@pytest.mark.parametrize("share", [0.2, 0.5, 0.99])
def test_a_copy_that_is_cut_off_is_refused(source, target, share):
    data = b"".join(packed(FILES, source))
    with pytest.raises(CorruptionError):
        unpack(FILES, io.BytesIO(data[: int(len(data) * share) // 512 * 512 + 100]), target)


@pytest.mark.parametrize(
    ("name", "kind"),
    [("../out", tarfile.REGTYPE), ("/tmp/out", tarfile.REGTYPE), ("link", tarfile.SYMTYPE)],
)
def test_what_would_leave_the_folder_is_refused(target, name, kind):
    info = tarfile.TarInfo(name)
    info.type = kind
    info.linkname = "/etc/passwd"
    with pytest.raises(CorruptionError, match="no place"):
        unpack(FILES, io.BytesIO(info.tobuf() + bytes(1024)), target)
