"""What Prometheus 3.5.3 said, kept: trees, texts and answers, without the program itself.

recorded.json is made by `python -m promql.differential.record`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from promql.differential.answers import Outcome, Question, asked_of_us, difference
from promql.differential.databases import stored
from promql.differential.dataset import dataset

import tsdb
from tsdb.errors import InvalidInput
from tsdb.promql.parse import parse
from tsdb.promql.printing import described, pretty

RECORDS = json.loads((Path(__file__).parent / "recorded.json").read_text("utf-8"))
TREES = [record for record in RECORDS if "text" in record]
ANSWERS = [record for record in RECORDS if "question" in record]


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tsdb.Database]:
    with stored(dataset(1), tmp_path_factory.mktemp("recorded") / "db") as found:
        yield found


def test_there_is_enough_of_everything() -> None:
    assert len(TREES) > 200
    assert sum(record["tree"] is None for record in TREES) > 50
    assert sum("series" in record["answer"] for record in ANSWERS) > 250
    assert sum("error" in record["answer"] for record in ANSWERS) > 15
    assert sum("warnings" in record["answer"] for record in ANSWERS) > 5
    assert sum("infos" in record["answer"] for record in ANSWERS) > 5


@pytest.mark.parametrize("record", TREES, ids=lambda record: repr(record["text"])[:40])
def test_trees(record: dict[str, Any]) -> None:
    if record["tree"] is None:
        with pytest.raises(InvalidInput):
            parse(record["text"])
        return
    node = parse(record["text"])
    assert described(node) == record["tree"]
    assert pretty(node) == record["pretty"]


def test_answers(database: tsdb.Database) -> None:
    wrong = []
    for record in ANSWERS:
        question = Question(**record["question"])
        said = difference(question, outcome(record["answer"]), asked_of_us(database, question))
        if said is not None:
            wrong.append(f"{question}: {said}")
    assert not wrong, "\n".join(wrong[:10])


def outcome(answer: dict[str, Any]) -> Outcome:
    series = [
        (tuple((name, value) for name, value in key), [(time, value) for time, value in points])
        for key, points in answer.get("series", [])
    ]
    return Outcome(**{**answer, "series": series})
