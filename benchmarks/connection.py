"""One keep-alive HTTP/1.1 connection of an event loop: for writers that are cut off in the middle.

Where latencies are measured, benchmarks.closed_loop is the client.
"""

from __future__ import annotations

import asyncio

__all__ = ["Connection"]


class Connection:
    """One keep-alive HTTP/1.1 connection; only what these requests need."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def open(cls, port: int) -> Connection:
        return cls(*await asyncio.open_connection("127.0.0.1", port, limit=1 << 20))

    async def send(self, method: str, path: str, body: bytes, kind: str) -> tuple[int, bytes]:
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {kind}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        self.writer.write(head.encode() + body)
        answer = await self.reader.readuntil(b"\r\n\r\n")
        status = int(answer.split(b" ", 2)[1])
        size = next(
            (
                int(x.split(b":")[1])
                for x in answer.split(b"\r\n")
                if x.lower().startswith(b"content-length")
            ),
            0,
        )
        return status, await self.reader.readexactly(size)
