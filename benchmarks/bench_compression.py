"""Question: how small do real series become, and where do their bits go?

Input    a folder of real series (NAB: CSV timestamp,value; ALP: one column, row groups as .bin);
         without one, or where it is absent, the built-in seeded workloads alone
Compare  16 bytes a point; the shares of codes that the Gorilla paper reports; the bits per value
         that the ALP paper's repository gives for the same five row groups
Check    every point is decoded again and compared bit for bit; the five row groups to 4 decimals
Output   a table; with --page the section `compression` of docs/benchmarks.md

Run      python -m benchmarks.bench_compression [FOLDER] [--page docs/benchmarks.md]
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from api import compression
from api.compression import Figures, measure, total
from api.workloads import WORKLOADS
from benchmarks.pages import machine, today, write_section
from tsdb.codec.accounting import Code
from tsdb.codec.resolution import Resolution

# publication/compression_ratio_result of the ALP repository, its rules of counting.
ALP_ROW_GROUPS = {
    "bitcoin_transactions_f_tw": 62.7632,
    "city_temperature_f_tw": 55.2041,
    "food_prices_tw": 36.8511,
    "gov26_tw": 2.7896,
    "nyc29_tw": 31.2959,
}
HEADER = "| {} | series | points | bits a timestamp | bits a value | bytes a point | ratio |\n"
RULE = "|---|---:|---:|---:|---:|---:|---:|\n"


def files(folder: Path, resolution: Resolution) -> list[Figures]:
    paths = compression.expand([folder])
    return [
        measure(compression.read_file(p, n, resolution)) for p, n in compression.names_of(paths)
    ]


def _named(figures: Figures, name: str) -> Figures:
    return dataclasses.replace(figures, name=name)


def groups(figures: Iterable[Figures]) -> Iterator[Figures]:
    """One line a folder."""
    by_folder: dict[str, list[Figures]] = {}
    for one in figures:
        by_folder.setdefault(one.name.partition("/")[0], []).append(one)
    for folder, members in by_folder.items():
        yield _named(total(members), folder)


def row(one: Figures) -> str:
    stamp = "" if one.bits_per_timestamp is None else f"{one.bits_per_timestamp:.2f}"
    return (
        f"| {one.name} | {one.series:,} | {one.points:,} | {stamp} | {one.bits_per_value:.2f} "
        f"| {one.bytes_per_point:.2f} | {one.ratio:.1f}x |\n"
    )


def table(what: str, figures: Iterable[Figures]) -> str:
    return HEADER.format(what) + RULE + "".join(map(row, figures))


def shares(named: dict[str, Figures]) -> str:
    codes = [
        (Code.DOD_0, "timestamp, 1 bit: on its beat", "96 %"),
        (Code.DOD_10, "timestamp, code 10", ""),
        (Code.DOD_110, "timestamp, code 110", ""),
        (Code.DOD_1110, "timestamp, code 1110", ""),
        (Code.DOD_1111, "timestamp, code 1111", ""),
        (Code.XOR_0, "value, 1 bit: the same again", "51 %"),
        (Code.XOR_10, "value, code 10: within the last window", "30 %"),
        (Code.XOR_11, "value, code 11: a new window", "19 %"),
    ]
    text = "| code | " + " | ".join(named) + " | Gorilla paper |\n"
    text += "|---|" + "---:|" * (len(named) + 1) + "\n"
    for code, what, paper in codes:
        cells = " | ".join(f"{100 * one.share(code):.1f} %" for one in named.values())
        text += f"| {what} | {cells} | {paper} |\n"
    return text


def report(folder: Path | None, command: str) -> str:
    made = [measure(compression.read_workload(name)) for name in WORKLOADS]
    parts = [f"Made by `{command}` on {today()}; {machine()}.\n\n"]
    columns = {"`paper`, made": made[0], "`scrape`, made": made[1]}
    if folder is not None:
        real, fine = (files(folder / "nab", r) for r in (Resolution.S, Resolution.MS))
        columns = {"NAB, s": total(real), "NAB, ms": total(fine), **columns}
        parts += [*_nab(real, fine), *_alp(folder)]
    parts += [
        "### Built-in workloads\n\nSeeded, the same everywhere: `silverback compress --workload "
        "all`. `scrape` has 3 ms of jitter, which is what its timestamps cost.\n\n",
        table("workload", made),
        "\n### Control codes\n\n",
        shares(columns),
        "\nHalf of the values repeat in the paper's fleet. In NAB one of six does; the others are "
        "measurements with many decimals, whose mantissas change almost from end to end: those "
        "are the 27 bits a value.\n",
    ]
    return "".join(parts)


def _nab(real: list[Figures], fine: list[Figures]) -> Iterator[str]:
    yield (
        "### Real metrics: the Numenta Anomaly Benchmark\n\n47 series (github.com/numenta/NAB, "
        "`data/real*`, MIT): CloudWatch CPU, network and disk, ad exchange, road traffic, tweet "
        "counts, known incidents; mostly 5 minutes apart. Timestamps kept in seconds, as in the "
        "paper, and in milliseconds, which is what a database has unless told otherwise.\n\n"
    )
    seconds = [_named(one, f"{one.name}, s") for one in groups(real)]
    millis = [_named(one, f"{one.name}, ms") for one in groups(fine)]
    lines = [one for pair in zip(seconds, millis, strict=True) for one in pair]
    yield table(
        "folder, resolution",
        [
            *lines,
            _named(total(real), "**all, s**"),
            _named(total(fine), "**all, ms**"),
        ],
    )
    yield "\n<details><summary>Every file, resolution s</summary>\n\n"
    yield table("file", real)
    yield "\n</details>\n\n"


def _alp(folder: Path) -> Iterator[str]:
    yield (
        "### Floating-point columns: the ALP samples\n\nValues without timestamps "
        "(github.com/cwida/ALP, MIT): five row groups of 131,072 and 31 columns of 1,024. The last "
        "two columns count by the ALP paper's rules: ours, and that repository's own Gorilla.\n\n"
        "| row group | values | bits a value, our chunks of 512 | by the paper's rules | "
        "published code |\n|---|---:|---:|---:|---:|\n"
    )
    for one in files(folder / "alp" / "row_groups", Resolution.MS):
        expected, found = ALP_ROW_GROUPS[one.name], one.alp_bits_per_value
        assert found is not None
        assert round(found, 4) == expected, f"{one.name}: {found} is not {expected}"
        figures = f"{one.bits_per_value:.2f} | {found:.4f} | {expected}"
        yield f"| {one.name} | {one.points:,} | {figures} |\n"
    columns = [
        measure(compression.read_file(path, path.stem, Resolution.MS))
        for path in sorted((folder / "alp").glob("*.csv"))
    ]
    yield "\n<details><summary>All 31 columns of 1,024 values (ratio against 8 bytes)</summary>\n\n"
    yield table("column", [*columns, _named(total(columns), "**all**")])
    yield "\n</details>\n\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folder", nargs="?", type=Path, help="holds nab/ and alp/")
    parser.add_argument("--page", type=Path, help="write the section into this page")
    arguments = parser.parse_args()
    folder = arguments.folder
    if folder is not None and not (folder / "nab").is_dir():
        print(f"{folder} holds no nab/: the built-in workloads only", file=sys.stderr)
        folder = None
    command = "python -m benchmarks.bench_compression" + (" FOLDER" if folder else "")
    text = report(folder, command)
    if arguments.page:
        write_section(arguments.page, "compression", text)
    else:
        print(text)


if __name__ == "__main__":
    main()
