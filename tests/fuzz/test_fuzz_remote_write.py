"""The fuzz target of remote_write, run without a fuzzer: kept findings and seeded damage."""

import runpy
from pathlib import Path

import numpy as np
import pytest

HERE = Path(__file__).resolve().parent
CORPUS = sorted((HERE / "corpus" / "remote_write").iterdir())
BUFFERS, SEED = 1_500, 2021
check = runpy.run_path(str(HERE / "fuzz_remote_write.py"))["check"]


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.name)
def test_what_was_kept_is_judged_alike_by_kernel_and_library(path):
    assert check(path.read_bytes()) in {True, False}


def test_the_corpus_holds_something_good_and_something_bad_of_each_kind():
    """A corpus of nothing but damage would never reach the kernels."""
    kinds = {(path.read_bytes()[0] % 2, check(path.read_bytes())) for path in CORPUS}

    assert kinds == {(kind, good) for kind in range(2) for good in (True, False)}


def test_seeded_damage_is_judged_alike():
    """Bytes replaced, mostly by as many: else lengths that stand before them are wrong at once."""
    rng = np.random.default_rng(SEED)
    seeds = [path.read_bytes() for path in CORPUS]
    good = 0
    for _ in range(BUFFERS):
        data = bytearray(seeds[int(rng.integers(len(seeds)))])
        for _ in range(int(rng.integers(1, 3))):
            at = int(rng.integers(2, len(data) + 2))
            other = seeds[int(rng.integers(len(seeds)))]
            start = int(rng.integers(len(other)))
            piece = other[start : start + int(rng.integers(1, 4))]
            size = int(rng.integers(0, 5)) if rng.random() < 0.1 else len(piece)
            data[at : at + size] = piece
        good += check(bytes(data))

    assert BUFFERS // 20 < good < BUFFERS
