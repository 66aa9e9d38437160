"""As many questions as you like to both databases: `python -m promql.differential --count 2000`.

in   a count, a seed; `prometheus` from PATH or the folder named by SILVERBACK_PEERS
out  a progress bar; every disagreement, and a table by function; exit 1 if there is any
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections import Counter
from pathlib import Path

from clients.binaries import find
from promql.differential.answers import Question, disagreement
from promql.differential.databases import stored
from promql.differential.dataset import dataset
from promql.differential.deviations import deviation
from promql.differential.grammar import Grammar, subjects
from promql.differential.live import Prometheus, prometheus

import tsdb
from tsdb.promql.parse import EXPERIMENTAL_FUNCTIONS

BAR = 40


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0, help="of the questions")
    parser.add_argument("--points-seed", type=int, default=1, help="of the points")
    parser.add_argument("--experimental", action="store_true", help="with functions behind a flag")
    parser.add_argument("--stop", type=int, default=40, help="after so many disagreements")
    given = parser.parse_args()
    program = find("prometheus")
    if program is None:
        sys.stderr.write("no prometheus on PATH nor in SILVERBACK_PEERS\n")
        return 2
    series = dataset(given.points_seed)
    features = [EXPERIMENTAL_FUNCTIONS] if given.experimental else []
    with (
        tempfile.TemporaryDirectory() as folder,
        prometheus(program, Path(folder), features=features) as server,
    ):
        server.write(series)
        with stored(series, Path(folder) / "ours") as database:
            return compare(server, database, given)


def compare(server: Prometheus, database: tsdb.Database, given: argparse.Namespace) -> int:
    grammar = Grammar(random.Random(given.seed), experimental=given.experimental)
    asked: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    found = 0
    for number in range(1, given.count + 1):
        question = grammar.question()
        while deviation(question) is not None:
            question = grammar.question()
        said = judged(server, database, question, experimental=given.experimental)
        about = subjects(question.text)
        asked.update(about)
        if said is not None:
            found += 1
            wrong.update(about)
            sys.stdout.write(f"\r\033[K{question}\n    {said}\n")
        show(number, given.count, found)
        if found >= given.stop:
            break
    table(asked, wrong)
    sys.stdout.write(f"{number} questions, {found} disagreements\n")
    return 1 if found else 0


def judged(
    server: Prometheus, database: tsdb.Database, question: Question, *, experimental: bool
) -> str | None:
    try:
        features = [EXPERIMENTAL_FUNCTIONS] if experimental else []
        return disagreement(server, database, question, features=features)
    except Exception as error:  # a crash is the worst disagreement
        return f"{type(error).__name__}: {error}"


def show(done: int, count: int, wrong: int) -> None:
    if done * 100 // count == (done - 1) * 100 // count:
        return
    filled = BAR * done // count
    bar = "█" * filled + "·" * (BAR - filled)
    sys.stderr.write(f"\r{bar} {done}/{count}, {wrong} disagree")
    if done == count:
        sys.stderr.write("\n")


def table(asked: Counter[str], wrong: Counter[str]) -> None:
    rows = sorted(asked, key=lambda name: (-wrong[name] / asked[name], name))
    for name in (name for name in rows if wrong[name]):
        sys.stdout.write(f"{name:24} {wrong[name]:6} of {asked[name]}\n")


if __name__ == "__main__":
    sys.exit(main())
