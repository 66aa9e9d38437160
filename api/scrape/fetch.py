"""Asking one target: the request Prometheus 3.5 would send, and what counts as an answer.

    in   a job's ways to ask, a target
    out  Fetched: the body as sent and how to read it; or ScrapeFailed

An answer must say which text format it is; without a Content-Type that we know, the job's
fallback_scrape_protocol decides, and without that the scrape fails, as in Prometheus 3. Files with
secrets are read for each scrape, so that they may change.
"""

from __future__ import annotations

import asyncio
import base64
import functools
import importlib.metadata
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from api.scrape.config import Access, Job, Tls, accept_header
from api.scrape.connection import Connection, Peer, ScrapeFailed
from api.scrape.targets import Target
from tsdb.errors import InvalidInput

__all__ = ["Fetched", "Fetcher", "Room"]

OK = 200
CONTEXTS_KEPT = 64
PORTS = {"http": 80, "https": 443}
OPENMETRICS, TEXT = "application/openmetrics-text", "text/plain"


class Room(Protocol):
    """The bytes that answers under way may take together."""

    def claim(self, size: int) -> None:
        """Raises ScrapeFailed when there is no room."""

    def release(self, size: int) -> None: ...


@dataclass(frozen=True, slots=True)
class Fetched:
    body: bytes
    encoding: str
    openmetrics: bool


class Fetcher:
    """Asks one target, again and again. Raises InvalidInput where TLS files are not usable."""

    def __init__(self, job: Job, target: Target, *, body_bytes_max: int, room: Room) -> None:
        self._job = job
        self._target = target
        self._room = room
        self._bytes_max = min(job.bounds.body_bytes or body_bytes_max, body_bytes_max)
        split = urlsplit(target.url)
        self.tls = _context_of(job.access.tls) if split.scheme == "https" else None
        port = split.port or PORTS[split.scheme]
        self._connection = Connection(
            Peer(split.hostname or "", port, self.tls, job.access.tls.server_name)
        )
        path = split.path + (f"?{split.query}" if split.query else "")
        timeout = f"{target.timeout_ms / 1_000:g}"
        self._head = (
            f"GET {path} HTTP/1.1\r\n"
            f"Host: {split.netloc}\r\n"
            f"User-Agent: {_agent()}\r\n"
            f"Accept: {accept_header(job.protocols)}\r\n"
            f"Accept-Encoding: {'gzip' if job.compressed else 'identity'}\r\n"
            f"X-Prometheus-Scrape-Timeout-Seconds: {timeout}\r\n"
        )

    async def fetch(self) -> Fetched:
        """One answer; the caller bounds the time."""
        request = f"{self._head}{await _authorization(self._job.access)}\r\n".encode()
        claimed = 0

        def claim(size: int) -> None:
            nonlocal claimed
            self._room.claim(size)
            claimed += size

        try:
            response = await self._connection.get(request, self._bytes_max, claim)
        finally:
            self._room.release(claimed)
        if response.status != OK:
            raise ScrapeFailed(
                f"server returned HTTP status {response.status} {response.reason}".rstrip()
            )
        openmetrics = self._is_openmetrics(response.headers.get("content-type", ""))
        return Fetched(response.body, response.headers.get("content-encoding", ""), openmetrics)

    def close(self) -> None:
        self._connection.close()

    @property
    def body_bytes_max(self) -> int:
        return self._bytes_max

    def _is_openmetrics(self, content_type: str) -> bool:
        media = content_type.partition(";")[0].strip().lower()
        if media in (OPENMETRICS, TEXT):
            return media == OPENMETRICS
        fallback = self._job.fallback_protocol
        if fallback:
            return fallback.startswith("OpenMetrics")
        said = f"unknown Content-Type {content_type!r}" if content_type else "no Content-Type"
        raise ScrapeFailed(f"{said} in the answer, and the job has no fallback_scrape_protocol")


@functools.cache
def _agent() -> str:
    return f"Silverback/{importlib.metadata.version('silverback-tsdb')}"


async def _authorization(access: Access) -> str:
    if not access.scheme:
        return ""
    if access.scheme == "Basic":
        password = access.password
        if access.password_file is not None:
            password = await asyncio.to_thread(_secret, access.password_file)
        pair = f"{access.username}:{password}".encode()
        return f"Authorization: Basic {base64.b64encode(pair).decode()}\r\n"
    credentials = access.credentials
    if access.credentials_file is not None:
        credentials = await asyncio.to_thread(_secret, access.credentials_file)
    if not credentials.isprintable() or not access.scheme.isprintable():
        raise ScrapeFailed("the authorization holds more than a line of text")
    return f"Authorization: {access.scheme} {credentials}\r\n"


def _secret(path: Path) -> str:
    try:
        text = path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ScrapeFailed(f"{path} cannot be read") from error
    if not text.isprintable():
        raise ScrapeFailed(f"{path} holds more than a line of text")
    return text


def _context_of(tls: Tls) -> ssl.SSLContext:
    """One for all targets that believe the same files; another when a file changed."""
    files = (tls.ca_file, tls.cert_file, tls.key_file)
    try:
        changed = tuple(path.stat().st_mtime_ns for path in files if path is not None)
        return _context(tls, changed)
    except (OSError, ssl.SSLError) as error:
        raise InvalidInput(f"tls_config: {error}") from error


@functools.lru_cache(maxsize=CONTEXTS_KEPT)
def _context(tls: Tls, _changed: tuple[int, ...]) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(tls.ca_file) if tls.ca_file else None)
    if tls.cert_file is not None and tls.key_file is not None:
        context.load_cert_chain(tls.cert_file, tls.key_file)
    if tls.insecure_skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
