"""Buffers of bodies: as large as asked for, one owner at a time, not too many."""

from __future__ import annotations

import cramjam
import numpy as np

from tsdb.parse import compression
from tsdb.parse.body_buffers import KEPT, KEPT_BYTES_MAX, BodyBuffers


def test_what_is_given_back_is_used_again() -> None:
    buffers = BodyBuffers()
    first = buffers.take(100)
    second = buffers.take(100)
    assert not np.shares_memory(first, second)
    buffers.give(first)

    again = buffers.take(50_000)
    assert again.size == 50_000
    assert np.shares_memory(again, first)
    buffers.give(again)
    assert buffers.take(1 << 20).size == 1 << 20


def test_few_are_kept_and_no_large_ones() -> None:
    buffers = BodyBuffers()
    large = buffers.take(KEPT_BYTES_MAX + 1)
    buffers.give(large)
    assert not np.shares_memory(buffers.take(1), large)
    taken = [buffers.take(1) for _ in range(KEPT + 1)]
    for one in taken:
        buffers.give(one)
    kept = [buffers.take(1) for _ in range(KEPT + 1)]
    assert sum(any(np.shares_memory(a, b) for b in taken) for a in kept) == KEPT


def test_a_shorter_body_leaves_nothing_of_a_longer_one() -> None:
    buffers = BodyBuffers()
    for text in (b"x" * 1000, b"abc", b""):
        data = compression.decode_padded(
            bytes(cramjam.snappy.compress_raw(text)), "snappy", bytes_max=1 << 20, buffers=buffers
        )
        assert data.tobytes() == text + bytes(16)
        buffers.give(data)
