"""Many connections, each sending its next request when the last one is answered.

    in   a port, the requests of each connection as bytes
    out  what each took, in seconds, in order of their answers

One epoll loop over plain sockets: a request costs the client about 10 µs instead of the 60 of
asyncio's streams, so that a latency is the server's, not the queue in front of a busy client.
"""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable, Iterator

__all__ = ["drive", "request"]

Bodies = Callable[[int], Iterator[bytes]]


def request(method: str, path: str, body: bytes, headers: str = "") -> bytes:
    """A request as it goes over the wire; `headers` are whole lines."""
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{headers}"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def drive(port: int, connections: int, requests: Bodies, statuses: set[int]) -> list[float]:
    """Send all of `requests(i)` on connection i, one after another; raises on other statuses."""
    took: list[float] = []
    poll = select.epoll()
    socks: dict[int, socket.socket] = {}
    waiting: dict[int, Iterator[bytes]] = {}
    begun: dict[int, float] = {}
    got: dict[int, bytes] = {}

    def send_next(fd: int) -> None:
        data = next(waiting[fd], None)
        if data is None:
            poll.unregister(fd)
            socks.pop(fd).close()
            return
        got[fd] = b""
        begun[fd] = time.perf_counter()
        socks[fd].sendall(data)

    for i in range(connections):
        sock = socket.create_connection(("127.0.0.1", port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        fd = sock.fileno()
        socks[fd], waiting[fd] = sock, requests(i)
        poll.register(fd, select.EPOLLIN)
    for fd in list(socks):
        send_next(fd)
    while socks:
        for fd, _ in poll.poll():
            data = got[fd] + socks[fd].recv(1 << 16)
            got[fd] = data
            if not _is_whole(data):
                continue
            took.append(time.perf_counter() - begun[fd])
            status = int(data[9:12])
            if status not in statuses:
                raise RuntimeError(data[:500].decode("latin-1"))
            send_next(fd)
    poll.close()
    return took


def _is_whole(data: bytes) -> bool:
    if not data:
        raise RuntimeError("the server closed the connection")
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return False
    at = data.find(b"content-length: ", 0, end)
    size = 0 if at < 0 else int(data[at + 16 : data.find(b"\r\n", at)])
    return len(data) >= end + 4 + size
