"""The fuzz target of the codec, run without a fuzzer: kept findings and seeded random buffers."""

import runpy
from pathlib import Path

import numpy as np
import pytest

HERE = Path(__file__).resolve().parent
CORPUS = sorted((HERE / "corpus" / "codec").iterdir())
RANDOM_BUFFERS, SEED = 3_000, 2015
check = runpy.run_path(str(HERE / "fuzz_codec.py"))["check"]


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.name)
def test_what_the_fuzzer_kept_is_read_alike_by_both_decoders(path):
    assert check(path.read_bytes()) in {True, False}


def test_the_corpus_holds_sound_chunks_and_damaged_ones():
    """A corpus of nothing but damage would never reach the codes."""
    sound = sum(check(path.read_bytes()) for path in CORPUS)

    assert 4 <= sound <= len(CORPUS) - 4


def test_random_buffers_and_random_damage_are_read_alike_by_both_decoders():
    rng = np.random.default_rng(SEED)
    seeds = [path.read_bytes() for path in CORPUS]
    sound = 0
    for i in range(RANDOM_BUFFERS):
        data = bytearray(rng.bytes(int(rng.integers(0, 120))))
        if i % 2:
            data = bytearray(seeds[int(rng.integers(len(seeds)))])
            for at in rng.integers(0, max(len(data), 1), 2):
                data[at : at + 1] = bytes([int(rng.integers(256))])
        sound += check(bytes(data))

    assert 0 < sound < RANDOM_BUFFERS
