"""api.compression: figures that add up, and only for data that came back."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from api import compression, workloads
from api.compression import Source, measure, read_file, read_workload, total
from tsdb.batch import Columns
from tsdb.codec import gorilla
from tsdb.codec.accounting import Code
from tsdb.codec.resolution import Resolution
from tsdb.errors import InvalidInput


def source(stamps: np.ndarray, values: np.ndarray, resolution: Resolution) -> Source:
    return Source("x", Columns(np.array([0, stamps.size]), stamps, values), resolution)


@given(
    hnp.arrays(np.uint64, st.integers(1, 80)),
    st.integers(1, 20),
    st.sampled_from(list(Resolution)),
)
def test_figures_are_the_size_of_the_real_chunks(
    bits: np.ndarray, chunk_points: int, resolution: Resolution
) -> None:
    """Any bits as values and, turned round, as timestamps."""
    stamps, values = np.sort(bits[::-1].view(np.int64)), bits.view(np.float64)

    figures = measure(source(stamps, values, resolution), chunk_points=chunk_points)

    pieces = range(0, stamps.size, chunk_points)
    chunks = [
        gorilla.encode(stamps[i : i + chunk_points], values[i : i + chunk_points], resolution)
        for i in pieces
    ]
    assert round(figures.bytes_per_point * figures.points) == sum(map(len, chunks))
    assert figures.chunks == len(chunks)
    assert figures.points == bits.size


def test_totals_weigh_points_not_files() -> None:
    still = measure(source(np.arange(1000) * 1000, np.ones(1000), Resolution.MS))
    noisy = measure(source(np.arange(10) * 1000, np.random.default_rng(1).random(10), Resolution.S))

    both = total([still, noisy])

    assert both.points == 1010
    assert both.value_bits == still.value_bits + noisy.value_bits
    assert both.share(Code.XOR_0) == pytest.approx((998 + 0) / 1007)
    assert both.raw_bytes == 16 * 1010


def test_shares_of_a_family_add_up_to_one() -> None:
    figures = measure(read_workload("scrape"))

    for family in (compression.TIMESTAMP_CODES, compression.VALUE_CODES):
        assert sum(figures.share(code) for code in family) == pytest.approx(1)


def test_the_papers_mix_comes_out_as_the_paper_says() -> None:
    """96 % of the timestamps in one bit, 51 % of the values, about 1.37 bytes a point."""
    figures = measure(read_workload("paper"), chunk_points=120)

    assert figures.share(Code.DOD_0) == pytest.approx(0.96, abs=0.01)
    assert figures.share(Code.XOR_0) == pytest.approx(0.51, abs=0.02)
    assert 1.2 < figures.bytes_per_point < 1.5


@pytest.mark.parametrize("name", workloads.WORKLOADS)
def test_a_workload_is_the_same_every_time(name: str) -> None:
    first, again = (workloads.generate(name, series=3, points=50) for _ in range(2))
    other = workloads.generate(name, series=3, points=50, seed=2)

    assert np.array_equal(first.columns.timestamps, again.columns.timestamps)
    assert np.array_equal(first.columns.values, again.columns.values)
    assert not np.array_equal(first.columns.timestamps, other.columns.timestamps)
    assert first.columns.points == 150
    assert (np.diff(first.columns.timestamps.reshape(3, 50)) > 0).all()


def test_one_column_is_values_without_times(tmp_path: Path) -> None:
    path = tmp_path / "walk.csv"
    path.write_text("1.5\n1.5\n2\n")

    figures = measure(read_file(path, "walk", Resolution.MS))

    assert figures.bits_per_timestamp is None
    assert figures.raw_bytes == 3 * 8
    assert figures.value_bits == figures.bytes_per_point * 8 * 3


def test_packed_and_plain_and_binary_files_read_alike(tmp_path: Path) -> None:
    import cramjam

    text = b"0.1\n0.25\n-0\n"
    (tmp_path / "a.csv").write_bytes(text)
    (tmp_path / "b.csv.gz").write_bytes(gzip.compress(text))
    (tmp_path / "c.csv.zst").write_bytes(bytes(cramjam.zstd.compress(text)))
    (tmp_path / "d.bin").write_bytes(np.array([0.1, 0.25, -0.0]).tobytes())

    found = compression.expand([tmp_path])
    values = [read_file(p, "", Resolution.MS).columns.values.view(np.uint64) for p in found]

    assert [name for _, name in compression.names_of(found)] == ["a", "b", "c", "d"]
    assert all(np.array_equal(column, values[0]) for column in values)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("half.bin", b"\0" * 12),
        ("bomb.csv.gz", b"\x1f\x8b\x08\x00rubbish"),
        ("broken.csv.zst", b"\x28\xb5\x2f\xfdrubbish"),
        ("latin.csv", b"timestamp,value\n1,\xff\n"),
        ("none.csv", b"timestamp,value\n"),
    ],
)
def test_a_file_that_is_not_what_it_says_is_refused(
    tmp_path: Path, name: str, content: bytes
) -> None:
    (tmp_path / name).write_bytes(content)

    with pytest.raises(InvalidInput):
        read_file(tmp_path / name, name, Resolution.MS)
