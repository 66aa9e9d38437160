"""The fuzz target of PromQL, run without a fuzzer: kept findings and seeded damage to them.

In a process of its own: the grammar is machine code, and a crash of it should be one red test.
"""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
CORPUS = sorted((HERE / "corpus" / "promql").iterdir())
DAMAGED, SEED, SECONDS_MAX = 1_500, 1984, 120
SIGNS = [*"x1m(){}[]\"'`=~!,:@+-*/^%<># \n", " by ", " offset ", "rate(", "sum ", "NaN", "5m", "\\"]


def replay() -> dict[str, int]:
    check = runpy.run_path(str(HERE / "fuzz_promql.py"))["check"]
    rng = np.random.default_rng(SEED)
    seeds = [path.read_bytes() for path in CORPUS]
    kept, sound = 0, 0
    for number in range(len(seeds) + DAMAGED):
        data = seeds[number] if number < len(seeds) else damaged(rng, seeds)
        good = check(data)
        kept, sound = kept + (good and number < len(seeds)), sound + good
    return {"kept": kept, "sound": sound}


def damaged(rng: np.random.Generator, seeds: list[bytes]) -> bytes:
    text = bytearray(seeds[rng.integers(len(seeds))])
    for _ in range(rng.integers(1, 4)):
        place = int(rng.integers(len(text) + 1))
        text[place : place + int(rng.integers(3))] = SIGNS[rng.integers(len(SIGNS))].encode()
    return bytes(text)


def test_the_corpus_and_damage_to_it_are_refused_or_mean_themselves() -> None:
    command = [sys.executable, str(Path(__file__).resolve())]
    done = subprocess.run(
        command, cwd=HERE.parents[1], capture_output=True, timeout=SECONDS_MAX, check=False
    )
    assert done.returncode == 0, f"exit code {done.returncode}: {done.stderr.decode()[-2000:]}"
    found = json.loads(done.stdout)
    assert 10 <= found["kept"] <= len(CORPUS) - 10
    assert found["kept"] < found["sound"] < len(CORPUS) + DAMAGED


if __name__ == "__main__":
    sys.path.insert(0, str(HERE.parents[1]))
    sys.stdout.write(json.dumps(replay()))
