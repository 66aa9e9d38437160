"""The fuzz target of replication, run without a fuzzer: kept inputs and seeded damage."""

import random
import runpy
from pathlib import Path

HERE = Path(__file__).resolve().parent
CORPUS = sorted((HERE / "corpus" / "replication").iterdir())
INPUTS, SEED = 4_000, 2026
check = runpy.run_path(str(HERE / "fuzz_replication.py"))["check"]


def test_the_corpus_holds_something_good_of_each_kind():
    kinds = {path.read_bytes()[0] % 4 for path in CORPUS if check(path.read_bytes())}

    assert kinds == {0, 1, 2, 3}


def test_seeded_damage_is_refused_or_read_as_what_it_says():
    """Bytes replaced, put in and cut out."""
    rng = random.Random(SEED)
    seeds = [path.read_bytes() for path in CORPUS]
    good = 0
    for _ in range(INPUTS):
        data = bytearray(rng.choice(seeds))
        for _ in range(rng.randrange(1, 4)):
            at = rng.randrange(1, len(data) + 1)
            data[at : at + rng.randrange(4)] = rng.randbytes(rng.randrange(4))
        good += check(bytes(data))

    assert INPUTS // 50 < good < INPUTS
