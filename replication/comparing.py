"""Whether copies of a shard hold the same points: a sum over all of them, however they are stored.

    in   series with their points, in any order and in any pieces
    out  a number that is equal for equal points

Each point gives a number from its series' labels, its time and the bits of its value; the sum of
these does not mind blocks, heads and merges, which differ from node to node.

Price: 30 ns a point, most of it decoding.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import numpy as np
from xxhash import xxh3_64_intdigest

from tsdb.query.selection import Selection

__all__ = ["digest_of"]

_ALL = 2**64 - 1
_MIXED = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_SHIFTS = np.uint64(30), np.uint64(27)


def digest_of(selections: Iterable[Selection]) -> tuple[int, int]:
    """(digest, points)."""
    total = points = 0
    for selection in selections:
        assert selection.named_by is not None
        columns = selection.columns()
        keys, offsets = selection.named_by.keys(selection.refs)
        ends = offsets.tolist()
        names = np.array(
            [xxh3_64_intdigest(keys[a:b].tobytes()) for a, b in itertools.pairwise(ends)],
            np.uint64,
        )
        of_point = np.repeat(names, np.diff(columns.offsets))
        mixed = (columns.timestamps.view(np.uint64) * _MIXED[0]) ^ of_point
        mixed = (mixed ^ (mixed >> _SHIFTS[0])) * _MIXED[1]
        mixed ^= columns.values.view(np.uint64)
        mixed = (mixed ^ (mixed >> _SHIFTS[1])) * _MIXED[2]
        mixed ^= mixed >> _SHIFTS[0]
        total += int(mixed.sum(dtype=np.uint64))
        points += columns.points
    return total & _ALL, points
