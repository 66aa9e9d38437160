"""tsdb.codec.resolution: what a database chooses once is written in its chunks for ever."""

import pytest

from tsdb.codec.resolution import Resolution
from tsdb.errors import InvalidInput


def test_ids_and_widths_are_part_of_the_format():
    """A change here makes every chunk on disk unreadable; a new width needs a new id."""
    assert [(r.name_, r.ticks_per_s, r.codec_id, r.widths) for r in Resolution] == [
        ("s", 1, 1, (7, 9, 12, 32)),
        ("ms", 10**3, 2, (14, 17, 20, 64)),
        ("us", 10**6, 3, (13, 18, 26, 64)),
        ("ns", 10**9, 4, (17, 25, 36, 64)),
    ]


@pytest.mark.parametrize("resolution", Resolution)
def test_names_and_ids_find_their_resolution(resolution):
    assert Resolution.parse(resolution.name_) is resolution
    assert Resolution.of_codec(resolution.codec_id) is resolution
    assert list(int(resolution.packed_widths).to_bytes(4, "little")) == list(resolution.widths)


@pytest.mark.parametrize("text", ["", "MS", "m", "minute", "ms "])
def test_other_names_are_refused_with_the_choices(text):
    with pytest.raises(InvalidInput, match="s, ms, us, ns"):
        Resolution.parse(text)


def test_unknown_ids_are_told_apart():
    assert Resolution.of_codec(0) is None
    assert Resolution.of_codec(99) is None
