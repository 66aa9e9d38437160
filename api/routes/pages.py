"""The page that people open, as it was built from api/ui into api/web.

GET /                  a browser is sent to the first page; a program gets the endpoints as JSON
GET /graph, …          the one document of all pages; what a path shows is the browser's business
GET /assets/{name}     scripts and styles; hashed names: they never change
GET /favicon.svg       the icon, also as favicon.ico

The policy lets nothing in but files of ours: no inline script, no inline style, no other address,
and no string may become markup (trusted types). PAGES are the paths of api/ui/src/shell/pages.ts.
"""

from __future__ import annotations

import functools
import gzip
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import xxhash
from fastapi import FastAPI, Request
from starlette.responses import Response

from api.errors import NotFound
from api.exchange import Answer, Exchange
from api.pieces import coding_of
from api.work import Reply

__all__ = ["PAGES", "declare"]

PAGES = ("/graph", "/cardinality", "/status", "/cluster")
WEB = Path(__file__).resolve().parent.parent / "web"
MEDIA = {
    ".html": b"text/html; charset=utf-8",
    ".js": b"text/javascript; charset=utf-8",
    ".css": b"text/css; charset=utf-8",
    ".svg": b"image/svg+xml",
}
POLICY = b"; ".join(
    (
        b"default-src 'none'",
        b"script-src 'self'",
        b"style-src 'self'",
        b"img-src 'self' data:",  # the editor underlines with an image in its style
        b"connect-src 'self'",
        b"base-uri 'none'",
        b"form-action 'none'",
        b"frame-ancestors 'none'",
        b"require-trusted-types-for 'script'",
        b"trusted-types 'none'",
    )
)
FOR_EVER = b"max-age=31536000, immutable"
ASK_AGAIN = b"no-cache"  # it may be kept, but not shown without asking


@dataclass(frozen=True, slots=True)
class File:
    """One built file, and the same compressed."""

    body: bytes
    gzipped: bytes
    media: bytes
    tag: bytes


@functools.cache
def _file(name: str) -> File:
    path = WEB / name
    if path.suffix not in MEDIA or not path.is_file():
        raise NotFound(
            f"there is no file {name[:200]!r} in api/web; `make ui` builds what is there"
        )
    body = path.read_bytes()
    tag = b'"%b"' % xxhash.xxh3_64_hexdigest(body).encode()
    return File(body, gzip.compress(body, mtime=0), MEDIA[path.suffix], tag)


@functools.cache
def _assets() -> frozenset[str]:
    folder = WEB / "assets"
    return frozenset(p.name for p in folder.iterdir()) if folder.is_dir() else frozenset()


def _answer(exchange: Exchange, name: str, cache: bytes) -> Answer:
    file = _file(name)
    headers = [
        (b"cache-control", cache),
        (b"etag", file.tag),
        (b"vary", b"accept-encoding"),
        (b"content-security-policy", POLICY),
    ]
    if file.tag in exchange.headers.get(b"if-none-match", b""):
        return Answer(b"", 304, file.media, headers)
    if _takes_gzip(exchange.headers.get(b"accept-encoding", b"")):
        headers.append((b"content-encoding", b"gzip"))
        return Answer(file.gzipped, media=file.media, headers=headers)
    return Answer(file.body, media=file.media, headers=headers)


def _takes_gzip(accept_encoding: bytes) -> bool:
    """Files are kept in that coding alone, whatever else a browser likes better."""
    return b"gzip" in accept_encoding and coding_of(accept_encoding) != ""


def _index(app: FastAPI) -> Answer:
    """The endpoints as data."""
    endpoints = {
        f"{method.upper()} {path}": operation.get("summary", "")
        for path, operations in app.openapi()["paths"].items()
        for method, operation in operations.items()
    }
    document: dict[str, Any] = {
        "status": "success",
        "name": "silverback",
        "pages": PAGES,
        "endpoints": endpoints,
        "openapi": "/openapi.json",
    }
    return Answer(orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))


def declare(app: FastAPI) -> None:
    """The routes as FastAPI knows them."""

    @app.get("/", include_in_schema=False)
    async def index(request: Request) -> Response:
        if "text/html" not in request.headers.get("accept", ""):
            return Reply(_index(app))
        to = [(b"location", PAGES[0].encode()), (b"vary", b"accept")]
        return Reply(Answer(b"", 302, MEDIA[".html"], to))

    @app.get("/favicon.svg", include_in_schema=False)
    @app.get("/favicon.ico", include_in_schema=False)
    async def icon(request: Request) -> Response:
        return Reply(_answer(request.scope["exchange"], "favicon.svg", ASK_AGAIN))

    @app.get("/assets/{name}", include_in_schema=False)
    async def asset(request: Request, name: str) -> Response:
        if name not in _assets():
            raise NotFound(f"there is no /assets/{name[:200]}; reload the page")
        return Reply(_answer(request.scope["exchange"], f"assets/{name}", FOR_EVER))

    async def page(request: Request) -> Response:
        return Reply(_answer(request.scope["exchange"], "index.html", ASK_AGAIN))

    for path in PAGES:
        app.get(path, include_in_schema=False)(page)
        app.get(path + "/{rest:path}", include_in_schema=False)(page)
