"""tsdb.block.plan: never reorders seqs, comes to an end, leaves few blocks, writes little twice."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from blocks.model import HOURS_2_MS
from hypothesis import given
from hypothesis import strategies as st

from tsdb import limits
from tsdb.block.layout import BlockMeta
from tsdb.block.plan import OVERLAPS_MAX, TIER, Group, output_window, plan, truth_order
from tsdb.block.windows import window_of
from tsdb.codec.resolution import Resolution

MS = Resolution.MS


def block(number: int, level: int, seq: tuple[int, int], size: int = 1_000) -> BlockMeta:
    """A full block of window `number` (in windows of its level)."""
    window = window_of(number * HOURS_2_MS * limits.BLOCK_WINDOW_FACTOR**level, level, MS)
    return BlockMeta(
        window_start=window.start,
        window_end=window.end,
        level=level,
        seq_lo=seq[0],
        seq_hi=seq[1],
        depth=0,
        deletes_seq=0,
        min_ts=window.start,
        max_ts=window.end,
        points=1,
        series=1,
        chunks=1,
        chunk_bytes=25 + size,
        index_bytes=0,
        ref_min=0,
        ref_max=0,
        resolution=MS,
        codec=MS.codec_id,
    )


@st.composite
def flushes(draw: st.DrawFn) -> list[BlockMeta]:
    """What flushes leave: seq ranges one after another, each with a few disjoint windows."""
    metas: list[BlockMeta] = []
    for seq in range(1, draw(st.integers(1, 14)) * 10, 10):
        level = draw(st.sampled_from([0, 0, 0, 0, 1, 2, 6]))
        numbers = draw(st.sets(st.integers(-4, 12), min_size=1, max_size=4))
        for number in numbers:
            size = draw(st.sampled_from([10, 1_000, 1_000, 1_500, 100_000]))
            metas.append(block(number, level, (seq, seq + 9), size))
    return metas


def merged(group: Group) -> BlockMeta:
    window = output_window(group, MS)
    return replace(
        group[0],
        window_start=window.start,
        window_end=window.end,
        level=window.level,
        seq_lo=min(m.seq_lo for m in group),
        seq_hi=max(m.seq_hi for m in group),
        depth=max(m.depth for m in group) + 1,
        min_ts=min(m.min_ts for m in group),
        max_ts=max(m.max_ts for m in group),
        chunk_bytes=sum(m.chunk_bytes for m in group),
    )


def overlapping(a: BlockMeta, b: BlockMeta) -> bool:
    return a.window_start <= b.window_end and b.window_start <= a.window_end


@given(flushes(), st.data())
def test_merging_never_reorders_what_overlaps(metas: list[BlockMeta], data: st.DataObject) -> None:
    """After every merge that any plan allows: overlapping blocks have disjoint seqs."""
    for _ in range(100):
        groups = plan(metas, MS)
        if not groups:
            break
        group = data.draw(st.sampled_from(groups))
        output = merged(group)
        metas = [m for m in metas if m not in group] + [output]
        for i, a in enumerate(metas):
            for b in metas[i + 1 :]:
                assert not overlapping(a, b) or a.seq_hi < b.seq_lo or b.seq_hi < a.seq_lo
    else:
        raise AssertionError("merging does not come to an end")
    assert len({m.name for m in metas}) == len(metas)


@given(flushes(), st.integers(0, 5), st.integers(25, 5_000))
def test_groups_keep_the_bounds_they_are_given(
    metas: list[BlockMeta], level_max: int, bytes_max: int
) -> None:
    damaged = {metas[0].name}
    for group in plan(metas, MS, level_max=level_max, bytes_max=bytes_max, damaged=damaged):
        sizes = [m.bytes for m in group]
        assert len(group) >= 2
        assert list(group) == sorted(group, key=truth_order)
        assert sum(sizes) <= bytes_max
        assert max(sizes) <= TIER * (sum(sizes) - max(sizes))
        assert not damaged & {m.name for m in group}
        level = output_window(group, MS).level
        assert level <= level_max or all(m.level == level for m in group)


def test_two_months_of_flushes_end_in_few_blocks_each_written_a_few_times() -> None:
    """Every two hours a flush that touches two windows, as a head of two hours does."""
    metas: list[BlockMeta] = []
    written = 0
    hours = 24 * 60
    for flush in range(hours // 2):
        seq = (flush * 10 + 1, flush * 10 + 10)
        metas += [block(flush, 0, seq, 500), block(flush + 1, 0, seq, 500)]
        while groups := plan(metas, MS):
            written += sum(m.bytes for m in groups[0])
            metas = [m for m in metas if m not in groups[0]] + [merged(groups[0])]

    assert len(metas) < 20
    assert max(m.level for m in metas) == limits.BLOCK_LEVEL_MAX
    assert written < 7 * sum(m.bytes for m in metas)


def test_frequent_flushes_of_one_window_stay_few() -> None:
    """A busy head flushes every few minutes, into the window that is being filled."""
    metas: list[BlockMeta] = []
    written = 0
    for flush in range(1, 121):
        metas.append(block(0, 0, (flush, flush)))
        while groups := plan(metas, MS):
            written += sum(m.bytes for m in groups[0])
            metas = [m for m in metas if m not in groups[0]] + [merged(groups[0])]

    assert len(metas) <= 3 * OVERLAPS_MAX
    assert written < 6 * sum(m.bytes for m in metas)


def test_a_few_late_points_do_not_rewrite_a_large_block() -> None:
    large = block(0, 5, (1, 100), 10_000_000)
    late = [block(3, 0, (101 + i, 101 + i), 100) for i in range(3)]
    newest = block(1_000, 0, (200, 200))

    groups = plan([large, *late, newest], MS)

    assert groups
    assert all(large not in group for group in groups)


def test_a_block_between_two_others_keeps_them_apart() -> None:
    """Merging 1 and 3 around the wide 2 would put 1 after it or 3 before it."""
    old, wide, new = block(0, 0, (1, 1)), block(0, 1, (2, 2), 10**9), block(1, 0, (3, 3))

    assert plan([old, wide, new, block(50, 0, (4, 4))], MS) == []


def test_blocks_before_and_after_1970_are_never_one() -> None:
    metas = [block(-1, 0, (1, 1)), block(0, 0, (2, 2)), block(500, 0, (3, 3))]

    assert plan(metas, MS) == []


def test_a_thousand_blocks_are_planned_at_once() -> None:
    metas = [block(i, 0, (i + 1, i + 1)) for i in range(1_000)]

    groups = plan(metas, MS)

    assert len(groups[0]) > limits.BLOCK_WINDOW_FACTOR
    assert np.unique([m.name for m in groups[0]]).size == len(groups[0])
