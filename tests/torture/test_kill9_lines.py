"""Lines have no answer, but a server that hangs up has written them: kill -9 takes none of those.

The real server in a process of its own; senders that half-close and wait for the end.
"""

from __future__ import annotations

import json
import socket
import threading
from pathlib import Path
from urllib.parse import quote

import numpy as np

from benchmarks import serving

SENDERS, LINES, KILL_AFTER, SEED = 8, 200, 20, 9
T = 1_700_000_000


def send(port: int, body: bytes) -> bool:
    """Whether the server took it all and hung up of its own accord."""
    try:
        with socket.create_connection(("127.0.0.1", port), 30) as sock:
            sock.sendall(body)
            sock.shutdown(socket.SHUT_WR)
            return sock.recv(1) == b""
    except OSError:
        return False


def test_what_was_hung_up_on_is_there_after_kill_9(tmp_path: Path) -> None:
    port = serving.free_port()
    server = serving.start(tmp_path / "db", arguments=("--graphite-port", str(port)))
    written: set[tuple[int, int]] = set()
    killed = threading.Event()

    def sender(which: int) -> None:
        rng = np.random.default_rng([SEED, which])
        for batch in range(1_000):
            value = which * 1_000_000 + batch
            body = b"".join(b"k;s=%d %d %d\n" % (which, value, T + batch * LINES + i)
                            for i in range(int(rng.integers(1, LINES))))  # fmt: skip
            if not send(port, body):
                return
            # A kill closes sockets too: what ends after it proves nothing.
            if killed.is_set():
                return
            written.update((which, batch * LINES + i) for i in range(body.count(b"\n")))
            if len(written) > KILL_AFTER * LINES:
                return

    threads = [threading.Thread(target=sender, args=(n,)) for n in range(SENDERS)]
    for thread in threads:
        thread.start()
    while len(written) < KILL_AFTER * LINES // 2:
        threads[0].join(0.01)
        assert any(thread.is_alive() for thread in threads)
    killed.set()
    server.kill()
    for thread in threads:
        thread.join()

    again = serving.start(tmp_path / "db")
    try:
        there = set()
        for line in again.get("/api/v1/export?match[]=" + quote("k")).splitlines():
            one = json.loads(line)
            which = int(one["metric"]["s"])
            there |= {(which, stamp // 1000 - T) for stamp in one["timestamps"]}
    finally:
        again.stop()
    assert len(written) >= KILL_AFTER * LINES // 2
    assert written <= there
