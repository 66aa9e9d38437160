"""The fuzz target of the log, run without a fuzzer: kept findings and seeded random edits."""

import random
import runpy
from pathlib import Path

HERE = Path(__file__).resolve().parent
CORPUS = sorted((HERE / "corpus" / "log").iterdir())
RANDOM_INPUTS, SEED = 500, 2016
check = runpy.run_path(str(HERE / "fuzz_log.py"))["check"]


def test_what_the_fuzzer_kept_costs_only_itself():
    lossy = sum(check(path.read_bytes()) for path in CORPUS)

    assert 4 < lossy < len(CORPUS) - 4


def test_random_edits_cost_only_themselves():
    rng = random.Random(SEED)
    lossy = 0
    for _ in range(RANDOM_INPUTS):
        edits = b"".join(
            bytes([rng.randrange(256)])
            + rng.randrange(2000).to_bytes(2, "little")
            + bytes([size := rng.choice([0, 1, 1, 4, 8])])
            + rng.randbytes(size)
            for _ in range(rng.randrange(1, 4))
        )
        lossy += check(bytes([rng.randrange(4)]) + edits)

    assert 0 < lossy < RANDOM_INPUTS
