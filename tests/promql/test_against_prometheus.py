"""Prometheus itself as the judge of trees, texts and answers; the program of docs' how-to.

`make promql-diff N=2000` asks more.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from clients.binaries import need
from promql.differential.answers import disagreement
from promql.differential.databases import stored
from promql.differential.dataset import dataset
from promql.differential.deviations import deviation
from promql.differential.grammar import Grammar
from promql.differential.live import Prometheus, prometheus

import tsdb
from tsdb.errors import InvalidInput
from tsdb.promql.parse import EXPERIMENTAL_FUNCTIONS, parse
from tsdb.promql.printing import described, pretty

pytestmark = pytest.mark.slow

TREES, ANSWERS, SEED = 600, 800, 20


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    with prometheus(need("prometheus"), tmp_path_factory.mktemp("prometheus")) as found:
        found.write(dataset(1))
        yield found


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tsdb.Database]:
    with stored(dataset(1), tmp_path_factory.mktemp("ours") / "db") as found:
        yield found


def texts() -> list[str]:
    """What a generator would hardly write, what it writes, and both made long."""
    rng = random.Random(SEED)
    grammar = Grammar(rng)
    drawn = [grammar.query() for _ in range(TREES)]
    operators = ("or", "+", "* on (host)")
    long = [
        f"{rng.choice(drawn)} {rng.choice(operators)} {rng.choice(drawn)}"
        for _ in range(TREES // 2)
    ]
    nested = [f"sum by (host, dc) ({text})" for text in long[:50]]
    return [*written(), *drawn, *long, *nested, *(f"-({text})" for text in long[50:100])]


def written() -> list[str]:
    found: list[str] = json.loads((Path(__file__).parent / "texts.json").read_text("utf-8"))
    return found


def test_trees_and_texts(server: Prometheus) -> None:
    wrong = [said for text in texts() if (said := judged(server, text)) is not None]
    assert not wrong, f"{len(wrong)} texts are read otherwise: " + "\n".join(wrong[:10])


def judged(server: Prometheus, text: str) -> str | None:
    tree = server.ask("/api/v1/parse_query", query=text)
    try:
        node = parse(text)
    except InvalidInput as error:
        return None if tree["status"] == "error" else f"{text!r} is refused: {error}"
    if tree["status"] == "error":
        return f"{text!r} is accepted, but {tree['error']}"
    if described(node) != tree["data"]:
        return f"{text!r} is {described(node)}, not {tree['data']}"
    expected = server.ask("/api/v1/format_query", query=text)["data"]
    if pretty(node) != expected:
        return f"{text!r} is written {pretty(node)!r}, not {expected!r}"
    return None


def test_answers_behind_the_flag(tmp_path: Path, database: tsdb.Database) -> None:
    features = [EXPERIMENTAL_FUNCTIONS]
    grammar = Grammar(random.Random(SEED), experimental=True)
    questions = [q for q in (grammar.question() for _ in range(TREES)) if deviation(q) is None]
    with prometheus(need("prometheus"), tmp_path, features=features) as server:
        server.write(dataset(1))
        said = {q: disagreement(server, database, q, features=features) for q in questions}
    wrong = [f"{question}: {found}" for question, found in said.items() if found]
    assert not wrong, "\n".join(wrong[:10])


def test_answers(server: Prometheus, database: tsdb.Database) -> None:
    grammar = Grammar(random.Random(SEED))
    questions = [q for q in (grammar.question() for _ in range(ANSWERS)) if deviation(q) is None]
    wrong = [
        f"{question}: {said}"
        for question in questions
        if (said := disagreement(server, database, question))
    ]
    assert not wrong, "\n".join(wrong[:10])
    assert len(questions) > ANSWERS * 0.8
