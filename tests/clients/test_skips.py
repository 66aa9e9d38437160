"""Tests of real clients are skipped for want of a program that is listed, and for nothing else."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from clients import binaries

HERE = Path(__file__).resolve().parent
NAMES = (HERE / "allowed_skips.txt").read_text().split()


def test_programs_that_may_lack_are_listed() -> None:
    asked = set()
    for path in HERE.glob("*.py"):
        if path.name == Path(__file__).name:
            continue
        for call in ast.walk(ast.parse(path.read_text())):
            if isinstance(call, ast.Call) and ast.unparse(call.func) in ("need", "binaries.need"):
                (name,) = call.args
                if isinstance(name, ast.Constant):
                    asked.add(name.value)
    assert asked <= set(NAMES)


def test_nothing_else_skips() -> None:
    for path in HERE.glob("test_*.py"):
        if path.name == Path(__file__).name:
            continue
        text = path.read_text()
        assert not re.search(r"pytest\.(skip|importorskip|mark\.skip|xfail)", text), path.name


def test_a_program_is_found_in_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "package" / "usr" / "sbin" / "never-heard-of"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    monkeypatch.setenv("SILVERBACK_PEERS", str(tmp_path))
    assert binaries.find("never-heard-of") is None
    program.chmod(0o755)
    assert binaries.find("never-heard-of") == program
    monkeypatch.delenv("SILVERBACK_PEERS")
    with pytest.raises(pytest.skip.Exception, match="no never-heard-of"):
        binaries.need("never-heard-of")
