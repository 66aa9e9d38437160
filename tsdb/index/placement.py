"""Which shard a series lies in: part of the format, the same on every machine for ever.

    in   canonical label bytes, number of shards
    out  a shard, 0 to shards - 1

xxh3_64 without a seed, modulo the number of shards.
Price: 0.2 µs a series.
"""

from __future__ import annotations

import itertools

import numpy as np
from xxhash import xxh3_64_intdigest

from tsdb.batch import SeriesDefinitions
from tsdb.batch import U32s as Shards

__all__ = ["place_of", "places_of"]


def place_of(key: bytes, shards: int) -> int:
    """The shard of one series."""
    return xxh3_64_intdigest(key) % shards


def places_of(definitions: SeriesDefinitions, shards: int) -> Shards:
    """The shard of each defined series."""
    keys, ends = definitions.keys, definitions.offsets.tolist()
    places = [xxh3_64_intdigest(keys[a:b]) % shards for a, b in itertools.pairwise(ends)]
    return np.array(places, np.uint32)
