"""The fuzz target of line protocol, run without a fuzzer: kept findings and seeded damage."""

import runpy
from pathlib import Path

import numpy as np
import pytest

HERE = Path(__file__).resolve().parent
CORPUS = sorted((HERE / "corpus" / "line_protocol").iterdir())
BUFFERS, SEED = 2_000, 1086
check = runpy.run_path(str(HERE / "fuzz_line_protocol.py"))["check"]


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.name)
def test_what_was_kept_is_judged_alike_by_kernel_and_twin(path):
    assert check(path.read_bytes()) in {True, False}


def test_the_corpus_holds_something_good_and_something_bad():
    """A corpus of nothing but damage would never reach the kernels."""
    assert {check(path.read_bytes()) for path in CORPUS} == {True, False}


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
