"""Lives of a simulated cluster: `python -m cluster --seeds 0:1000` from tests, or `make sim`.

in   a range of seeds
out  how many were run and what happened in them; exit 1 at the first that breaks a promise
"""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections import Counter

from cluster.simulation import STEPS, run

TELL_S = 5.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", default="0:300", help="from:to, or one")
    parser.add_argument("--steps", type=int, default=STEPS, help="of each life")
    parser.add_argument("--go-on", action="store_true", help="after a broken promise, too")
    given = parser.parse_args()
    first, colon, end = given.seeds.partition(":")
    seeds = range(int(first), int(end)) if colon else range(int(first))
    counts: Counter[str] = Counter()
    began = told = time.monotonic()
    broken = 0
    for done, seed in enumerate(seeds, 1):
        try:
            counts += run(seed, steps=given.steps)
        except AssertionError as error:
            broken += 1
            if not given.go_on:
                traceback.print_exception(error)
                return 1
            sys.stdout.write(f"{error}\n")
        if time.monotonic() - told > TELL_S:
            told = time.monotonic()
            sys.stdout.write(f"{done} of {len(seeds)} seeds\n")
            sys.stdout.flush()
    seconds = time.monotonic() - began
    happened = ", ".join(f"{what} {count:,}" for what, count in sorted(counts.items()))
    sys.stdout.write(f"{len(seeds)} seeds in {seconds:.0f} s, {broken} broken\n{happened}\n")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
