"""Scores of names: known figures of Jaro and Winkler, and subsequences against a slow twin."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from api.name_search import Search, jaro_winkler, subsequence

few = st.text(alphabet="abé_", max_size=9)


def greedy(term: str, name: str, start: int) -> list[int] | None:
    """Places of the term's characters, each the first after the one before."""
    places: list[int] = []
    for character in term:
        after = places[-1] + 1 if places else start
        found = [i for i in range(after, len(name)) if name[i] == character]
        if not found:
            return None
        places.append(found[0])
    return places


def slowly(term: str, name: str) -> float:
    scores = [-1.0]
    for start in [i for i, c in enumerate(name) if c == term[0]]:
        places = greedy(term, name, start)
        if places is None:
            continue
        runs = [
            [i for _, i in run]
            for _, run in itertools.groupby(enumerate(places), lambda pair: pair[1] - pair[0])
        ]
        inside = places[-1] + 1 - len(places)  # not matched, before and between
        after = len(name) - 1 - places[-1]
        scores.append(sum(len(r) ** 2 for r in runs) - inside / len(name) - after / len(name) / 2)
    return max(0.0, max(scores)) / len(term) ** 2


@given(few.filter(bool), few.filter(bool))
@example("aa", "abaa")
def test_subsequences(term: str, name: str) -> None:
    assert subsequence(term, name) == pytest.approx(slowly(term, name), abs=1e-12)
    assert subsequence(name, name) == 1


@pytest.mark.parametrize(
    ("one", "other", "score"),
    [
        ("MARTHA", "MARHTA", 0.9611), ("DIXON", "DICKSONX", 0.8133), ("DWAYNE", "DUANE", 0.84),
        ("abc", "xyz", 0), ("", "a", 0),
    ],
)  # fmt: skip
def test_similarities_of_the_literature(one: str, other: str, score: float) -> None:
    assert jaro_winkler(one, other) == pytest.approx(score, abs=1e-4)
    assert jaro_winkler(other, one) == jaro_winkler(one, other)


@given(few, few)
def test_similarities_are_bounded(one: str, other: str) -> None:
    assert 0 <= jaro_winkler(one, other) <= 1 + 1e-12


def scores(names: list[str], *terms: str, algorithm: str = "subsequence", **more: float) -> list:
    search = Search(
        terms, algorithm, more.get("threshold", 0), case_sensitive=not more.get("folded")
    )
    return [search.score(name) for name in names]


def test_what_fits() -> None:
    assert scores(["x", ""]) == [1, 1]
    assert scores(["cpu_total", "CPU", "uc"], "cpu") == [1, None, None]
    assert scores(["CPU"], "cpu", folded=1) == [1]
    assert scores(["node_cpu"], "cpu") == [pytest.approx((9 - 5 / 8) / 9)]
    assert scores(["node_cpu"], "cpu", threshold=0.95) == [None]
    assert scores(["node_cpu", "up"], "cpu", "up") == [pytest.approx((9 - 5 / 8) / 9), 1]


def test_what_is_similar() -> None:
    similar = {"algorithm": "jarowinkler"}
    assert scores(["cpu_x", "x_cpu", "cpy"], "cpu", **similar) == [1, 0.9, None]  # type: ignore[arg-type]
    (score,) = scores(["cpy"], "cpu", threshold=0.5, **similar)  # type: ignore[arg-type]
    assert score == jaro_winkler("cpu", "cpy")
    assert scores(["cpy"], "cpu", threshold=0.99, **similar) == [None]  # type: ignore[arg-type]


def test_long_names_are_not_compared() -> None:
    long = "a" * 5000
    assert scores([long + "b", "b" + long, long], "ab") == [0.9, None, None]
