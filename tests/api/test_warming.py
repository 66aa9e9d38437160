"""api.warming: every kernel module is found, and none before what it imports."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from api import warming
from api.warming import ROOT, kernel_modules


def kernels_of(path: Path) -> list[str]:
    functions = [n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.FunctionDef)]
    return [f.name for f in functions for d in f.decorator_list if "kernel(" in ast.unparse(d)]


def test_no_kernel_hides_in_another_module() -> None:
    """What is not named `kernels` would be compiled by the first request."""
    modules = set(kernel_modules().values())
    hidden = [
        path
        for package in warming.PACKAGES
        for path in (ROOT / package).rglob("*.py")
        if path not in modules and kernels_of(path)
    ]
    assert hidden == []
    assert "tsdb.codec.kernels" in kernel_modules()


def test_a_module_waits_for_the_kernels_it_imports() -> None:
    plan = warming._Plan({"top": {"middle"}, "middle": {"low"}, "low": set(), "alone": set()})
    order = list(plan.take())

    assert order.index("low") < order.index("middle") < order.index("top")
    assert sorted(order) == ["alone", "low", "middle", "top"]


def test_a_second_run_finds_everything_compiled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One small module, in a cache of its own."""
    small = ROOT / "tsdb" / "overlay" / "kernels.py"
    monkeypatch.setenv("SILVERBACK_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(warming, "kernel_modules", lambda: {"tsdb.overlay.kernels": small})
    told: list[str] = []

    first = warming.warm(on_done=told.append)
    second = warming.warm(on_done=told.append)

    assert told == ["tsdb.overlay.kernels"]
    assert (first.was_warm, second.was_warm) == (False, True)
    assert first.folder == second.folder == tmp_path
    assert list(tmp_path.glob("kernels-*/*.nbc"))


def test_a_module_that_does_not_compile_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SILVERBACK_CACHE_DIR", str(tmp_path))
    nowhere = {"tsdb.nowhere": ROOT / "tsdb" / "errors.py"}
    monkeypatch.setattr(warming, "kernel_modules", lambda: nowhere)

    with pytest.raises(RuntimeError, match=r"tsdb\.nowhere does not compile:(.|\n)*ModuleNotFound"):
        warming.warm()
    assert not list(tmp_path.glob("warm-*"))
