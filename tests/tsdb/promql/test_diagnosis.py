"""Reading again what was refused: never a crash, and never a mistake found in what is sound."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsdb.errors import InvalidInput
from tsdb.promql import ast
from tsdb.promql.diagnosis import Part, Wrong, read
from tsdb.promql.parse import EXPERIMENTAL_FUNCTIONS, parse
from tsdb.promql.prescan import scan

TEXTS = json.loads((Path(__file__).parents[2] / "promql" / "texts.json").read_text("utf-8"))
WORDS = {
    "scalar": ast.Type.SCALAR, "string": ast.Type.STRING, "instant vector": ast.Type.VECTOR,
    "range vector": ast.Type.MATRIX,
}  # fmt: skip
# Words that are keywords where we look, and names where the grammar knows better.
NAMES = {"on", "bool", "ignoring", "group_left", "group_right", "atan2"}


def part_of(text: str) -> Part:
    return read(text, scan(text).tokens)


def test_what_is_sound_has_no_mistake_and_its_type() -> None:
    checked = 0
    for text in TEXTS:
        try:
            node = parse(text, [EXPERIMENTAL_FUNCTIONS])
        except InvalidInput:
            continue
        try:
            part = part_of(text)
        except Wrong:
            assert NAMES & set(text.lower().replace("(", " ").replace("{", " ").split()), text
            continue
        assert WORDS[part.type] == ast.type_of(node), text
        checked += 1
    assert checked > 100


WORD = (
    """x ( ) { } [ ] , : + - ^ and on by bool offset @ start sum rate 5m 1 "a" a= =~ == 1.5 inf"""
)
tokens = st.sampled_from(WORD.split())


@given(st.lists(tokens, max_size=12))
def test_any_tokens_are_read_or_refused(words: list[str]) -> None:
    text = " ".join(words)
    try:
        scanned = scan(text)
    except InvalidInput:
        return
    try:
        read(text, scanned.tokens)
        found = None
    except Wrong as wrong:
        found = wrong
    assert found is None or (-1 <= found.at <= len(text) + 1 and found.sentence)


@pytest.mark.parametrize("text", ["(" * 60 + "x +", "-" * 400 + "x y", "x ^ " * 400, "x + " * 400])
def test_long_ones_end(text: str) -> None:
    with pytest.raises(InvalidInput, match="parse error: "):
        parse(text)
