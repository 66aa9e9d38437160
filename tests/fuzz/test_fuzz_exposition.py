"""The fuzz target of Prometheus' text, run without a fuzzer: kept findings and seeded damage."""

import runpy
from pathlib import Path

import numpy as np
import pytest

HERE = Path(__file__).resolve().parent
CORPUS = sorted((HERE / "corpus" / "exposition").iterdir())
BUFFERS, SEED = 1_000, 2031
check = runpy.run_path(str(HERE / "fuzz_exposition.py"))["check"]


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.name)
def test_what_was_kept_is_judged_alike_by_kernel_and_twin(path):
    assert check(path.read_bytes()) in {True, False}


def test_the_corpus_holds_something_good_and_something_bad_of_each_kind():
    """A corpus of nothing but damage would never reach the kernels."""
    kinds = {(path.read_bytes()[0] % 4, check(path.read_bytes())) for path in CORPUS}

    assert kinds == {(kind, good) for kind in range(4) for good in (True, False)}


def test_seeded_damage_is_judged_alike():
    """Bytes replaced, put in and cut out, and pieces of one input put into another."""
    rng = np.random.default_rng(SEED)
    seeds = [path.read_bytes() for path in CORPUS]
    good = 0
    for _ in range(BUFFERS):
        data = bytearray(seeds[int(rng.integers(len(seeds)))])
        for _ in range(int(rng.integers(1, 4))):
            at = int(rng.integers(2, len(data) + 2))
            other = seeds[int(rng.integers(len(seeds)))]
            start = int(rng.integers(len(other)))
            piece = other[start : start + int(rng.integers(1, 9))]
            data[at : at + int(rng.integers(0, 5))] = piece
        good += check(bytes(data))

    assert BUFFERS // 10 < good < BUFFERS
