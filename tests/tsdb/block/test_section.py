"""tsdb.block.section: any column survives, and regular ones cost nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tsdb.block import section
from tsdb.block.layout import SECTION_ALIGN_BYTES, Kind
from tsdb.errors import CorruptionError

int64s = st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=40)
uint64s = st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=40)
refs = st.sets(st.integers(0, 2**32 - 1), min_size=1, max_size=40).map(sorted)


@given(int64s)
@example([-(2**63), 2**63 - 1])
@example([5])
def test_signed_columns_survive(numbers: list[int]) -> None:
    column = np.array(numbers, np.int64)

    row, data = section.encode(Kind.MIN_TS, column)

    assert section.decode(row, data, len(numbers), None).view(np.int64).tolist() == numbers
    assert len(data) % SECTION_ALIGN_BYTES == 0


@given(uint64s)
def test_bit_columns_survive(numbers: list[int]) -> None:
    for kind in (Kind.FIRST, Kind.STRIPES, Kind.SPAN_TS):
        row, data = section.encode(kind, np.array(numbers, np.uint64))

        assert section.decode(row, data, len(numbers), None).tolist() == numbers


@given(refs)
def test_refs_survive(numbers: list[int]) -> None:
    row, data = section.encode(Kind.REFS, np.array(numbers, np.uint32))

    assert section.decode(row, data, len(numbers), None).tolist() == numbers


def test_a_regular_column_costs_nothing() -> None:
    for kind, column in (
        (Kind.REFS, np.arange(70, 10_000, dtype=np.uint32)),
        (Kind.COUNT, np.full(10_000, 360, np.int64)),
    ):
        assert section.encode(kind, column)[1] == b""


def test_gauges_shrink_in_byte_planes() -> None:
    values = np.random.default_rng(seed=2).normal(100, 10, 5_000).round(1)

    _, data = section.encode(Kind.FIRST, values.view(np.uint64))

    assert len(data) < values.nbytes * 0.7


@given(uint64s, st.integers(0, 63), st.integers(0, 7))
def test_a_flipped_bit_is_seen(numbers: list[int], byte: int, bit: int) -> None:
    row, data = section.encode(Kind.FIRST, np.array([*numbers, 0, 1], np.uint64))
    broken = bytearray(data)
    broken[byte] ^= 1 << bit

    with pytest.raises(CorruptionError, match="checksum"):
        section.decode(row, bytes(broken), len(numbers) + 2, None)


@pytest.mark.parametrize(
    ("field", "value"), [("width", 3), ("form", 9), ("count", 2**50), ("count", 1), ("width", 8)]
)
def test_a_row_that_contradicts_its_bytes_is_refused(field: str, value: int) -> None:
    """The row has a checksum of its own, but a decoder trusts nobody."""
    row, data = section.encode(Kind.COUNT, np.array([1, 2, 3], np.int64))
    row[field] = value

    with pytest.raises(CorruptionError):
        section.decode(row, data, 3, None)


def test_a_frame_that_asks_for_more_memory_is_refused() -> None:
    values = np.random.default_rng(seed=2).normal(100, 10, 5_000).round(1)
    row, data = section.encode(Kind.FIRST, values.view(np.uint64))
    row["count"] = 4_000

    with pytest.raises(CorruptionError):
        section.decode(row, data, 4_000, None)
