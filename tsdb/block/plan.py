"""Which blocks to merge next: a pure function of their metas.

    in   BlockMeta of all blocks
    out  groups of blocks, each to become one; best first, empty when there is nothing worth it

Three wishes: few blocks for a read to ask (small windows grow together once the newest data has
left them; blocks that overlap become one), little written twice (a large block is not rewritten
for a few small ones), and the order of truth kept.

The last is a rule. A group is contiguous in seq among all blocks that overlap the window of its
output: nothing that is left out may be newer than one member and older than another. So the
output's seq range is disjoint from that of every block it overlaps, and "newest seq wins" has
one answer. Blocks of the same flush stay together wherever that matters.

Reading a dozen blocks of a day costs 0.1 ms each before the first point; merging costs some
30 ns a point. A point is rewritten about once a level: five times for 20 days.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from typing import TypeAlias

from tsdb import limits
from tsdb.block.layout import BlockMeta
from tsdb.block.windows import Window, common_window, window_of
from tsdb.codec.resolution import Resolution

__all__ = ["OVERLAPS_MAX", "TIER", "output_window", "plan", "truth_order"]

OVERLAPS_MAX = 4
"""Blocks that may overlap in a window which is still being filled."""
TIER = 3
"""The largest block of a group has at most this many times the bytes of all the others."""

Group: TypeAlias = tuple[BlockMeta, ...]
_Layer: TypeAlias = list[BlockMeta]  # blocks with the same seqs: one flush


def truth_order(meta: BlockMeta) -> tuple[int, int, int]:
    """Sort key: for one series and timestamp, what comes later here wins."""
    return meta.seq_hi, meta.seq_lo, meta.window_start


def plan(
    metas: Sequence[BlockMeta],
    resolution: Resolution,
    *,
    level_max: int = limits.BLOCK_LEVEL_MAX,
    bytes_max: int | None = None,
    damaged: Collection[str] = (),
) -> list[Group]:
    """Groups worth merging, each in the order of truth. They may share blocks: merge one, then
    plan again.

    level_max   windows do not grow past this level: retention drops whole blocks only
    bytes_max   of the blocks of one group: what a merge may need on disk
    damaged     names of blocks that cannot be merged, and past which nothing is
    """
    if not metas:
        return []
    newest = max(m.max_ts for m in metas)
    places = _Places(metas, resolution, level_max)
    groups: dict[frozenset[int], Group] = {}
    for window, members in places.inside.items():
        least = 2 if window.end < newest else OVERLAPS_MAX + 1
        if len(members) < least:
            continue
        usable = [m for m in members if not damaged or m.name not in damaged]
        for segment in _segments(usable, places.others(window, usable)):
            for group in _balanced(segment, least, bytes_max):
                output = output_window(group, resolution)
                if output.level > max(level_max, min(m.level for m in group)):
                    continue
                if _is_contiguous(group, places.others(output, group)):
                    groups[frozenset(map(id, group))] = group
    return sorted(groups.values(), key=_price)


def output_window(group: Iterable[BlockMeta], resolution: Resolution) -> Window:
    """The smallest window that holds those of all blocks of a group."""
    windows = [_window(m) for m in group]
    first, last = min(w.start for w in windows), max(w.end for w in windows)
    window = common_window(first, last, max(w.level for w in windows), resolution)
    assert window is not None, "no window holds times before and after 1970"
    return window


def _price(group: Group) -> tuple[float, str]:
    """Bytes written for each block less."""
    return sum(m.bytes for m in group) / (len(group) - 1), group[0].name


def _window(meta: BlockMeta) -> Window:
    return Window(meta.window_start, meta.window_end, meta.level)


class _Places:
    """Blocks by window. `inside` has those in each window that holds one, in the order of truth,
    up to `level_max` or the largest window there is."""

    def __init__(self, metas: Sequence[BlockMeta], resolution: Resolution, level_max: int) -> None:
        self._resolution = resolution
        self._levels = range(max(m.level for m in metas) + 1)
        self._exact: dict[Window, list[BlockMeta]] = defaultdict(list)
        self.inside: dict[Window, list[BlockMeta]] = defaultdict(list)
        for meta in sorted(metas, key=truth_order):
            self._exact[_window(meta)].append(meta)
            self.inside[_window(meta)].append(meta)
            for level in range(meta.level + 1, max(level_max, self._levels[-1]) + 1):
                self.inside[window_of(meta.window_start, level, resolution)].append(meta)

    def others(self, window: Window, group: Sequence[BlockMeta]) -> list[BlockMeta]:
        """Blocks that overlap `window` and are not of the group. Windows nest, so these lie in
        it or in one of the windows around it."""
        around = (
            window_of(window.start, level, self._resolution)
            for level in self._levels[window.level + 1 :]
        )
        near = [*self.inside.get(window, ()), *(m for w in around for m in self._exact.get(w, ()))]
        mine = set(map(id, group))
        return [m for m in near if id(m) not in mine]


def _segments(members: Sequence[BlockMeta], outside: Sequence[BlockMeta]) -> Iterable[list[_Layer]]:
    """Stretches of `members`, flush by flush, into whose seqs no block outside reaches."""
    segment: list[_Layer] = []
    lo = hi = 0
    for meta in members:
        start = min(lo, meta.seq_lo) if segment else meta.seq_lo
        if any(o.seq_lo <= meta.seq_hi and start <= o.seq_hi for o in outside):
            yield segment
            segment = []
            start = meta.seq_lo
        if segment and (meta.seq_lo, meta.seq_hi) == (lo, hi):
            segment[-1].append(meta)
        else:
            segment.append([meta])
        lo, hi = start, meta.seq_hi
    yield segment


def _balanced(segment: list[_Layer], least: int, bytes_max: int | None) -> Iterable[Group]:
    """Stretches of a segment without a block that outweighs the rest: cut at the heaviest."""
    group = tuple(m for layer in segment for m in layer)
    if len(group) < least:
        return
    sizes = [m.bytes for m in group]
    fits = bytes_max is None or sum(sizes) <= bytes_max
    if fits and max(sizes) <= TIER * (sum(sizes) - max(sizes)):
        yield group
        return
    heaviest = max(range(len(segment)), key=lambda i: max(m.bytes for m in segment[i]))
    yield from _balanced(segment[:heaviest], least, bytes_max)
    yield from _balanced(segment[heaviest + 1 :], least, bytes_max)


def _is_contiguous(group: Group, others: Sequence[BlockMeta]) -> bool:
    """The rule of the module docstring; `others` overlap the window of the output."""
    lo, hi = min(m.seq_lo for m in group), max(m.seq_hi for m in group)
    return not any(m.seq_lo <= hi and lo <= m.seq_hi for m in others)
