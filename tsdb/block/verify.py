"""Scrubbing a block: is every byte of it what was written, and does it mean what it says?

    in   an open Block
    out  what is wrong, as CorruptionErrors with file and offset; none for a sound block

Shallow: every header, table, section (both copies) and stripe against its checksum, and the
chunk table against itself. Deep: also every chunk decoded twice, by the kernels and by the
reference, and summarised anew. Shallow finds rot; deep finds bugs and faults that came before
the checksum, at some 5 µs a point.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tsdb.batch import F64s, I64s
from tsdb.block import kernels
from tsdb.block.index_file import read_exactly
from tsdb.block.layout import CHUNKS
from tsdb.block.reader import Block
from tsdb.block.table import Aggregates
from tsdb.codec import reference
from tsdb.codec.gorilla import decode
from tsdb.errors import CorruptionError

__all__ = ["verify"]


def verify(block: Block, *, deep: bool = False) -> list[CorruptionError]:
    """Everything that is wrong with the block, each thing once."""
    found = [*block.index.damage(), *block.wrong_size()]
    try:
        aggregates = block.aggregates()
        found += block.stripes.bad(block.stripe_checks)
    except CorruptionError as error:
        found.append(error)
    else:
        if deep and not found:  # what rot has touched would only be reported again
            found += _bad_chunks(block, aggregates)
    return list({(e.path, e.offset_bytes, e.reason): e for e in found}.values())


def _bad_chunks(block: Block, aggregates: Aggregates | None) -> Iterator[CorruptionError]:
    table, path = block.table, block.path / CHUNKS
    for chunk in range(block.meta.chunks):
        start, end = int(table.starts[chunk]), int(table.starts[chunk + 1])
        data = read_exactly(block.stripes.file, end - start, start, path)
        wrong = _wrong(block, aggregates, chunk, data)
        if wrong is not None:
            yield CorruptionError(path, start, wrong)


def _wrong(block: Block, aggregates: Aggregates | None, chunk: int, data: bytes) -> str | None:
    count, resolution = int(block.table.counts[chunk]), block.meta.resolution
    try:
        timestamps, values = decode(data, count, resolution)
        plain_timestamps, plain_bits = reference.decode(data, count, resolution)
    except CorruptionError as error:
        return error.reason
    if timestamps.tolist() != plain_timestamps or values.view(np.uint64).tolist() != plain_bits:
        return "kernels and reference decode a chunk differently"
    found = _summary(timestamps, values)
    if found is None:
        return "timestamps of a chunk do not ascend"
    stored = _stored(block, aggregates, chunk)
    if found[: len(stored)] != stored:
        return "the index sums up a chunk differently from what it holds"
    return None


def _summary(timestamps: I64s, values: F64s) -> list[int] | None:
    numbers = np.empty((int(kernels.STALE) + 1, 1), np.int64)
    bits = np.empty((int(kernels.LAST) + 1, 1), np.uint64)
    one = np.array([0, timestamps.size], np.int64)
    if kernels.summarize(one, timestamps, values.view(np.uint64), numbers, bits) != -1:
        return None
    live = int(numbers[kernels.COUNT, 0] - numbers[kernels.STALE, 0])
    return [*numbers[: int(kernels.COUNT), 0].tolist(), live, *bits[:, 0].tolist()]


def _stored(block: Block, aggregates: Aggregates | None, chunk: int) -> list[int]:
    """What the index says, in the order of `_summary`; it may say less."""
    times = int(block.table.min_ts[chunk]), int(block.table.max_ts[chunk])
    if aggregates is None:
        return [*times]
    a = aggregates
    floats = np.array([c[chunk] for c in (a.minima, a.maxima, a.sums, a.firsts, a.lasts)])
    return [*times, int(a.counts[chunk]), *floats.view(np.uint64).tolist()]
