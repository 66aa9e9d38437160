"""tsdb.codec.accounting: the sum of what it counts is the chunk, and the papers' figures come out.

The five row groups of the ALP repository (cwida/ALP, data/1_rg_data_sample) are not kept here:
$SILVERBACK_DATA names a folder that holds them as alp/row_groups/*.bin.
"""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsdb.batch import Columns
from tsdb.codec import gorilla, reference
from tsdb.codec.accounting import Code, account, alp_bits_per_value
from tsdb.codec.resolution import Resolution

ROOT = Path(__file__).resolve().parents[3]
DATA = Path(os.environ.get("SILVERBACK_DATA") or ROOT.parent / "shared" / "data")
ROW_GROUPS = {
    "bitcoin_transactions_f_tw": 62.7632,
    "city_temperature_f_tw": 55.2041,
    "food_prices_tw": 36.8511,
    "gov26_tw": 2.7896,
    "nyc29_tw": 31.2959,
}
files = {name: DATA / "alp" / "row_groups" / f"{name}.bin" for name in ROW_GROUPS}

# 64 bits of the first value, 2 flag bits a later value in whole bytes, 48 bits of header; then
# what is padded to 64: 11 + size for a new window, the window's size for one used again.
VECTORS = [
    ("one value", [1.5], 64 + 0 + 48),
    ("constant", [36.6] * 1024, 64 + 2048 + 48),
    ("12 24 12 24", [12.0, 24.0] * 512, 1152 + 2048 + 48),  # 64 + 11 + 1 + 1022 x 1 = 1098
    ("two vectors", [36.6] * 1025, (64 + 2048 + 48) + (64 + 0 + 48)),
    ("sign flips", [0.0, -0.0, 0.0], 128 + 8 + 48),  # 64 + 11 + 1 + 1
]
PUBLISHED = [
    pytest.param(np.array(values), bits / len(values), id=name) for name, values, bits in VECTORS
] + [
    pytest.param(np.fromfile(path, "<f8"), ROW_GROUPS[name], id=name)
    for name, path in files.items()
    if path.is_file()
]


@pytest.mark.parametrize(("values", "bits"), PUBLISHED)
def test_values_cost_what_the_alp_repository_counts(values, bits):
    """To all digits its own Gorilla printed for these files."""
    assert round(alp_bits_per_value(values), 4) == round(bits, 4)


timestamps = st.integers(-(2**63), 2**63 - 1) | st.integers(0, 2**34) | st.integers(0, 9)
value_bits = st.integers(0, 2**64 - 1) | st.integers(0, 40).map(lambda k: k << 50)
runs = st.lists(st.tuples(timestamps, value_bits), max_size=12)


@given(st.lists(runs, max_size=5), st.sampled_from(list(Resolution)))
def test_every_code_is_counted_as_the_reference_writes_it(many, resolution):
    points = [point for run in many for point in run]
    columns = Columns(
        np.cumsum([0, *map(len, many)], dtype=np.int64),
        np.array([t for t, _ in points], np.int64),
        np.array([v for _, v in points], np.uint64).view(np.float64),
    )
    counts = np.zeros((len(many), len(Code)), np.int64)
    bits = np.zeros((len(many), len(Code)), np.int64)
    for i, run in enumerate(many):
        for code, field in reference.fields([t for t, _ in run], [v for _, v in run], resolution):
            counts[i, code] += 1
            bits[i, code] += len(field)

    accounting = account(columns, resolution)

    np.testing.assert_array_equal(accounting.counts, counts)
    np.testing.assert_array_equal(accounting.bits, bits)
    assert accounting.points == len(points)
    assert accounting.encoded_bytes == gorilla.encode_runs(columns, resolution)[0].size


def test_a_regular_series_costs_one_bit_a_timestamp_and_one_a_value():
    stamps = 1_700_000_000_000 + 15_000 * np.arange(1_002)
    columns = Columns(np.array([0, stamps.size]), stamps, np.full(stamps.size, 1.5))

    accounting = account(columns, Resolution.MS)

    assert accounting.by_code()[Code.DOD_0] == (1_000, 1_000)
    assert accounting.by_code()[Code.XOR_0] == (1_001, 1_001)
    assert accounting.by_code()[Code.DOD_1111] == (0, 0)
    assert accounting.bits_per_timestamp == pytest.approx(1, abs=0.1)
    assert accounting.bits_per_value == pytest.approx(1, abs=0.1)


def test_no_points_cost_nothing():
    nothing = Columns(np.zeros(1, np.int64), np.empty(0, np.int64), np.empty(0))

    accounting = account(nothing, Resolution.S)

    assert accounting.points == accounting.encoded_bytes == 0
    assert accounting.bits_per_timestamp == accounting.bits_per_value == 0
