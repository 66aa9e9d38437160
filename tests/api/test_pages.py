"""The page as it is served: where it is, how long it is kept, what it may load."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from api.app import Application
from api.node import Node
from api.routes.pages import PAGES
from api.settings import load

Ask = Callable[..., Any]
ROOT = Path(__file__).resolve().parent.parent.parent
WEB = ROOT / "api" / "web"
ASSETS = sorted(p.name for p in (WEB / "assets").iterdir())
FIRST_PAGE_BYTES_MAX = 200 * 1024


@pytest.fixture(scope="module")
def ask_app(serve_app: Any, ask: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    node = Node(load({"data": tmp_path_factory.mktemp("data")}, environ={}))
    with serve_app(Application(node)) as served:
        yield lambda *args, **kwargs: ask(served.port, *args, **kwargs)
    node.close()


def test_a_browser_is_sent_to_the_first_page_and_a_program_gets_json(ask_app: Ask) -> None:
    browser = ask_app("GET", "/", headers={"Accept": "text/html,*/*"})
    program = ask_app("GET", "/")

    assert (browser.status, browser.headers["location"]) == (302, PAGES[0])
    assert "POST /api/v1/import" in program.json["endpoints"]
    assert program.json["pages"] == list(PAGES)


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("below", ["", "?g0.expr=up", "/deeper"])
def test_every_page_is_the_one_document(ask_app: Ask, path: str, below: str) -> None:
    reply = ask_app("GET", path + below)

    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    assert reply.headers["cache-control"] == "no-cache"
    assert reply.body == (WEB / "index.html").read_bytes()


def test_the_policy_lets_nothing_in_that_is_inline_or_elsewhere(ask_app: Ask) -> None:
    policy = ask_app("GET", PAGES[0]).headers["content-security-policy"]
    document = (WEB / "index.html").read_text()

    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert "<style" not in document
    assert "<script" not in re.sub(r'<script type="module" crossorigin src="/assets/', "", document)
    assert " style=" not in document


@pytest.mark.parametrize("name", ASSETS)
def test_assets_are_kept_for_ever_and_travel_compressed(ask_app: Ask, name: str) -> None:
    plain = ask_app("GET", f"/assets/{name}")
    packed = ask_app("GET", f"/assets/{name}", headers={"Accept-Encoding": "gzip, br"})

    assert re.search(r"-[\w-]{8}\.(js|css)$", name), "the name says what is in it"
    assert plain.headers["cache-control"] == "max-age=31536000, immutable"
    assert packed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(packed.body) == plain.body == (WEB / "assets" / name).read_bytes()


def test_what_a_browser_has_is_not_sent_again(ask_app: Ask) -> None:
    tag = ask_app("GET", PAGES[0]).headers["etag"]
    again = ask_app("GET", PAGES[0], headers={"If-None-Match": f'W/"x", {tag}'})
    other = ask_app("GET", PAGES[0], headers={"If-None-Match": '"x"'})

    assert (again.status, again.body) == (304, b"")
    assert other.status == 200


@pytest.mark.parametrize(
    "path",
    ["/assets/no.js", "/assets/..%2findex.html", "/assets/", "/graphs", "/web/index.html"],
)
def test_there_is_nothing_else(ask_app: Ask, path: str) -> None:
    assert ask_app("GET", path).status == 404


@pytest.mark.parametrize("path", ["/favicon.svg", "/favicon.ico"])
def test_there_is_an_icon(ask_app: Ask, path: str) -> None:
    reply = ask_app("GET", path)

    assert reply.headers["content-type"] == "image/svg+xml"
    assert reply.body.startswith(b"<svg")


def test_the_navigation_has_the_pages_that_the_server_answers() -> None:
    source = (ROOT / "api/ui/src/shell/pages.ts").read_text()

    assert tuple(re.findall(r'path: "(/[^"]*)"', source)) == PAGES


def test_nothing_built_names_another_host() -> None:
    """But for names of XML vocabularies, which nobody asks."""
    for path in WEB.rglob("*"):
        if path.is_file():
            hosts = set(re.findall(r"https?://([\w.-]+\w)", path.read_text()))
            assert hosts <= {"www.w3.org"}, path


def test_the_first_page_is_small() -> None:
    """All that /graph loads, compressed; chunks of other pages come when they are opened."""
    size = sum(len(gzip.compress(body)) for body in _first_page().values())

    assert 0 < size <= FIRST_PAGE_BYTES_MAX, f"{size:,} bytes"


def _first_page() -> dict[str, bytes]:
    """The document and what it imports, closed over imports; explore's chunk among it."""
    wanted = ["index.html"]
    found: dict[str, bytes] = {}
    while wanted:
        name = wanted.pop()
        if name in found:
            continue
        found[name] = (WEB / name).read_bytes()
        text = found[name].decode()
        static = re.findall(r'(?:from|import)\s*"\./([\w.-]+)"', text)
        linked = re.findall(r'"/?(assets/[\w.-]+)"', text) if name == "index.html" else []
        lazy = [
            a for a in ASSETS if name != "index.html" and a.startswith("explore-") and a in text
        ]
        wanted += [f"assets/{a}" for a in [*static, *lazy]] + linked
    assert any("explore-" in name for name in found)
    return found
