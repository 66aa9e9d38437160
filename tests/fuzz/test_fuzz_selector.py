"""The fuzz target of selectors, run without a fuzzer: kept findings and seeded damage to them."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest

HERE = Path(__file__).resolve().parent
CORPUS = sorted((HERE / "corpus" / "selector").iterdir())
DAMAGED, SEED = 1_500, 1859
check = runpy.run_path(str(HERE / "fuzz_selector.py"))["check"]


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.name)
def test_what_the_fuzzer_kept_is_refused_or_means_itself(path: Path) -> None:
    assert check(path.read_bytes()) in {True, False}


def test_the_corpus_holds_selectors_and_nonsense() -> None:
    sound = sum(check(path.read_bytes()) for path in CORPUS)

    assert 10 <= sound <= len(CORPUS) - 10


def test_random_damage_is_refused_or_means_itself() -> None:
    rng = np.random.default_rng(SEED)
    seeds = [path.read_bytes() for path in CORPUS]
    sound = 0
    for _ in range(DAMAGED):
        text = bytearray(seeds[rng.integers(len(seeds))])
        for _ in range(rng.integers(1, 4)):
            place = int(rng.integers(len(text) + 1))
            text[place : place + int(rng.integers(2))] = bytes(
                rng.choice(list(b'ab{}="~!,\\|.*()0x'), int(rng.integers(3))).astype(np.uint8)
            )
        sound += check(bytes(text))

    assert 0 < sound < DAMAGED
