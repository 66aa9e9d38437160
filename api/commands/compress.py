"""`silverback compress`: how well would this database hold your data, and why."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.commands import terminal
from api.commands.warm import ensure_warm
from api.exits import CommandFailed, Exit, blaming

if TYPE_CHECKING:
    from api.compression import Figures, Source

HEADINGS = (
    "data",
    ">series",
    ">points",
    ">bits/timestamp",
    ">bits/value",
    ">bytes/point",
    ">ratio",
)


def register(app: typer.Typer) -> None:
    app.command("compress")(compress)


def compress(
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[FILE]...",
            help="CSV (timestamp,value; or one column of values), .bin (little-endian float64), "
            "each also as .gz or .zst; a folder stands for the data files below it.",
        ),
    ] = None,
    *,
    workload: Annotated[
        list[str] | None,
        typer.Option(
            "--workload",
            "-w",
            metavar="NAME",
            help="A built-in seeded workload instead of files; may be repeated. `all` runs all: "
            "paper, scrape, cpu, counter, bytes, gauge, temperature, decimal, constant, noise.",
        ),
    ] = None,
    resolution: Annotated[
        str,
        typer.Option(
            metavar="UNIT", help="Ticks the timestamps of files are kept in: s, ms, us or ns."
        ),
    ] = "ms",
    chunk: Annotated[
        int,
        typer.Option(min=1, metavar="N", help="Points to a chunk at most; 512 is what blocks use."),
    ] = 512,
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of the workloads.")] = 1,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE.png", help="Also draw the bits of each file as a picture."),
    ] = None,
    alp: Annotated[
        bool,
        typer.Option("--alp", help="Add bits per value counted as the ALP paper counts them."),
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Say how small points become, and why.

    Every point goes through the real encoder and back and is compared bit for bit. The table says
    bits per timestamp and per value, bytes per point, and how many times smaller that is than the
    plain 16 bytes; below it, how often each control code was used, beside the Gorilla paper.

    **Examples**

    - `silverback compress rooms.csv`
    - `silverback compress measurements/ --plot bits.png`
    - `silverback compress --workload all`
    """
    from api.compression import total

    if bool(files) == bool(workload):
        raise CommandFailed(
            "name files to compress, or a built-in workload with --workload NAME", Exit.USAGE
        )
    ensure_warm()
    figures = [
        _measured(source, chunk) for source in _sources(files, workload or [], resolution, seed)
    ]
    overall = total(figures)
    if plot is not None:
        from api.compression_plot import draw

        draw(figures, overall, plot)
    if json:
        paper = {code.name.lower(): share for code, share in _paper()}
        terminal.show_json(
            {
                "sources": [one.document() for one in figures],
                "total": overall.document(),
                "paper_shares": paper,
            }
        )
        return
    _show(figures, overall, alp=alp)
    if plot is not None:
        terminal.note(f"picture: {plot}")


def _sources(
    files: Iterable[Path] | None, workloads: list[str], resolution: str, seed: int
) -> Iterator[Source]:
    from api import compression
    from api.workloads import WORKLOADS
    from tsdb.codec.resolution import Resolution

    ticks = Resolution.parse(resolution)
    for name in list(WORKLOADS) if workloads == ["all"] else workloads:
        yield compression.read_workload(name, seed=seed)
    for path, name in compression.names_of(compression.expand(files or ())):
        with blaming(path):
            source = compression.read_file(path, name, ticks)
        if source.skipped:
            more = f" (and {len(source.skipped) - 1:,} more)" if len(source.skipped) > 1 else ""
            terminal.warn(f"{path}: {source.skipped[0]}{more}; left out")
        yield source


def _measured(source: Source, chunk: int) -> Figures:
    from api.compression import measure

    return measure(source, chunk_points=chunk)


def _paper() -> list[tuple[Any, float]]:
    from api.compression import PAPER_SHARES

    return list(PAPER_SHARES.items())


def _show(figures: list[Figures], overall: Figures, *, alp: bool) -> None:
    headings = (*HEADINGS, ">ALP rules") if alp else HEADINGS
    rows = [_row(one, alp=alp) for one in figures]
    last = _row(overall, alp=alp) if len(figures) > 1 else None
    terminal.show_table(headings, rows, total=last)
    show_codes(overall)
    terminal.say(
        f"{overall.points:,} points came back bit for bit: "
        f"{terminal.size_text(overall.raw_bytes)} became "
        f"{terminal.size_text(overall.points * overall.bytes_per_point)}."
    )


def _row(one: Figures, *, alp: bool) -> list[str]:
    stamp = one.bits_per_timestamp
    row = [
        one.name,
        f"{one.series:,}",
        f"{one.points:,}",
        "-" if stamp is None else f"{stamp:.2f}",
        f"{one.bits_per_value:.2f}",
        f"{one.bytes_per_point:.2f}",
        f"{one.ratio:.1f}x",
    ]
    if alp:
        row.append("-" if one.alp_bits_per_value is None else f"{one.alp_bits_per_value:.4f}")
    return row


def show_codes(overall: Figures) -> None:
    from api.compression import TIMESTAMP_CODES, VALUE_CODES
    from tsdb.codec.accounting import Code

    meanings = {
        Code.DOD_0: ("0", "arrived exactly on its beat"),
        Code.DOD_10: ("10", "a little early or late"),
        Code.DOD_110: ("110", "more"),
        Code.DOD_1110: ("1110", "much more"),
        Code.DOD_1111: ("1111", "a gap, or a new beat"),
        Code.DOD_ESCAPE: ("1111 + escape", "beyond 32 bits"),
        Code.XOR_0: ("0", "the same value again"),
        Code.XOR_10: ("10", "changed bits fit the last window"),
        Code.XOR_11: ("11", "changed bits need a new window"),
    }
    paper = dict(_paper())
    rows = []
    for family, codes in (("timestamp", TIMESTAMP_CODES), ("value", VALUE_CODES)):
        if family == "timestamp" and not overall.timed_points:
            continue
        for code in codes:
            if code is Code.DOD_ESCAPE and not overall.uses[code]:
                continue
            bits, meaning = meanings[code]
            told = f"{paper[code]:.0%}" if code in paper else ""
            rows.append([family, bits, meaning, f"{overall.share(code):.1%}", told])
    terminal.show_table(["of each", "code", "says", ">share", ">paper"], rows)
