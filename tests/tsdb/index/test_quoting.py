"""tsdb.index.quoting: what is written quoted is read back, and Go's escapes mean Go's bytes."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tsdb.errors import InvalidInput
from tsdb.index.quoting import SHOWN_CHARACTERS_MAX, quote, shown, unquote

texts = st.text(st.characters(exclude_categories=["Cs"]))


@given(texts)
@example('\\"\n\x00\x7f\u0085\u2028\U000e0001')
def test_quoted_text_reads_back(text: str) -> None:
    quoted = quote(text)

    assert unquote(quoted, 0) == (text, len(quoted))
    assert quoted.isprintable()


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        (r'"\a\b\f\n\r\t\v\\\""', '\a\b\f\n\r\t\v\\"'),
        (r"'it\'s'", "it's"),
        (r'"\x41\101\u00e9\U0001f98d"', "AA\u00e9\U0001f98d"),
        (r'"\xc3\xa9"', "\u00e9"),  # \x is a byte, not a character
        ("`\\n`", "\\n"),
        ("`a\nb`", "a\nb"),
    ],
)
def test_escapes_mean_what_go_says(text: str, meaning: str) -> None:
    assert unquote(text, 0) == (meaning, len(text))


@pytest.mark.parametrize(
    "text",
    [
        '"', '"a', "'a\"", "`a", '"a\nb"', r'"\q"', r'"\x4"', r'"\x4g"', r'"\400"', r'"\18"',
        r'"\ud800"', r'"\U00110000"', r'"\xff"', '"\\', r'"\u12"', '"\\x\u0664\u0664"',
    ],
)  # fmt: skip
def test_broken_strings_are_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="character"):
        unquote(text, 0)


def test_messages_repeat_only_the_start_of_a_long_text() -> None:
    assert len(shown("x" * 10_000)) == SHOWN_CHARACTERS_MAX + len('"..."')
