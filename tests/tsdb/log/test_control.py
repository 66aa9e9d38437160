"""tsdb.log.control: deletes and horizons survive their bytes; anything else is named."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsdb.errors import CorruptionError, InvalidInput
from tsdb.index.labels import canonical
from tsdb.index.selector import parse_selector
from tsdb.log import control

ticks = st.integers(-(2**63), 2**63 - 1)


@given(st.text(st.characters(exclude_categories=["Cs"])), ticks, ticks)
def test_every_delete_survives(selector: str, a: int, b: int) -> None:
    delete = control.Delete(selector, min(a, b), max(a, b))

    assert control.decode_delete(control.encode_delete(delete)) == delete


@given(ticks)
def test_every_horizon_survives(at: int) -> None:
    assert control.decode_control(control.encode_horizon(control.Horizon(at))).ticks == at


@given(st.binary(max_size=40))
def test_arbitrary_bytes_are_read_or_named(payload: bytes) -> None:
    """A decoder meets damaged disks: it answers or says CorruptionError, nothing else."""
    for decode in (control.decode_delete, control.decode_control):
        try:
            decoded: object = decode(payload)
        except CorruptionError as error:
            decoded = error.reason
        assert decoded


def test_a_reversed_range_is_damage() -> None:
    payload = control.encode_delete(control.Delete("cpu", 5, 5))
    reversed_range = (9).to_bytes(8, "little") + payload[8:]

    with pytest.raises(CorruptionError, match="reversed"):
        control.decode_delete(reversed_range)


PAGE = Path(__file__).resolve().parents[3] / "docs/format/control.md"
EXAMPLES = dict(re.findall(r"```hex ([\w-]+)\n(.*?)```", PAGE.read_text(), re.DOTALL))


def test_the_examples_of_the_format_page_are_what_they_say() -> None:
    tombstone = control.decode_delete(bytes.fromhex(EXAMPLES["tombstone"]))
    horizon = control.decode_control(bytes.fromhex(EXAMPLES["horizon"]))

    assert tombstone == control.Delete("cpu", 1_000, 2_000)
    assert horizon == control.Horizon(10_000_000_000)
    exact = control.decode_delete(bytes.fromhex(EXAMPLES["tombstone-key"]))
    assert exact == control.Delete.of_key(canonical({"__name__": "cpu"}), 1_000, 2_000)


@given(st.binary(min_size=1))
def test_a_delete_may_carry_a_key(key: bytes) -> None:
    delete = control.Delete.of_key(key, 1, 2)

    assert control.key_of(control.decode_delete(control.encode_delete(delete)).selector) == key


def test_a_key_that_is_none_is_damage() -> None:
    assert control.key_of("cpu") is None
    with pytest.raises(CorruptionError, match="tombstone key"):
        control.key_of("=0g")
    with pytest.raises(InvalidInput):
        parse_selector(control.EXACTLY + "00")
