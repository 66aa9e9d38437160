"""tsdb.log.annotations: metadata and exemplars survive their bytes; anything else is named."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsdb.batch import Exemplar, FamilyMetadata
from tsdb.errors import CorruptionError
from tsdb.index.labels import canonical
from tsdb.log import annotations

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
families = st.builds(FamilyMetadata, texts, texts, texts, texts)
names = st.sampled_from(["job", "instance", "trace_id", "é"])
keys = st.dictionaries(names, texts.filter(bool), min_size=1).map(canonical)
ticks = st.integers(-(2**63), 2**63 - 1)
exemplars = st.builds(
    Exemplar, keys, st.just(b"") | keys, ticks, st.floats(allow_nan=False, width=64)
)


@given(st.lists(families, max_size=5))
def test_metadata_survives(given_: list[FamilyMetadata]) -> None:
    payload = annotations.encode_metadata(given_)

    assert annotations.decode_metadata(payload) == tuple(given_)


@given(st.lists(exemplars, max_size=5))
def test_exemplars_survive(given_: list[Exemplar]) -> None:
    payload = annotations.encode_exemplars(given_)

    assert annotations.decode_exemplars(payload) == tuple(given_)


@given(st.binary(max_size=60) | st.binary(max_size=60).map(lambda b: b"\1\1\0\0\0" + b))
def test_arbitrary_bytes_are_read_or_named(payload: bytes) -> None:
    for decode in (annotations.decode_metadata, annotations.decode_exemplars):
        try:
            decoded: object = (decode(payload),)
        except CorruptionError as error:
            decoded = error.reason
        assert decoded


@given(st.lists(families, min_size=1, max_size=3), st.data())
def test_a_cut_payload_is_damage(given_: list[FamilyMetadata], data: st.DataObject) -> None:
    payload = annotations.encode_metadata(given_)
    cut = payload[: data.draw(st.integers(0, len(payload) - 1))]

    with pytest.raises(CorruptionError, match="cut off"):
        annotations.decode_metadata(cut)


PAGE = Path(__file__).resolve().parents[3] / "docs/format/annotations.md"
EXAMPLES = dict(re.findall(r"```hex (\w+)\n(.*?)```", PAGE.read_text(), re.DOTALL))


def test_the_examples_of_the_format_page_are_what_they_say() -> None:
    metadata = annotations.decode_metadata(bytes.fromhex(EXAMPLES["metadata"]))
    found = annotations.decode_exemplars(bytes.fromhex(EXAMPLES["exemplars"]))

    assert metadata == (FamilyMetadata("up", "gauge", "1: ok", ""),)
    assert found == (Exemplar(canonical({"a": "b"}), b"", 1000, 1.5),)
