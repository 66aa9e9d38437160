"""Keep what Prometheus answers, for test runs without it: `python -m promql.differential.record`.

    in   `prometheus` from PATH or the folder named by SILVERBACK_PEERS
    out  tests/promql/recorded.json: trees and texts of queries, questions with their answers

Only answers that stay the same when asked again, and short ones: the file is read by people, too.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
from pathlib import Path
from typing import Any

from clients.binaries import find
from promql.differential.answers import Outcome, Question, asked_of_prometheus, difference
from promql.differential.dataset import dataset
from promql.differential.deviations import deviation
from promql.differential.grammar import ODD, Grammar
from promql.differential.live import Prometheus, prometheus

RECORDED = Path(__file__).resolve().parents[1] / "recorded.json"
TEXTS = RECORDED.with_name("texts.json")
QUESTIONS, TREES, SEED, POINTS_SEED = 700, 80, 3, 1
ANSWER_BYTES_MAX = 1_500
ASKED = 3


def main() -> int:
    program = find("prometheus")
    if program is None:
        sys.stderr.write("no prometheus on PATH nor in SILVERBACK_PEERS\n")
        return 2
    with tempfile.TemporaryDirectory() as folder, prometheus(program, Path(folder)) as server:
        server.write(dataset(POINTS_SEED))
        lines = [
            *(json.dumps(found, ensure_ascii=False) for found in trees(server)),
            *(json.dumps(found, ensure_ascii=False) for found in answers(server)),
        ]
    RECORDED.write_text("[\n" + ",\n".join(lines) + "\n]\n", "utf-8")
    sys.stdout.write(f"{len(lines)} records, {RECORDED.stat().st_size:,} bytes\n")
    return 0


def trees(server: Prometheus) -> list[dict[str, Any]]:
    grammar = Grammar(random.Random(SEED))
    written: list[str] = json.loads(TEXTS.read_text("utf-8"))
    found = []
    for text in [*written, *(grammar.query() for _ in range(TREES))]:
        tree = server.ask("/api/v1/parse_query", query=text)
        record: dict[str, Any] = {"text": text, "tree": tree.get("data")}
        if tree["status"] == "success":
            record["pretty"] = server.ask("/api/v1/format_query", query=text)["data"]
        found.append(record)
    return found


def answers(server: Prometheus) -> list[dict[str, Any]]:
    rng = random.Random(SEED)
    grammar = Grammar(rng)
    drawn = [Question(text, 1_700_001_800_000) for text in ODD]
    while len(drawn) < QUESTIONS:
        drawn.append(grammar.question())
    found = []
    for question in drawn:
        if deviation(question) is not None:
            continue
        first = asked_of_prometheus(server, question)
        again = (asked_of_prometheus(server, question) for _ in range(ASKED))
        if any(difference(question, first, other) is not None for other in again):
            continue
        record = {"question": as_json(question), "answer": as_json(first)}
        if len(json.dumps(record)) <= ANSWER_BYTES_MAX and not boring(first, rng):
            found.append(record)
    return found


def boring(outcome: Outcome, rng: random.Random) -> bool:
    """Nothing is an answer too, but need not be told a hundred times."""
    return not outcome.series and not outcome.error and rng.random() < 0.8


def as_json(held: Question | Outcome) -> dict[str, Any]:
    return {name: getattr(held, name) for name in type(held).__slots__ if getattr(held, name)}


if __name__ == "__main__":
    sys.exit(main())
