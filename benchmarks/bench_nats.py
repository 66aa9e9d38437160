"""Question: what does an append to the replicated log cost this process, what a message read?

Input    payloads of 100 B, 10 KB, 100 KB, 500 KB; one at a time and eight; three servers on this
         machine that fsync before they ack, three copies
Compare  `js.publish` of nats-py, same stream, same run; reading has no other
Output   CPU microseconds of the event loop's thread and milliseconds of the clock an append (the
         servers share the machine), medians of rounds; the same of a message read. All that was
         appended is read again and counted. Run: python -m benchmarks.bench_nats
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

from replication.nats.connection import Nats
from replication.nats.jetstream import ShardStream
from replication.settings import Address, ClusterSettings, NatsSettings, Peer

NODES, MESSAGES, ROUNDS = 3, 200, 5
SIZES, WRITERS = (100, 10_000, 100_000, 500_000), (1, 8)
TIMEOUT_S = 30


def settings() -> list[ClusterSettings]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2 * NODES)]
    addresses = [Address("127.0.0.1", one.getsockname()[1]) for one in sockets]
    for one in sockets:
        one.close()
    peers = tuple(Peer(f"n{i}", addresses[i], addresses[NODES + i]) for i in range(NODES))
    return [
        ClusterSettings(
            path=Path("cluster.toml"), cluster="bench", node=peer.node, http=peer.http,
            nats=NatsSettings(routes=peer.routes), peers=peers, replicas=NODES,
        )
        for peer in peers
    ]  # fmt: skip


async def timed(step: Callable[[int], Awaitable[Any]], writers: int) -> tuple[float, float]:
    """CPU microseconds and milliseconds of each of MESSAGES steps, taken by so many writers."""
    numbers = iter(range(MESSAGES))

    async def write() -> None:
        for n in numbers:
            await step(n)

    cpu, clock = time.thread_time(), time.perf_counter()
    await asyncio.gather(*(write() for _ in range(writers)))
    return (
        (time.thread_time() - cpu) / MESSAGES * 1e6,
        (time.perf_counter() - clock) / MESSAGES * 1e3,
    )


async def read(log: ShardStream, count: int) -> tuple[float, float]:
    cpu, clock, last = time.thread_time(), time.perf_counter(), 0
    async with aclosing(log.tail(1)) as messages:
        async for message in messages:
            last = message.seq
            if last == count:
                break
    assert last == count
    return (time.thread_time() - cpu) / count * 1e6, (time.perf_counter() - clock) / count * 1e3


async def one_case(nats: Nats, shard: int, size: int, writers: int) -> dict[str, float]:
    log = await nats.create_log(shard, 1)
    js, payload = nats.client.jetstream(timeout=TIMEOUT_S), bytes(size)
    ours: list[tuple[float, float]] = []
    theirs: list[tuple[float, float]] = []
    for turn in range(ROUNDS):

        async def append(n: int, turn: int = turn) -> None:
            await log.append(payload, f"a:{turn}:{n}", timeout_s=TIMEOUT_S)

        async def publish(n: int, turn: int = turn) -> None:
            await js.publish(log.subject, payload, headers={"Nats-Msg-Id": f"p:{turn}:{n}"})

        ours.append(await timed(append, writers))
        theirs.append(await timed(publish, writers))
    got = await read(log, 2 * ROUNDS * MESSAGES)
    await nats.delete_log(shard, 1)
    return {
        "append_cpu_us": statistics.median(cpu for cpu, _ in ours),
        "append_ms": statistics.median(clock for _, clock in ours),
        "js_publish_cpu_us": statistics.median(cpu for cpu, _ in theirs),
        "js_publish_ms": statistics.median(clock for _, clock in theirs),
        "read_cpu_us": got[0],
        "read_ms": got[1],
    }


async def measure() -> dict[str, dict[str, float]]:
    with tempfile.TemporaryDirectory(prefix="silverback-bench-") as folder:
        nodes = [await Nats.open(one, Path(folder) / one.node) for one in settings()]
        await nodes[0].ready()
        cases = [(size, writers) for size in SIZES for writers in WRITERS]
        figures = {
            f"{size:,} B by {writers}": await one_case(nodes[0], shard, size, writers)
            for shard, (size, writers) in enumerate(cases)
        }
        for node in nodes:
            await node.close()
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    as_json = parser.parse_args().json
    figures = asyncio.run(measure())
    if as_json:
        print(json.dumps(figures))
        return
    for name, part in figures.items():
        print(f"{name:16}", *(f"{key} {value:8,.2f}" for key, value in part.items()))


if __name__ == "__main__":
    main()
