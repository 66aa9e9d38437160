"""A real server, 64 writers, kill -9 again and again: `python -m tests.soak --seconds 600`.

    in   seconds
    out  kills, acked points; exit 1 and the culprit as soon as one acked point is missing

What `tests/torture/test_kill9.py` does a few times, on one directory that grows all the while.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import serving
from tests.torture.test_kill9 import WHOLE_EVERY, WRITERS, Writer, check_all, one_life


def soak(folder: Path, seconds: float, seed: int) -> tuple[int, int]:
    """(kills, acked points); AssertionError when a promise is broken."""
    rng = random.Random(seed)
    writers = [Writer(client) for client in range(1, WRITERS + 1)]
    deadline, kills = time.monotonic() + seconds, 0
    while True:
        server = serving.start(folder / "db")
        done = time.monotonic() > deadline
        check_all(server, writers, whole=done or kills % WHOLE_EVERY == 0)
        if done:
            server.stop()
            return kills, sum(len(w.acked) for w in writers)
        asyncio.run(one_life(server, writers, rng.uniform(0.2, 4.0)))
        kills += 1
        sys.stdout.write(f"\r{kills} kills, {sum(len(w.acked) for w in writers):,} acked points ")
        sys.stdout.flush()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        try:
            kills, acked = soak(Path(folder), given.seconds, given.seed)
        except AssertionError as error:
            sys.stdout.write(f"\n--seed {given.seed}: {error}\n")
            return 1
    sys.stdout.write(f"\n{kills} kills, {acked:,} acked points, none lost, none invented\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
