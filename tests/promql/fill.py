"""Fill in what a transcript does not say: `python -m promql.fill FILE` asks a live Prometheus.

in   a transcript whose questions may lack answers; `prometheus`, see clients.binaries
out  the same file with the answers below them; read them before you keep them
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from clients.binaries import find
from promql.backends import Live
from promql.differential.answers import Key, Outcome, Question
from promql.transcripts import Clear, Load, read

from tsdb.index.labels import Labels


def main(path: Path) -> int:
    program = find("prometheus")
    if program is None:
        sys.stderr.write("no prometheus on PATH nor in SILVERBACK_PEERS\n")
        return 2
    text = path.read_text("utf-8")
    answers: dict[int, list[str]] = {}
    with tempfile.TemporaryDirectory() as folder, Live(program, Path(folder)) as live:
        for command in read(text):
            if isinstance(command, Clear):
                live.clear()
            elif isinstance(command, Load):
                live.load(command.series)
            elif not command.told:
                answers[command.line] = said(command.question, live.ask(command.question))
    lines = []
    for number, line in enumerate(text.splitlines(), 1):
        lines += [line, *(f"  {each}" for each in answers.get(number, []))]
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return 0


def said(question: Question, outcome: Outcome) -> list[str]:
    if outcome.error:
        return [f"expect fail msg: {outcome.error.rpartition('parse error: ')[2]}"]
    lines = [f"expect warn msg: {each}" for each in outcome.warnings]
    lines += [f"expect info msg: {each}" for each in outcome.infos]
    if not (lines or outcome.series):
        return ["expect no_warn"]
    if outcome.kind == "matrix" and not question.step:
        return [f"# raw points have no lines here: {question.text}"]
    if outcome.kind == "string":
        return [*lines, f'expect string "{outcome.series[0][1][0][1]}"']
    if outcome.kind == "scalar":
        return [*lines, outcome.series[0][1][0][1]]
    if question.text.startswith("sort"):
        lines.append("expect ordered")
    return lines + [row(question, key, dict(points)) for key, points in outcome.series]


def row(question: Question, key: Key, points: dict[int, str]) -> str:
    steps = (question.end - question.start) // question.step + 1 if question.step else 1
    times = [question.start + n * (question.step or 1) for n in range(steps)]
    return f"{Labels(key)} {' '.join(points.get(time, '_') for time in times)}"


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
