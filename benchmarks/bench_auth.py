"""Question: what do accounts and TLS cost a request?

Input    a PUT with a token, with Basic, and without accounts; a server with and without TLS
Compare  the same check switched off; the same requests without TLS, in the same run
Measure  thread CPU time of the check, median and best of the passes, in µs; of requests over one
         kept-open connection the process's CPU time, client and server together; of handshakes the
         same, and the milliseconds of a first password at bcrypt's cost 10
Check    wrong credentials are refused in every set-up, every answer is a 2xx
Output   a table, or JSON with --json

Run      python -m benchmarks.bench_auth [--json]
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import json
import socket
import ssl
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import bcrypt
import trustme

from api import logs
from api.auth.accounts import Account, Accounts, User, token_digest
from api.auth.guard import Guard
from api.auth.scope_names import ALL
from api.errors import Unauthorized
from api.node import State
from api.server import Server
from api.settings import load

PASSES, CHECKS, REQUESTS, HANDSHAKES = 15, 5_000, 300, 50
ON_US_MAX, OFF_US_MAX = 10.0, 2.0
TOKEN, PASSWORD, COST = b"sb_" + b"t" * 43, b"a password", 10
BODY = b"[[1769860800,1]]"


def figures_of(times: list[float]) -> dict[str, float]:
    return {"median": statistics.median(times), "best": min(times)}


def request(authorization: bytes) -> Any:
    scope = {
        "method": "PUT", "path": "/kv/cpu/user", "raw_path": b"/kv/cpu/user", "query_string": b"",
        "client": ("127.0.0.1", 1),
    }  # fmt: skip
    return SimpleNamespace(scope=scope, headers={b"authorization": authorization})


async def checks() -> dict[str, dict[str, float]]:
    hashed = bcrypt.hashpw(PASSWORD, bcrypt.gensalt(COST))
    guard = Guard(
        Accounts(
            {"anna": User(Account("anna", ALL), hashed)},
            {token_digest(TOKEN): Account("agent", ALL)},
        )
    )
    basic = b"Basic " + base64.b64encode(b"anna:" + PASSWORD)
    found: dict[str, dict[str, float]] = {}
    began = time.perf_counter()
    await guard.check(request(basic))
    found["first password, ms"] = figures_of([(time.perf_counter() - began) * 1e3])
    with contextlib.suppress(Unauthorized):
        await guard.check(request(b"Bearer wrong"))
        raise AssertionError("a wrong token was let in")
    node: Any = SimpleNamespace(guard=None)
    for name, one in (
        ("off", None),
        ("token", request(b"Bearer " + TOKEN)),
        ("basic", request(basic)),
    ):
        node.guard = None if one is None else guard
        times = []
        for _ in range(PASSES):
            began = time.thread_time()
            for _ in range(CHECKS):
                if node.guard is not None:
                    await node.guard.check(one)
            times.append((time.thread_time() - began) / CHECKS * 1e6)
        found[f"check, {name}, us"] = figures_of(times)
    guard.close()
    return found


@contextlib.contextmanager
def serving(folder: Path, name: str, text: str) -> Iterator[int]:
    """A server in this process; its port."""
    file = folder / f"{name}.yml"
    file.write_text(text)
    server = Server(load({"data": folder / name, "port": 0, "web_config": file}, environ={}))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while server.node.state is State.STARTING:
        time.sleep(0.01)
    try:
        yield server.port
    finally:
        server.stop()
        thread.join()


def over_the_wire(folder: Path) -> dict[str, dict[str, float]]:
    authority = trustme.CA()
    leaf = authority.issue_cert("localhost")
    leaf.private_key_and_cert_chain_pem.write_to_path(str(folder / "all.pem"))
    context = ssl.create_default_context()
    authority.configure_trust(context)
    tokens = (
        f'bearer_tokens: {{agent: {{sha256: "{token_digest(TOKEN).hex()}", scopes: [write]}}}}\n'
    )
    tls = "tls_server_config: {cert_file: all.pem, key_file: all.pem}\n"
    found: dict[str, dict[str, float]] = {}
    for name, text in (("plain", ""), ("token", tokens), ("token and TLS", tokens + tls)):
        with serving(folder, name.replace(" ", "-"), text) as port:
            with socket.create_connection(("localhost", port)) as wire:
                if tls in text:
                    wire = context.wrap_socket(wire, server_hostname="localhost")  # noqa: PLW2901
                found[f"write, {name}, us"] = figures_of(writes(wire))
                wire.close()
            if tls in text:
                found["handshake, us"] = figures_of(handshakes(port, context))
    return found


def writes(wire: socket.socket) -> list[float]:
    head = b"PUT /kv/a HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %b\r\n" % TOKEN
    sent = head + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY
    times = []
    for _ in range(PASSES):
        began = time.process_time()
        for _ in range(REQUESTS):
            wire.sendall(sent)
            assert wire.recv(1 << 16).startswith(b"HTTP/1.1 200")
        times.append((time.process_time() - began) / REQUESTS * 1e6)
    return times


def handshakes(port: int, context: ssl.SSLContext) -> list[float]:
    times = []
    for _ in range(HANDSHAKES):
        began = time.process_time()
        with (
            socket.create_connection(("localhost", port)) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as wire,
        ):
            assert wire.version() == "TLSv1.3"
        times.append((time.process_time() - began) * 1e6)
    return times


def measure() -> dict[str, dict[str, float]]:
    logs.configure("json", "critical")
    found = asyncio.run(checks())
    with tempfile.TemporaryDirectory() as folder:
        found |= over_the_wire(Path(folder))
    assert found["check, off, us"]["best"] <= OFF_US_MAX
    assert found["check, token, us"]["best"] <= ON_US_MAX
    assert found["check, basic, us"]["best"] <= ON_US_MAX
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    figures = measure()
    if parser.parse_args().json:
        print(json.dumps(figures))
        return
    for name, part in figures.items():
        print(f"{name:24} median {part['median']:10,.2f}   best {part['best']:10,.2f}")


if __name__ == "__main__":
    main()
