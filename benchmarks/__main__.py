"""Every benchmark, one after another: `python -m benchmarks [NAME...]`, or `make bench`.

    in   names (all when none is given); a folder of real series for `compression`
    out  what each prints; benchmarks/results/<machine>/<commit>.json; with --page the sections of
         docs/benchmarks.md

Each runs in a process of its own, so that none warms another's caches. Figures of a shared machine
swing: read the ratios to the baseline of the same run before the absolute ones.
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.pages import machine, today, write_section

ROOT = Path(__file__).resolve().parent.parent
RESULTS = Path(__file__).resolve().parent / "results"
# How each hands out its figures as JSON: into a file, or on stdout instead of the table.
BENCHMARKS = {
    "codec": "file",
    "head": "file",
    "points": "file",
    "log": "stdout",
    "index": "file",
    "block": "file",
    "parse": "file",
    "lines": "file",
    "exposition": "file",
    "line_protocol": "file",
    "remote_write": "file",
    "engine": "stdout",
    "promql": "stdout",
    "http": "stdout",
    "auth": "stdout",
    "scrape": "stdout",
    "churn": "stdout",
    "peers": "stdout",
    "promql_json": "stdout",
    "queries": "stdout",
    "cluster": "stdout",
}


def run(name: str) -> tuple[dict[str, Any], str]:
    """Figures and text of one benchmark."""
    command = [sys.executable, "-m", f"benchmarks.bench_{name}", "--json"]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "figures.json"
        in_file = BENCHMARKS[name] == "file"
        done = subprocess.run(
            [*command, str(out)] if in_file else command,
            cwd=ROOT,
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
        if in_file:
            return json.loads(out.read_text()), done.stdout
    figures = json.loads(done.stdout)
    return figures, "\n".join(flat(figures))


def flat(figures: dict[str, Any], above: str = "") -> list[str]:
    """Nested figures as lines of text."""
    lines = []
    for key, value in figures.items():
        name = f"{above} {key}".strip()
        if isinstance(value, dict):
            lines += flat(value, name)
        else:
            shown = f"{value:,.4g}" if isinstance(value, float) and abs(value) < 1000 else value
            shown = f"{value:,.0f}" if isinstance(value, float) and abs(value) >= 1000 else shown
            lines.append(f"{name:44} {shown:>14}")
    return lines


def commit() -> str:
    found = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )
    return found.stdout.strip() or "unknown"


def keep(figures: dict[str, Any]) -> Path:
    """Add figures to this machine's file for this commit."""
    place = re.sub(r"\W+", "-", f"{machine().partition(',')[0]}-{platform.machine()}").lower()
    path = RESULTS / place / f"{commit()}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    old = json.loads(path.read_text()) if path.exists() else {}
    document = {**old, "date": today(), "machine": machine(), **figures}
    path.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n", "utf-8")
    return path


def compression(data: Path | None, page: Path | None) -> None:
    command = [sys.executable, "-m", "benchmarks.bench_compression"]
    command += [str(data)] if data else []
    command += ["--page", str(page)] if page else []
    subprocess.run(command, cwd=ROOT, check=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [*BENCHMARKS, "compression"]
    parser.add_argument("names", nargs="*", choices=[*names, []], help="which; all by default")
    parser.add_argument("--data", type=Path, help="folder of real series (nab/, alp/)")
    parser.add_argument("--page", type=Path, help="write the sections of this page")
    arguments = parser.parse_args()
    for name in arguments.names or names:
        print(f"== {name}", flush=True)
        if name == "compression":
            compression(arguments.data, arguments.page)
            continue
        figures, text = run(name)
        print(text)
        print(f"kept in {keep({name: figures}).relative_to(ROOT)}", flush=True)
        if arguments.page:
            made = f"Made by `python -m benchmarks {name}` on {today()}, commit {commit()}; "
            shown = text.strip() if "|--" in text else f"```text\n{text.strip()}\n```"
            write_section(arguments.page, name, f"{made}{machine()}.\n\n{shown}")


if __name__ == "__main__":
    main()
