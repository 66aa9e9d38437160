"""The pictures of the documentation, from real output: `python -m docs.draw`.

in   the demo's history, through a real database; the built-in workloads
out  docs/images/demo.png, docs/images/compression.png
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
import numpy as np
from matplotlib import pyplot

import tsdb
from api import compression
from api.compression_plot import draw as draw_bits
from api.demo_history import HOSTS, history
from api.inspection import inspect
from api.workloads import WORKLOADS
from tsdb.query import steps

IMAGES = Path(__file__).resolve().parent / "images"
END_MS = 1_769_860_800_000  # 2026-01-31T12:00:00Z
QUARTER_MS = 15 * 60_000
COLOURS = ("#2f6f8f", "#e8a33d", "#7a9a5b")


def demo(data: Path) -> Any:
    """Three days in a database; what they look like, and what they take."""
    with tsdb.open(data) as db:
        for run in history(END_MS):
            db.write(run.labels, run.timestamps, run.values)
        db.flush()
        courses = {
            host: steps.fold(
                db.select(f'cpu_percent{{host="{host}",cpu="0"}}').columns(), 0, QUARTER_MS, "max"
            )
            for host in HOSTS
        }
    found = inspect(data)
    with mpl.rc_context({"font.size": 9}):
        figure, (left, right) = pyplot.subplots(
            1, 2, figsize=(10, 3.1), layout="constrained", width_ratios=(3, 2)
        )
        for (host, course), colour in zip(courses.items(), COLOURS, strict=True):
            left.plot(
                course.timestamps.astype("M8[ms]"), course.values, color=colour, lw=1.2, label=host
            )
        left.set_title("what went in: cpu_percent, 15 min max", loc="left")
        left.legend(frameon=False, ncols=3, loc="upper left")
        left.set_ylim(0, 118)
        left.xaxis.set_major_formatter(mpl.dates.DateFormatter("%Hh\n%d %b"))
        left.xaxis.set_major_locator(mpl.dates.HourLocator(byhour=(0, 12)))
        uses = sorted(found.metrics, key=lambda use: use.bits_per_point)
        at = np.arange(len(uses))
        sizes = [use.bits_per_point / 8 for use in uses]
        right.barh(at, sizes, color=COLOURS[0], height=0.7)
        right.set_yticks(at, [use.name for use in uses])
        for i, size in enumerate(sizes):
            right.text(size + 0.08, i, f"{size:.1f}", va="center", fontsize=8, color="#666666")
        each = found.block_bytes / found.block_points
        right.set_title(f"what it takes: {each:.1f} bytes a point, not 16", loc="left")
        for axes in (left, right):
            axes.spines[["top", "right"]].set_visible(False)
            axes.tick_params(length=0)
        figure.savefig(IMAGES / "demo.png", dpi=110)
        pyplot.close(figure)


def main() -> None:
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        demo(Path(folder) / "data")
    figures = [compression.measure(compression.read_workload(name)) for name in WORKLOADS]
    draw_bits(figures, compression.total(figures), IMAGES / "compression.png")


if __name__ == "__main__":
    main()
