"""The documentation is executable: examples run, links lead somewhere, promises have tests."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.rglob("*.md"), *ROOT.glob("*.md")])
FENCE = re.compile(r"^```(\w+)[^\n]*\n(.*?)^```", re.M | re.S)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HELD_BY = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")
LINES_MAX = {"ARCHITECTURE.md": 250}


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def fences(page: Path, language: str) -> list[str]:
    return [text for kind, text in FENCE.findall(page.read_text()) if kind == language]


WITH_PYTHON = [page for page in PAGES if fences(page, "python")]


@pytest.mark.parametrize("page", WITH_PYTHON, ids=name_of)
def test_python_examples_run(page: Path, tmp_path: Path) -> None:
    """In the order of the page, in one folder: a later one may open what an earlier one made."""
    for i, example in enumerate(fences(page, "python")):
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", example],
            cwd=tmp_path,
            env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "HOME": str(Path.home())},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, f"{name_of(page)}, example {i + 1}:\n{done.stderr}"


def test_the_examples_of_the_main_pages_are_among_them() -> None:
    """An empty parametrize would pass silently."""
    pages = set(map(name_of, WITH_PYTHON))
    assert {"README.md", "docs/tutorial/first-database.md", "docs/reference/library.md"} <= pages


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_json_examples_parse(page: Path) -> None:
    for example in fences(page, "json"):
        for line in example.strip().splitlines() if "\n{" in example else [example]:
            assert json.loads(line) is not None, name_of(page)


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ +(.*)$", page.read_text(), re.M)
    plain = [re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", text).strip() for text in headings]
    return {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in plain}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text()):
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), f"{name_of(page)} links to {target}"
        if anchor and there.suffix == ".md":
            assert anchor in anchors(there), f"{name_of(page)}: {target} has no such heading"


def test_every_page_is_reached_from_the_index() -> None:
    seen, waiting = set(), [DOCS / "index.md", ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in seen or not page.exists() or page.suffix != ".md":
            continue
        seen.add(page)
        links = LINK.findall(page.read_text())
        waiting += [(page.parent / link.partition("#")[0]).resolve() for link in links]
    lost = [name_of(p) for p in PAGES if p not in seen]
    assert lost == []


def test_rendered_pages_are_fresh() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "docs.render", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr


def promises() -> list[tuple[str, str]]:
    return HELD_BY.findall((DOCS / "explanation" / "durability.md").read_text())


@pytest.mark.parametrize(("path", "test"), promises())
def test_a_promise_names_a_test_that_exists(path: str, test: str) -> None:
    assert (ROOT / path).is_file(), f"durability.md names {path}"
    tree = ast.parse((ROOT / path).read_text())
    named = {
        n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    named |= {t.id for n in ast.walk(tree) if isinstance(n, ast.Assign) for t in n.targets
              if isinstance(t, ast.Name)}  # fmt: skip
    named |= {n.name for n in ast.walk(tree) if isinstance(n, ast.ClassDef)}
    assert not test or test in named, f"durability.md names {path}::{test}"


def test_every_section_of_the_contract_is_held_by_something() -> None:
    text = (DOCS / "explanation" / "durability.md").read_text()
    sections = re.split(r"^## ", text, flags=re.M)[1:]
    bare = [s.splitlines()[0] for s in sections if "**Held by**" not in s]
    assert bare == ["How it is tested"]


@pytest.mark.parametrize("page", [ROOT / "ARCHITECTURE.md"], ids=name_of)
def test_places_in_the_code_map_exist(page: Path) -> None:
    text = page.read_text()
    for row in re.findall(r"^\| (`.*?) \|", text, re.M):
        for place in re.findall(r"`((?:tsdb|api|tests|benchmarks|docs)/[\w./-]*)`", row):
            assert (ROOT / place).exists(), f"{name_of(page)} names {place}"
    assert text.count("\n") <= LINES_MAX[page.name]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_pages_name_no_place_of_one_machine(page: Path) -> None:
    assert not re.search(r"/work/|/root/|/home/\w+/|\.\./shared", page.read_text()), name_of(page)
