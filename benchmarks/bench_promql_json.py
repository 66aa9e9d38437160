"""Question: what does a value of a PromQL answer cost as JSON, beside orjson in the same run?

    1,000 series by 240 steps: values of one decimal (short) and of 17 digits (long)

orjson is given ready lists of [time, text], so that only its writing counts. Thread CPU time,
medians; the answers are compared.

Run: python -m benchmarks.bench_promql_json [--json]
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import orjson

from api.encode import promql_json
from tsdb.index.labels import Labels
from tsdb.promql.ast import Type
from tsdb.promql.query import Answer
from tsdb.promql.rows import Rows
from tsdb.promql.values import Vector

SERIES, STEPS, ROUNDS = 1_000, 240, 15
START_MS = 1_769_860_800_000


def answer(values: np.ndarray) -> Answer:
    labels = [Labels({"__name__": "cpu", "host": f"host_{i}"}) for i in range(SERIES)]
    vector = Vector(Rows(labels), values, np.ones(values.shape, np.bool_))
    return Answer(Type.MATRIX, START_MS + 15_000 * np.arange(STEPS), vector, [], [])


def ns_a_value(work: Callable[[], object]) -> float:
    work()
    took = []
    for _ in range(ROUNDS):
        began = time.thread_time_ns()
        work()
        took.append(time.thread_time_ns() - began)
    return statistics.median(took) / (SERIES * STEPS)


def run() -> dict[str, Any]:
    random = np.random.default_rng(3)
    kinds = {
        "short": np.round(random.uniform(0, 100, (SERIES, STEPS)), 1),
        "long": random.random((SERIES, STEPS)),
    }
    figures: dict[str, Any] = {}
    for kind, values in kinds.items():
        asked = answer(values)
        document = json.loads(b"".join(promql_json.stream(asked)))
        assert [
            [float(v) for _, v in each["values"]] for each in document["data"]["result"]
        ] == values.tolist()
        ours = ns_a_value(lambda asked=asked: list(promql_json.stream(asked)))  # type: ignore[misc]
        theirs = ns_a_value(lambda document=document: orjson.dumps(document))  # type: ignore[misc]
        figures[kind] = {"ours ns": ours, "orjson ns": theirs, "ours : orjson": ours / theirs}
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    figures = run()
    if parser.parse_args().json:
        print(json.dumps(figures))
        return
    for kind, part in figures.items():
        for name, value in part.items():
            print(f"{kind:8} {name:16} {value:8.2f}")


if __name__ == "__main__":
    main()
