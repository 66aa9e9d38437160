"""The fuzz target of OpenTelemetry's metrics, run without a fuzzer: corpus and seeded damage."""

import runpy
from pathlib import Path

import numpy as np
import pytest

HERE = Path(__file__).resolve().parent
CORPUS = sorted((HERE / "corpus" / "otlp").iterdir())
BUFFERS, SEED = 1_000, 2032
check = runpy.run_path(str(HERE / "fuzz_otlp.py"))["check"]


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.name)
def test_what_was_kept_is_read_or_refused(path):
    assert check(path.read_bytes()) in {True, False}


def test_the_corpus_holds_something_good_and_something_bad_of_each_kind():
    kinds = {(path.read_bytes()[0] % 2, check(path.read_bytes())) for path in CORPUS}

    assert kinds == {(kind, good) for kind in range(2) for good in (True, False)}


def test_seeded_damage_is_read_or_refused():
    """Pieces of one input over another's bytes; at times longer or shorter than what they hide."""
    rng = np.random.default_rng(SEED)
    seeds = [path.read_bytes() for path in CORPUS]
    good = 0
    for _ in range(BUFFERS):
        data = bytearray(seeds[int(rng.integers(len(seeds)))])
        for _ in range(int(rng.integers(1, 3))):
            at = int(rng.integers(2, len(data) + 2))
            other = seeds[int(rng.integers(len(seeds)))]
            start = int(rng.integers(len(other)))
            piece = other[start : start + int(rng.integers(1, 5))]
            hidden = len(piece) if rng.random() < 0.8 else int(rng.integers(0, 5))
            data[at : at + hidden] = piece
        good += check(bytes(data))

    assert BUFFERS // 20 < good < BUFFERS
