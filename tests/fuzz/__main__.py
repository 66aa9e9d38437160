"""Every fuzz target for a while: `python -m tests.fuzz --seconds 60`, or `make fuzz`.

    in   seconds a target; the kept corpora in tests/fuzz/corpus
    out  what libFuzzer prints; exit 1 at the first finding, whose input is kept beside the corpus

New inputs go to a temporary copy of the corpus: what is worth keeping is added by hand.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

FOLDER = Path(__file__).resolve().parent


def fuzz(target: Path, seconds: int) -> int:
    """Exit code of one target; 0 when it found nothing."""
    kept = FOLDER / "corpus" / target.stem.removeprefix("fuzz_")
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder) / "corpus"
        if kept.is_dir():
            shutil.copytree(kept, corpus)
        else:
            corpus.mkdir()
        findings = FOLDER / "findings" / target.stem
        findings.mkdir(parents=True, exist_ok=True)
        command = [
            sys.executable, str(target), f"-max_total_time={seconds}",
            f"-artifact_prefix={findings}/", "-print_final_stats=1", str(corpus),
        ]  # fmt: skip
        return subprocess.run(command, check=False, cwd=FOLDER.parents[1]).returncode


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    given = parser.parse_args()
    for target in sorted(FOLDER.glob("fuzz_*.py")):
        sys.stdout.write(f"--- {target.stem}\n")
        sys.stdout.flush()
        if fuzz(target, given.seconds):
            sys.stdout.write(f"{target.stem} found something: see tests/fuzz/findings\n")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
