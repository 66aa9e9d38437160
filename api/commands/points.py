"""`silverback import` and `silverback export`: points between files and a database."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

import typer

from api.commands import terminal
from api.commands.logins import with_login
from api.commands.query import DEFAULT_URL, Data, End, Start, Url
from api.commands.warm import ensure_warm
from api.exits import CommandFailed, Exit, blaming

if TYPE_CHECKING:
    from api.answers import Extract
    from api.input_files import InputFile
    from api.sinks import Sink

BLOCK_BYTES = 2 << 20
REFUSED_SHOWN = 10


def register(app: typer.Typer) -> None:
    app.command("import")(import_)
    app.command("export")(export)


@dataclass(frozen=True, slots=True)
class _Csv:
    """What the user says about CSV files."""

    series: str | None
    labels: dict[str, str]
    unit: str


@with_login
def import_(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...",
            help="CSV or JSON lines, also as .gz or .zst; - is standard input (JSON lines).",
        ),
    ],
    *,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data", "-d", metavar="DIR", help="A data directory no server has open; made if new."
        ),
    ] = None,
    url: Url = DEFAULT_URL,
    series: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Name of the series in a file timestamp,value; else the file's name.",
        ),
    ] = "",
    label: Annotated[
        list[str] | None,
        typer.Option("--label", "-l", metavar="NAME=VALUE", help="Added to each series of a CSV."),
    ] = None,
    time_unit: Annotated[
        str,
        typer.Option(
            metavar="UNIT",
            help="Unit of numeric times in CSV: s, ms, us, ns; auto goes by their size.",
        ),
    ] = "auto",
    resolution: Annotated[
        str | None,
        typer.Option(
            metavar="UNIT",
            help="Ticks of a directory that is made now: s, ms, us, ns (default ms).",
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Read points from files into a database; every point counted is on disk.

    CSV may be `timestamp,value`, `series,timestamp,value` or `timestamp,a,b,...` with a column a
    series. JSON lines are `{"metric":{"__name__":"cpu"},"values":[1],"timestamps":[1769860800000]}`
    with milliseconds. A wrong line is named and left out; the others are kept (exit code 65).

    **Examples**

    - `silverback import rooms.csv --series room/temp`
    - `silverback import dump.jsonl.gz --data ./data`
    - `silverback export '{}' | silverback import - --url http://other:9292`
    """
    began = time.monotonic()
    if time_unit not in {"auto", "s", "ms", "us", "ns"}:
        raise CommandFailed("--time-unit is one of auto, s, ms, us, ns", Exit.USAGE)
    labels = dict(_label(text) for text in label or ())
    ensure_warm()
    with _sink(data, url, resolution) as sink, terminal.progress("points") as bars:
        reports = [
            _import_one(path, sink, bars, _Csv(series or None, labels, time_unit)) for path in files
        ]
    _report(reports, time.monotonic() - began, json=json)


def _label(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise CommandFailed(f"--label {text!r} is not NAME=VALUE", Exit.USAGE)
    return name, value


@contextmanager
def _sink(data: Path | None, url: str, resolution: str | None) -> Iterator[Sink]:
    from api.answers import open_directory, server_resolution
    from api.remote import Remote
    from api.sinks import DirectorySink, ServerSink

    if data is not None:
        with open_directory(data, read_only=False, resolution=resolution) as database:
            yield DirectorySink(database)
        return
    if resolution is not None:
        raise CommandFailed("--resolution goes with --data; a server has its own", Exit.USAGE)
    with Remote(url) as server:
        yield ServerSink(server, server_resolution(server))


def _import_one(path: Path, sink: Sink, bars: Any, said: _Csv) -> dict[str, Any]:
    """One file; returns its report."""
    from api.input_files import open_input
    from api.parsed_files import is_json
    from api.sinks import Kept

    sink.kept = Kept()
    began = time.monotonic()
    reads_json = is_json(path)
    with open_input(path) as file, blaming(path):
        task = bars.add_task(path.name, total=file.size_bytes or None, done=0)
        steps = _json_lines(file, sink) if reads_json else _csv(file, path, sink, said)
        for _ in steps:
            bars.update(task, completed=file.read_bytes(), done=sink.kept.points)
        kept = sink.finish()
        bars.update(task, completed=file.size_bytes, done=kept.points)
    return {
        "file": "standard input" if str(path) == "-" else str(path),
        "points": kept.points,
        "seconds": round(time.monotonic() - began, 3),
        "refused_count": kept.refused_count,
        "refused": kept.refused,
    }


def _json_lines(file: InputFile, sink: Sink) -> Iterator[None]:
    lines_before = 0
    for block in file.whole_lines(BLOCK_BYTES):
        sink.lines(block, lines_before)
        lines_before += block.count(b"\n")
        yield


def _csv(file: InputFile, path: Path, sink: Sink, said: _Csv) -> Iterator[None]:
    from api.input_files import stem_of
    from api.parsed_files import csv_points, with_labels

    parts = csv_points(
        file, sink.resolution, series=said.series, otherwise=stem_of(path), unit=said.unit
    )
    for parsed in parts:
        sink.parsed(with_labels(parsed, said.labels))
        yield


def _report(reports: list[dict[str, Any]], took_s: float, *, json: bool) -> None:
    refused = sum(one["refused_count"] for one in reports)
    points = sum(one["points"] for one in reports)
    if json:
        terminal.show_json({"files": reports, "points": points, "refused_count": refused})
    else:
        for one in reports:
            for sentence in one["refused"][:REFUSED_SHOWN]:
                terminal.warn(f"{one['file']}: {sentence}")
            more = one["refused_count"] - len(one["refused"][:REFUSED_SHOWN])
            if more > 0:
                terminal.warn(f"{one['file']}: and {more:,} more")
        files = f"{len(reports)} files" if len(reports) > 1 else reports[0]["file"]
        rate = terminal.si(points / max(took_s, 1e-9))
        terminal.say(f"{points:,} points from {files}, on disk ({took_s:.1f} s, {rate} points/s).")
        if refused:
            terminal.say(f"{refused:,} lines or points were left out; see above.")
    if refused:
        raise typer.Exit(Exit.BAD_DATA)


# --- export -------------------------------------------------------------------------------------


@with_login
def export(
    selectors: Annotated[
        list[str],
        typer.Argument(metavar="SELECTOR...", help="Names or selectors; '{}' is everything."),
    ],
    *,
    data: Data = None,
    url: Url = DEFAULT_URL,
    start: Start = "",
    end: End = "",
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Instead of stdout; .gz, .zst pack."),
    ] = None,
    form: Annotated[
        str,
        typer.Option(
            "--format", metavar="FORMAT", help="jsonl or csv; by default as FILE is called."
        ),
    ] = "",
) -> None:
    """Write points as JSON lines or CSV, exactly: `import` gives back the same bits.

    **Examples**

    - `silverback export '{}' -o everything.jsonl.gz`
    - `silverback export 'cpu_percent{host="web-1"}' --start now-1d --format csv`
    - `silverback export '{}' --data ./data | wc -l`
    """
    from api.answers import Place, Question, extract

    chosen = form or ("csv" if output and ".csv" in output.suffixes else "jsonl")
    if chosen not in {"jsonl", "csv"}:
        raise CommandFailed("--format is jsonl or csv", Exit.USAGE)
    question = Question("", start, end)
    ensure_warm()
    with extract(Place(data, url), selectors, question, terminal.warn) as found:
        # Before the file is made: a place that does not answer leaves none behind.
        pieces = _rendered(found, chosen)
        first = next(pieces, b"")
        with _target(output) as out:
            out.write(first)
            size = len(first)
            for piece in pieces:
                out.write(piece)
                size += len(piece)
    if output is not None:
        terminal.note(f"{terminal.size_text(size)} of text in {output}")


def _rendered(found: Extract, form: str) -> Iterator[bytes]:
    from api.encode import csv_rows, json_lines

    if form == "csv":
        return csv_rows.stream(found.series, found.resolution)
    if found.lines is not None:
        return found.lines
    return json_lines.stream(found.series, found.resolution)


@contextmanager
def _target(path: Path | None) -> Iterator[BinaryIO]:
    """A file appears under its name only when it is whole."""
    from api.input_files import packing_of

    if path is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    if not path.parent.is_dir():
        raise CommandFailed(f"{path}: there is no directory {path.parent}", Exit.CANNOT_CREATE)
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("wb") as file, _packed(file, packing_of(path)) as packed:
            yield packed
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def _packed(file: BinaryIO, packing: str) -> Iterator[BinaryIO]:
    if packing == "gz":
        from isal import igzip

        with igzip.open(file, "wb") as packed:
            yield packed
    elif packing == "zst":
        import cramjam

        class Packer:
            """The one method that is used, over the library's compressor."""

            def __init__(self) -> None:
                self._compressor = cramjam.zstd.Compressor()

            def write(self, data: bytes) -> int:
                self._compressor.compress(data)
                file.write(bytes(self._compressor.flush()))
                return len(data)

            def finish(self) -> None:
                file.write(bytes(self._compressor.finish()))

        packer: Any = Packer()
        yield packer
        packer.finish()
    else:
        yield file
