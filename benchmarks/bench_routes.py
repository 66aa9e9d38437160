"""Question: what does a small write cost the loop by the hot table, what as a FastAPI route?

Input    one point a request, PUT /kv/{key}, 64 at a time; the whole application and a real
         database, without a socket, so that HTTP parsing is the same nothing on both sides
Compare  the same request through the route that FastAPI has declared for it, same run
Output   CPU microseconds a request by thread; how often an outcome woke the loop. Answers are
         checked: every point is in the database at the end. Run: python -m benchmarks.bench_routes
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import threading
from pathlib import Path
from typing import Any

import uvloop

from api.app import Application
from api.node import Node
from api.settings import load

CLIENTS, REQUESTS, ROUNDS = 64, 60, 7
START_S = 1_700_000_000


class ByFastapi(Application):
    """The application without its table."""

    async def _respond(self, exchange: Any) -> None:
        scope = {**exchange.scope, "path": exchange.scope["raw_path"].decode()}
        await self.api(scope, exchange.receive, exchange.send)


async def client(app: Application, number: int, first: int) -> None:
    for n in range(first, first + REQUESTS):
        path = f"/kv/routes/{number}"
        body = b"[[%d,%d]]" % (START_S + n, n)
        scope = {
            "type": "http", "method": "PUT", "path": path, "raw_path": path.encode(),
            "query_string": b"", "client": ("127.0.0.1", 1),
            "headers": [(b"host", b"127.0.0.1"), (b"content-type", b"application/json"),
                        (b"content-length", b"%d" % len(body))],
        }  # fmt: skip

        async def receive(body: bytes = body) -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            assert message.get("status", 200) == 200

        await app(scope, receive, send)


async def round_of(app: Application, first: int) -> None:
    await asyncio.gather(*(client(app, i, first) for i in range(CLIENTS)))


def cpu_us() -> dict[str, float]:
    """CPU of each thread so far, by the kernel's count."""
    taken = {}
    for thread in threading.enumerate():
        text = Path(f"/proc/self/task/{thread.native_id}/schedstat").read_text()
        taken[thread.name] = int(text.split()[0]) / 1e3
    return taken


def measure() -> dict[str, dict[str, float]]:
    figures: dict[str, list[dict[str, float]]] = {"table": [], "fastapi": []}
    with tempfile.TemporaryDirectory(prefix="silverback-bench-") as folder:
        node = Node(load({"data": Path(folder) / "db"}, environ={}))
        node.open()
        apps = {"table": Application(node), "fastapi": ByFastapi(node)}
        loop = uvloop.new_event_loop()
        done = 0
        for turn in range(ROUNDS + 1):
            for name, app in apps.items():
                before, woken = cpu_us(), node.ingest.wake_ups
                loop.run_until_complete(round_of(app, done * REQUESTS))
                after, count = cpu_us(), CLIENTS * REQUESTS
                done += 1
                one = {
                    "loop_us": (after["MainThread"] - before["MainThread"]) / count,
                    "gate_us": (after["gate"] - before["gate"]) / count,
                    "writer_us": (after["writer"] - before["writer"]) / count,
                    "wake_ups_a_request": (node.ingest.wake_ups - woken) / count,
                }
                if turn:  # the first round only warms up
                    figures[name].append(one)
        loop.close()
        assert node.database().stats().points == done * CLIENTS * REQUESTS
        node.close()
    medians = {
        name: {key: statistics.median(r[key] for r in rounds) for key in rounds[0]}
        for name, rounds in figures.items()
    }
    ratio = medians["fastapi"]["loop_us"] / medians["table"]["loop_us"]
    return {**medians, "ratio": {"loop": ratio}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    figures = measure()
    if parser.parse_args().json:
        print(json.dumps(figures))
        return
    for name, part in figures.items():
        for key, value in part.items():
            print(f"{name:10} {key:22} {value:10,.3f}")


if __name__ == "__main__":
    main()
