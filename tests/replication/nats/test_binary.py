"""replication.nats.binary: the right program, or a sentence that says what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from replication.nats.binary import VERSION_MIN, find, version
from tsdb.errors import InvalidInput


def program(path: Path, says: str, status: int = 0) -> Path:
    path.write_text(f"#!/bin/sh\necho '{says}'\nexit {status}\n")
    path.chmod(0o755)
    return path


def test_the_one_that_came_with_the_extra_is_recent_enough():
    assert version(find()) >= VERSION_MIN


def test_the_operator_names_another(tmp_path):
    own = program(tmp_path / "own", "nats-server: v2.11.0")
    assert find(str(own)) == own


def test_one_on_path_is_taken_when_none_lies_beside_python(tmp_path, monkeypatch):
    program(tmp_path / "nats-server", "nats-server: v2.12.3")
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    monkeypatch.setattr("replication.nats.binary._beside_python", lambda: None)
    assert find() == tmp_path / "nats-server"

    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(InvalidInput, match=r"install the extra \[cluster\]"):
        find()


@pytest.mark.parametrize(
    ("says", "status", "error"),
    [
        ("nats-server: v2.10.29", 0, "needs 2.11.0 or later"),
        ("hello", 0, "is no nats-server"),
        ("nats-server: v2.15.1", 3, "is no nats-server"),
    ],
)
def test_a_wrong_one_is_refused(tmp_path, says, status, error):
    with pytest.raises(InvalidInput, match=error):
        find(str(program(tmp_path / "own", says, status)))


def test_what_is_no_program_is_refused(tmp_path):
    for told in (tmp_path / "nothing", tmp_path):
        with pytest.raises(InvalidInput, match="is not a program"):
            find(str(told))
