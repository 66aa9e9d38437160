"""What a browser sees at / until there is a user interface, and the icon in its tab.

in   the OpenAPI document
out  one HTML page that loads nothing, the same as JSON, an SVG
"""

from __future__ import annotations

import html
from typing import Any

import orjson

__all__ = ["FAVICON", "PAGE_HEADERS", "index_html", "index_json"]

# A silverback from the front: dark head, the crest, a grey saddle behind the shoulders.
FAVICON = b"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">
<path fill="#2b2f36" d="M16 2c-4 0-6 2-7 5-3 1-6 5-6 11 0 6 3 12 6 12h14c3 0 6-6 6-12\
 0-6-3-10-6-11-1-3-3-5-7-5z"/>
<path fill="#b9c0ca" d="M5 17c2-5 5-7 11-7s9 2 11 7c-3-3-6-4-11-4s-8 1-11 4z"/>
<path fill="#4a505a" d="M16 7c3 0 5 2 5 5s-1 7-5 7-5-4-5-7 2-5 5-5z"/>
<circle cx="14" cy="11" r="1" fill="#fff"/><circle cx="18" cy="11" r="1" fill="#fff"/>
<path fill="none" stroke="#1b1e23" stroke-linecap="round" d="M14.8 14.2h.3m1.8 0h.3m-3 2.6h3.6"/>
</svg>
"""
PAGE_HEADERS = [
    (b"content-security-policy", b"default-src 'none'; style-src 'unsafe-inline'; img-src 'self'; "
     b"frame-ancestors 'none'"),
    (b"cache-control", b"no-cache"),
]  # fmt: skip
_STYLE = """
:root{color-scheme:light dark;font:16px/1.5 system-ui,sans-serif}
body{max-width:56rem;margin:2rem auto;padding:0 1rem}
h1{display:flex;gap:.6rem;align-items:center;font-size:1.6rem}h1 img{width:2.2rem}
table{border-collapse:collapse;width:100%}td{padding:.3rem .6rem .3rem 0;vertical-align:top;
border-top:1px solid #8884}code{font:.95em ui-monospace,monospace}
pre{background:#8882;padding:.8rem;overflow:auto;border-radius:.4rem}
"""


def index_json(document: dict[str, Any]) -> bytes:
    """The endpoints as data."""
    found = {f"{method} {path}": summary for method, path, summary in _endpoints(document)}
    return orjson.dumps(
        {"status": "success", "name": "silverback", "endpoints": found, "openapi": "/openapi.json"},
        option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE,
    )


def index_html(document: dict[str, Any], base: str) -> bytes:
    """The endpoints for people; `base` is what they typed to get here."""
    rows = "\n".join(
        f"<tr><td><code>{method}</code><td><code>{html.escape(path)}</code>"
        f"<td>{html.escape(summary)}"
        for method, path, summary in _endpoints(document)
    )
    curl = html.escape(
        f"curl -X PUT {base}/kv/room/temp -d 21.5\n"
        f"curl '{base}/kv/room/temp?start=now-1h'\n"
        f"curl {base}/kv"
    )
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>Silverback</title>"
        f"<meta name=viewport content='width=device-width'><link rel=icon href=/favicon.svg>"
        f"<style>{_STYLE}</style><h1><img src=/favicon.svg alt=''>Silverback</h1>"
        f"<p>A time-series database. Try this:<pre>{curl}</pre>"
        f"<table>{rows}</table>"
        f"<p><a href=/openapi.json>OpenAPI</a> · <a href=/metrics>metrics</a> · "
        f"<a href=/api/v1/status>status</a></html>\n"
    ).encode()


def _endpoints(document: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [
        (method.upper(), path, operation.get("summary", ""))
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    ]
