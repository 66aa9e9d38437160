"""docs/format/chunk.md: its examples decode to what it says, and its widths are those in force."""

import re
from pathlib import Path

import numpy as np
import pytest

from tsdb.codec import gorilla, reference
from tsdb.codec.resolution import Resolution

PAGE = (Path(__file__).resolve().parents[3] / "docs/format/chunk.md").read_text()
EXAMPLE = re.compile(r"```hex chunk-(\w+) (\d+)\n(.*?)```\n```points\n(.*?)```", re.DOTALL)
EXAMPLES = EXAMPLE.findall(PAGE)


@pytest.mark.parametrize(("name", "count", "text", "points"), EXAMPLES)
def test_an_example_is_what_it_says(name, count, text, points):
    resolution, chunk = Resolution.parse(name), bytes.fromhex(text)
    lines = [line.split() for line in points.splitlines()]
    timestamps = [int(timestamp) for timestamp, _ in lines]
    bits = np.array([float(value) for _, value in lines]).view(np.uint64).tolist()

    decoded = gorilla.decode(chunk, int(count), resolution)

    assert decoded[0].tolist() == timestamps
    assert decoded[1].view(np.uint64).tolist() == bits
    assert reference.decode(chunk, int(count), resolution) == (timestamps, bits)
    assert reference.encode(timestamps, bits, resolution) == chunk


def test_every_fence_is_an_example_and_every_resolution_has_one():
    assert len(EXAMPLES) == PAGE.count("```hex") == PAGE.count("```points")
    assert {name for name, *_ in EXAMPLES} == {resolution.name_ for resolution in Resolution}


def test_the_table_of_widths_is_the_one_in_force():
    rows = re.findall(r"^\| (\d) \| gorilla-(\w+) \|[^|]*\|([\d| ]+)\|$", PAGE, re.MULTILINE)

    table = [(int(i), n, tuple(map(int, widths.split("|")))) for i, n, widths in rows]
    assert table == [(r.codec_id, r.name_, r.widths) for r in Resolution]
