"""The other nodes, as this one reaches them over HTTP: questions asked, answers read.

    in   a node's name, a Question
    out  Found; Unavailable when the node does not answer, or not in time

Connections are kept and used again, one question at a time on each. A node that failed is asked
last for a while; who asks decides where else an answer may come from (replication/gather.py).
"""

from __future__ import annotations

import contextlib
import http.client
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias

from replication.calling import Calls
from replication.copying import unframed
from replication.questions import Found, Question, What
from replication.record import Part
from replication.settings import Peer
from tsdb.errors import CorruptionError, Unavailable

__all__ = ["COPY_PATH", "READ_PATH", "Ask", "Peers"]

READ_PATH, COPY_PATH = "/api/v1/cluster/read", "/api/v1/cluster/shard"
ANSWER_S, DIGEST_S = 30.0, 900.0
FAILED_S = 5.0
IDLE_MAX = 8  # connections kept to a node
HTTP_OK = 200

Ask: TypeAlias = Callable[[str, Question], Found]
"""Raises Unavailable, or what the question deserves; called by many threads."""


class Peers:
    """Any thread."""

    def __init__(self, peers: Iterable[Peer], calls: Calls) -> None:
        self._peers = {peer.node: peer for peer in peers}
        self._calls = calls
        self._idle: dict[str, list[http.client.HTTPConnection]] = {}
        self._failed: dict[str, float] = {}
        self._lock = threading.Lock()

    def has_failed(self, node: str) -> bool:
        """Whether it did not answer a moment ago."""
        return time.monotonic() - self._failed.get(node, -FAILED_S) < FAILED_S

    def ask(self, node: str, question: Question) -> Found:
        """An `Ask`."""
        body = question.encoded()
        try:
            if question.what == What.DIGEST:
                with contextlib.closing(self._calls.connected(self._peers[node], DIGEST_S)) as one:
                    data = self._said(node, one, body, keep=False)
            else:
                data = self._exchange(node, body)
        except (OSError, http.client.HTTPException, KeyError) as error:
            self._failed[node] = time.monotonic()
            raise Unavailable(f"{node} does not answer: {error}", code="missing") from error
        self._failed.pop(node, None)
        try:
            return Found.decoded(data)
        except CorruptionError as error:
            raise Unavailable(f"{node} answers nonsense: {error}", code="missing") from error

    def get(self, node: str, path: str) -> tuple[int, str, bytes]:
        """Status, media type and body of what the node answers. Raises Unavailable."""
        try:
            with contextlib.closing(self._connected(node)) as connection:
                connection.request("GET", path, headers=self._calls.headers)
                answer = connection.getresponse()
                return answer.status, answer.headers.get("content-type", ""), answer.read()
        except (OSError, http.client.HTTPException, KeyError) as error:
            raise Unavailable(f"{node} does not answer: {error}", code="missing") from error

    def copy(self, node: str, shard: int) -> Iterator[Part]:
        """A shard as that node has it. Raises Unavailable, CorruptionError, also half way."""
        try:
            connection = self._connected(node)
            with contextlib.closing(connection):
                connection.request("GET", f"{COPY_PATH}?shard={shard}", headers=self._calls.headers)
                answer = connection.getresponse()
                if answer.status != HTTP_OK:
                    text = answer.read(200).decode("utf-8", "replace")
                    raise Unavailable(f"{node}: status {answer.status}: {text}", code="missing")
                yield from unframed(answer.read)
        except (OSError, http.client.HTTPException, KeyError) as error:
            raise Unavailable(f"{node} does not answer: {error}", code="missing") from error

    def close(self) -> None:
        with self._lock:
            idle = [each for found in self._idle.values() for each in found]
            self._idle.clear()
        for connection in idle:
            connection.close()

    def _exchange(self, node: str, body: bytes) -> bytes:
        """One that was kept may have been closed by the other side meanwhile: then a new one."""
        with self._lock:
            kept = self._idle.get(node, [])
            connection = kept.pop() if kept else None
        if connection is not None:
            with contextlib.suppress(OSError, http.client.HTTPException):
                return self._said(node, connection, body)
        return self._said(node, self._connected(node), body)

    def _connected(self, node: str) -> http.client.HTTPConnection:
        return self._calls.connected(self._peers[node], ANSWER_S)

    def _said(
        self, node: str, connection: http.client.HTTPConnection, body: bytes, *, keep: bool = True
    ) -> bytes:
        try:
            headers = {"Content-Type": "application/octet-stream", **self._calls.headers}
            connection.request("POST", READ_PATH, body, headers)
            answer = connection.getresponse()
            data = answer.read()
        except (OSError, http.client.HTTPException):
            connection.close()
            raise
        if answer.status != HTTP_OK:
            connection.close()
            text = data[:200].decode("utf-8", "replace")
            raise http.client.HTTPException(f"status {answer.status}: {text}")
        with self._lock:
            kept = self._idle.setdefault(node, [])
            if keep and len(kept) < IDLE_MAX:
                kept.append(connection)
                return data
        connection.close()
        return data
