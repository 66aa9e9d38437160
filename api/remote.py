"""A running server, as the commands talk to it: one kept-open HTTP connection.

    in   a URL, requests, what to log in with (api.login)
    out  answers; refusals as the typed error they were on the other side

A server that asks to come back later (429, 503) is asked again for as long as `patience_s`, at
the pace it says. Everything else that goes wrong is told at once.
"""

from __future__ import annotations

import http.client
import json
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from api.exits import CommandFailed, Exit
from api.login import Login, chosen
from tsdb.errors import InvalidInput, TSDBError, Unavailable

__all__ = ["DEFAULT_URL", "Remote", "key_path"]

DEFAULT_URL = "http://127.0.0.1:9292"
ANSWER_BLOCK_BYTES = 1 << 18
BUSY = {429, 503}
UNAUTHORIZED, FORBIDDEN = 401, 403
Parameters = Mapping[str, str] | list[tuple[str, str]]


def key_path(key: str) -> str:
    """Where a series lives: plain names keep their slashes, braces and quotes are encoded."""
    return f"/kv/{quote(key, safe='/')}"


class Remote:
    """Use in a `with` block. Not thread-safe: a connection carries one request at a time."""

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
        timeout_s: float = 300,
        patience_s: float = 60,
        sleep: Callable[[float], None] = time.sleep,
        login: Login | None = None,
    ) -> None:
        parts = urlsplit(url if "//" in url else f"http://{url}")
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise CommandFailed(f"{url!r} is not a URL such as {DEFAULT_URL}", Exit.USAGE)
        login = chosen() if login is None else login
        self._headers = login.headers()
        try:
            port = parts.port
            self._connection: http.client.HTTPConnection = (
                http.client.HTTPSConnection(
                    parts.hostname, port, timeout=timeout_s, context=login.tls()
                )
                if parts.scheme == "https"
                else http.client.HTTPConnection(parts.hostname, port, timeout=timeout_s)
            )
        except ValueError as error:
            raise CommandFailed(f"{url!r}: {error}", Exit.USAGE) from error
        self.url = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        self._prefix = parts.path.rstrip("/")
        self._patience_s = patience_s
        self._sleep = sleep

    def get(self, path: str, parameters: Parameters | None = None) -> bytes:
        return self._asked("GET", path, parameters, None, {}).read()

    def get_json(self, path: str, parameters: Parameters | None = None) -> Any:
        return json.loads(self.get(path, parameters))

    def send(
        self,
        method: str,
        path: str,
        body: bytes,
        *,
        parameters: Parameters | None = None,
        content_type: str = "application/json",
        encoding: str = "",
    ) -> Any:
        """The JSON answer; None where the server says nothing."""
        headers = {"Content-Type": content_type}
        if encoding:
            headers["Content-Encoding"] = encoding
        answer = self._asked(method, path, parameters, body, headers).read()
        return json.loads(answer) if answer else None

    def stream(self, path: str, parameters: Parameters | None = None) -> Iterator[bytes]:
        """The answer in blocks as they come."""
        answer = self._asked("GET", path, parameters, None, {})
        while True:
            try:
                block = answer.read(ANSWER_BLOCK_BYTES)
            except (http.client.HTTPException, OSError) as error:
                raise self._cut(error) from error
            if not block:
                return
            yield block

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> Remote:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _asked(
        self,
        method: str,
        path: str,
        parameters: Parameters | None,
        body: bytes | None,
        headers: dict[str, str],
    ) -> http.client.HTTPResponse:
        """A good answer; waits and asks again while the server is busy."""
        target = self._prefix + path + (f"?{urlencode(parameters)}" if parameters else "")
        waited_s = 0.0
        while True:
            answer = self._once(method, target, body, headers)
            if answer.status < 400:
                return answer
            refusal = _error_of(answer)
            if not isinstance(refusal, Unavailable) or waited_s >= self._patience_s:
                raise refusal
            pause_s = min(max(refusal.retry_after_s, 0.1), self._patience_s - waited_s)
            self._sleep(pause_s)
            waited_s += max(pause_s, 0.1)

    def _once(
        self, method: str, target: str, body: bytes | None, headers: dict[str, str]
    ) -> http.client.HTTPResponse:
        kept_open = self._connection.sock is not None
        try:
            self._connection.request(method, target, body, headers | self._headers)
            return self._connection.getresponse()
        except (http.client.HTTPException, OSError) as error:
            self._connection.close()
            # A connection that idled too long is closed by the server; all our requests may be
            # repeated, a point written twice is one point.
            if kept_open and isinstance(error, (ConnectionError, http.client.RemoteDisconnected)):
                return self._once(method, target, body, headers)
            raise self._cut(error) from error

    def _cut(self, error: Exception) -> CommandFailed:
        if isinstance(error, ConnectionRefusedError):
            return CommandFailed(
                f"nothing answers at {self.url}: start a server with `silverback serve`, "
                "or name a directory with --data",
                Exit.UNAVAILABLE,
            )
        if isinstance(error, ssl.SSLCertVerificationError):
            return CommandFailed(
                f"{self.url}: its certificate is not trusted: {error.verify_message} "
                "(--ca-file names an authority to trust)",
                Exit.UNAVAILABLE,
            )
        return CommandFailed(f"{self.url}: {error or type(error).__name__}", Exit.UNAVAILABLE)


def _error_of(answer: http.client.HTTPResponse) -> TSDBError | CommandFailed:
    """The refusal as an error here; its text is the server's own."""
    body = answer.read()
    try:
        document = json.loads(body)
        message = str(document["error"])
    except (ValueError, KeyError, TypeError):
        message = f"{answer.status} {answer.reason}: {body[:200].decode('utf-8', 'replace')}"
        document = {}
    # A limit is answered 429 too, but waiting does not make series fewer.
    if answer.status in BUSY and document.get("errorType") != "limit":
        told = answer.headers.get("Retry-After", "1")
        pause_s = int(told) if told.isdigit() else 1
        return Unavailable(message, code="busy", retry_after_s=pause_s)
    if answer.status == UNAUTHORIZED:
        return CommandFailed(
            f"{message} (--token, --user, or SILVERBACK_TOKEN)", Exit.NO_PERMISSION
        )
    if answer.status == FORBIDDEN:
        return CommandFailed(message, Exit.NO_PERMISSION)
    if answer.status < 500:
        return Refused(message, answer.status, document)
    return CommandFailed(f"the server failed: {message}", Exit.UNAVAILABLE)


class Refused(InvalidInput):
    """A 4xx answer; `document` is its body."""

    def __init__(self, message: str, status: int, document: dict[str, Any]) -> None:
        super().__init__(message)
        self.status = status
        self.document = document
