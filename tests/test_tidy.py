"""The house rules that a machine can check; every message is the remedy."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MODULE_LINES_MAX = 500
FUNCTION_LINES_MAX = 60  # without the docstring
ARGUMENTS_MAX = 6
KERNEL_ARGUMENTS_MAX = 16
BANNED_NAMES = {
    "utils", "util", "helpers", "common", "misc", "manager", "handler", "core", "base",
}  # fmt: skip
# The process boundaries: places where any failure must become an answer or a log line.
BROAD_CATCH_ALLOWED = {
    "api/app.py",
    "api/readers.py",
    "api/server.py",
    "api/cli.py",
    "replication/applier.py",
    "replication/shell.py",
    "tsdb/commit/parsing.py",
    "tsdb/commit/pipeline.py",
    "tsdb/database/upkeep.py",
    "tsdb/parallel.py",
    "tsdb/promql/parse.py",
}
CODE = sorted(p for folder in ("tsdb", "replication", "api") for p in (ROOT / folder).rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("test_*.py"))
BESIDE = sorted(
    p for folder in ("tests", "benchmarks", "docs") for p in (ROOT / folder).rglob("*.py")
)
LOCKS = [ROOT / "constraints.txt", ROOT / "api/ui/package-lock.json"]
LEFTOVER = re.compile(r"\b(TODO|FIXME|XXX)\b")


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def functions(tree: ast.AST) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    body = function.body
    if body and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
        body = body[1:]
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def is_kernel(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    names = {ast.unparse(d).partition("(")[0].rpartition(".")[2] for d in function.decorator_list}
    return bool(names & {"kernel", "inlined", "forced", "intrinsic"})


@pytest.mark.parametrize("path", CODE, ids=name_of)
def test_module_is_tidy(path: Path) -> None:
    source, name = path.read_text(), name_of(path)
    tree = ast.parse(source)

    assert path.stem not in BANNED_NAMES, f"{name}: name the module after what it holds"
    assert source.count("\n") <= MODULE_LINES_MAX, f"{name}: split it along its nouns"
    assert ast.get_docstring(tree), f"{name}: say in, out and why"
    assert not LEFTOVER.search(source), f"{name}: finish it, or say it in the issue"
    for call in (n for n in ast.walk(tree) if isinstance(n, ast.Call)):
        assert ast.unparse(call.func) != "print", f"{name}:{call.lineno}: use the console or a log"
    for handler in (n for n in ast.walk(tree) if isinstance(n, ast.ExceptHandler)):
        broad = handler.type is None or ast.unparse(handler.type) in {"Exception", "BaseException"}
        assert not broad or name in BROAD_CATCH_ALLOWED, (
            f"{name}:{handler.lineno}: catch what you can answer"
        )


@pytest.mark.parametrize("path", CODE, ids=name_of)
def test_functions_are_short(path: Path) -> None:
    name = name_of(path)
    for f in functions(ast.parse(path.read_text())):
        kernel = is_kernel(f)
        limit = FUNCTION_LINES_MAX * 3 if kernel else FUNCTION_LINES_MAX
        assert body_lines(f) <= limit, f"{name}:{f.lineno} {f.name}: push ifs up, fors down"
        positional = [a for a in f.args.posonlyargs + f.args.args if a.arg not in {"self", "cls"}]
        most = KERNEL_ARGUMENTS_MAX if kernel else ARGUMENTS_MAX
        assert len(positional) <= most, f"{name}:{f.lineno} {f.name}: pass a dataclass"


@pytest.mark.parametrize("path", CODE, ids=name_of)
def test_nothing_is_mapped_into_memory(path: Path) -> None:
    """A truncated file must be an error, not SIGBUS: files are read with pread."""
    imports = [
        n
        for n in ast.walk(ast.parse(path.read_text()))
        if isinstance(n, ast.Import | ast.ImportFrom)
    ]
    names = {a.name for n in imports for a in n.names}
    assert not names & {"mmap", "memmap"}, f"{name_of(path)}: read it with pread through tsdb.vfs"
    assert "np.memmap" not in path.read_text(), f"{name_of(path)}: read it with pread"


@pytest.mark.parametrize("path", BESIDE, ids=name_of)
def test_a_module_beside_the_product_is_no_longer_than_one_of_it(path: Path) -> None:
    assert path.read_text().count("\n") <= MODULE_LINES_MAX, f"{name_of(path)}: split it"


@pytest.mark.parametrize("path", LOCKS, ids=name_of)
def test_a_lock_says_versions_and_no_addresses(path: Path) -> None:
    held = re.findall(r"\w+://[^\s\"]+", path.read_text())
    assert not held, f"{name_of(path)}: npm run lock takes out {held[:3]}"


@pytest.mark.parametrize("path", TESTS, ids=name_of)
def test_every_test_can_fail(path: Path) -> None:
    name = name_of(path)
    for f in functions(ast.parse(path.read_text())):
        if not f.name.startswith("test_"):
            continue
        text = ast.unparse(f)
        checks = ("assert", "raises(", "check(", "check_", "run_state_machine")
        assert any(c in text for c in checks), f"{name}:{f.lineno} {f.name}: assert something"


def test_there_is_something_to_check() -> None:
    assert len(CODE) > 5
    assert TESTS
