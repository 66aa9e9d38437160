"""api.scrape.discovery: files of targets, as they come, change, break and go."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from api.scrape.config import FileSource
from api.scrape.discovery import Files


def addresses(files: Files) -> list[str]:
    return [address for group in files.groups() for address in group.addresses]


def put(path: Path, content: Any) -> None:
    """As one should: whole, then renamed."""
    text = content if isinstance(content, str) else json.dumps(content)
    other = path.with_suffix(".tmp")
    other.write_text(text)
    os.replace(other, path)


def test_files_come_change_break_and_go(tmp_path: Path) -> None:
    files = Files(FileSource((tmp_path / "*.json", tmp_path / "one.yml")))
    assert not files.look()
    assert addresses(files) == []

    put(tmp_path / "a.json", [{"targets": ["a:1"], "labels": {"x": "y"}}])
    put(tmp_path / "one.yml", "- targets: ['y:1', 'y:2']\n")
    put(tmp_path / "two.yml", "- targets: [never]\n")
    assert files.look()
    assert addresses(files) == ["a:1", "y:1", "y:2"]
    group = files.groups()[0]
    assert group.labels == (("x", "y"),)
    assert group.meta == (("__meta_filepath", str(tmp_path / "a.json")),)
    assert not files.look()

    put(tmp_path / "a.json", [{"targets": ["a:1", "a:2"]}])
    assert files.look()
    assert addresses(files) == ["a:1", "a:2", "y:1", "y:2"]

    for wrong in ("[", {"targets": []}, [{"targets": "a"}], [{"lables": {}}], [3],
                  [{"targets": ["a"], "labels": {"x": 1}}], [{"targets": ["a/b"]}]):  # fmt: skip
        put(tmp_path / "a.json", wrong)
        assert not files.look(), wrong
        assert addresses(files) == ["a:1", "a:2", "y:1", "y:2"]

    put(tmp_path / "one.yml", "")
    (tmp_path / "a.json").unlink()
    assert files.look()
    assert addresses(files) == []


def test_a_refresh_reads_even_what_looks_the_same(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    put(path, [{"targets": ["a:1"]}])
    files = Files(FileSource((path,)))
    assert files.look()
    known = path.stat()
    with path.open("r+") as file:  # in place: same size, same inode, and the clock put back
        file.write('[{"targets": ["b:1"]}]')
    os.utime(path, ns=(known.st_atime_ns, known.st_mtime_ns))

    assert not files.look()
    assert files.look(all_again=True)
    assert addresses(files) == ["b:1"]
