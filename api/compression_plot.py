"""The picture of a compression report: where the bits of each file go.

    in   Figures of each source and of all together
    out  a PNG: one bar a source, timestamp bits and value bits end to end

Sorted, so that the eye finds the costly ones; with many files the bars thin out and the names go.
Needs the extra `plot` (matplotlib).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from api.compression import Figures
from api.exits import CommandFailed, Exit

__all__ = ["draw"]

TIMESTAMPS, VALUES, INK, QUIET = "#e8a33d", "#2f6f8f", "#222222", "#8a8a8a"
NAMED_BARS_MAX = 60


def draw(figures: list[Figures], overall: Figures, path: Path) -> None:
    """Write the picture to `path`, in whatever form its suffix says."""
    try:
        import matplotlib as mpl
    except ImportError as error:
        raise CommandFailed(
            "a picture needs matplotlib: pip install 'silverback-tsdb[plot]'", Exit.CONFIG
        ) from error
    mpl.use("Agg")
    from matplotlib import pyplot

    ordered = sorted(figures, key=lambda one: one.bytes_per_point)
    height = min(1.6 + 0.24 * len(ordered), 14)
    with mpl.rc_context({"font.size": 9, "text.color": INK, "axes.labelcolor": INK}):
        figure, axes = pyplot.subplots(figsize=(8.5, height), layout="constrained")
        _bars(axes, ordered)
        _dress(axes, ordered, overall)
        try:
            figure.savefig(path, dpi=140)
        except (OSError, ValueError) as error:
            raise CommandFailed(f"{path}: {error}", Exit.CANNOT_CREATE) from error
        finally:
            pyplot.close(figure)


def _bars(axes: Any, ordered: list[Figures]) -> None:
    at = range(len(ordered))
    stamps = [one.timestamp_bits / max(one.points, 1) for one in ordered]
    values = [one.bits_per_value for one in ordered]
    axes.barh(at, stamps, color=TIMESTAMPS, label="timestamps", height=0.72)
    axes.barh(at, values, left=stamps, color=VALUES, label="values", height=0.72)
    if len(ordered) > NAMED_BARS_MAX:
        axes.set_yticks([])
        return
    axes.set_yticks(at, [one.name for one in ordered])
    for i, one in enumerate(ordered):
        end = stamps[i] + values[i]
        axes.text(end + 0.8, i, f"{one.ratio:.1f}x", va="center", color=QUIET, fontsize=8)


def _dress(axes: Any, ordered: list[Figures], overall: Figures) -> None:
    widest = max(one.bytes_per_point * 8 for one in ordered)
    axes.set_xlim(0, widest * 1.1 + 1)
    axes.set_ylim(-0.7, len(ordered) - 0.3)
    axes.set_xlabel("bits a point (raw: 64 for the timestamp, 64 for the value)")
    axes.set_title(
        f"{overall.points:,} points, {overall.bytes_per_point:.2f} bytes each: "
        f"{overall.ratio:.1f} times smaller than raw",
        loc="left",
        fontsize=11,
    )
    axes.legend(loc="lower right", frameon=False)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
