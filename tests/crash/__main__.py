"""Try disk images until there have been enough: `cd tests && python -m crash --images 60000`.

Random lives of the log, or with `--what database` of the whole database, each from a seed that is
printed with a violation; new ones every day, so that nights add up. A violation replays with
`--seed`.
"""

from __future__ import annotations

import argparse
import datetime
import functools
import sys
import time

from crash import database_life, wal_scripts, wal_trials
from crash.states import Report, explore

import tsdb
from tsdb.log import wal


def log_life(seed: int) -> Report:
    script = functools.partial(wal_scripts.random_life, seed)
    return wal_trials.explore_log(script, wal, seed=seed)


def whole_life(seed: int) -> Report:
    life = database_life.Life(tsdb.open, database_life.random_life(seed))
    return explore(life.script, life.check, seed=seed)


LIVES = {"log": log_life, "database": whole_life}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=int, default=60_000, help="distinct images to try")
    parser.add_argument("--seed", type=int, help="the first seed; default: from today's date")
    parser.add_argument("--what", choices=LIVES, default="log")
    given = parser.parse_args()
    today = datetime.datetime.now(datetime.UTC).strftime("%y%m%d")
    seed = first = int(today) * 10_000 if given.seed is None else given.seed
    started, images, states = time.monotonic(), 0, 0
    while images < given.images:
        report = LIVES[given.what](seed)
        if report.violations:
            sys.stdout.write(f"--seed {seed}: {report}\n")
            return 1
        images, states, seed = images + report.images, states + report.states, seed + 1
    took = time.monotonic() - started
    sys.stdout.write(
        f"{seed - first} lives from seed {first}, {states:,} states, {images:,} distinct images, "
        f"0 violations, {took:.0f} s\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
