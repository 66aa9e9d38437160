"""tsdb.index.pattern: whatever shortcut is taken, the verdict is google-re2's, value by value."""

from __future__ import annotations

import numpy as np
import pytest
import re2
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tsdb import limits
from tsdb.errors import InvalidInput, LimitExceeded
from tsdb.index.pattern import SCAN_BYTES, Pattern

# Few characters, so that patterns and values meet; specials, so that shapes are nearly missed.
fragments = st.sampled_from(
    ["a", "b", "ab", "\u00e9", "\\.", "\\-", "\\\\", "\\d", "\\n", "\n", ".*", ".+", ".", "|", "(",
     ")", "(?:", "(?i)", "(?s)", "(?m)", "(?-s)", "(?-m)", "(?i:", "^", "$", "\\A", "\\z", "\\b",
     "\\B", "[ab]", "[^a]", "*", "+", "?", "{2}", "\\Q", "\\E", "\\s", "\\x41", "\\_", "]", "}",
     "-", "/", " ", "A", "_", "\\pL", "\\C", "\x00"]
)  # fmt: skip
patterns = st.lists(fragments, max_size=7).map("".join)
values = st.lists(
    st.text(st.sampled_from("abA\u00e9\n.-\\_ \x00/"), max_size=5).map(str.encode), max_size=12
)


def oracle(text: str):
    """Prometheus' meaning said once more, as plainly as the engine allows."""
    options = re2.Options()
    options.log_errors = False
    options.dot_nl = True
    return re2.compile(text, options)


@settings(max_examples=400)
@given(patterns, values)
@example("a|b", [b"a", b"b", b"ab", b""])
@example("[^a]*", [b"b\nb", b"b", b"", b"a"])
@example("a.*|b", [b"ab", b"b\n"])
@example("^a$|b", [b"a", b"b", b"ab"])
@example(".*a.*", [b"\na\n", b"", b"bab"])
@example("a.+a", [b"a", b"aa", b"aaa"])
@example("\\Qa", [b"a", b"a\n"])
@example("(?-m)^a$", [b"a", b"b", b"a"])
@example("(a)|(b)", [b"a", b"b"])
@example(".|", [b"", b"\n"])
def test_every_shortcut_agrees_with_re2(text: str, given_values: list[bytes]) -> None:
    check_against_re2(text, given_values)


def judged(pattern: Pattern, values: list[bytes]) -> list[bool]:
    offsets = np.zeros(len(values) + 1, np.int64)
    np.cumsum([len(value) + 1 for value in values], out=offsets[1:])
    return pattern.judge(b"".join(value + b"\n" for value in values), offsets).tolist()


def check_against_re2(text: str, given_values: list[bytes]) -> None:
    try:
        engine = oracle(text)
    except re2.error:
        with pytest.raises(InvalidInput, match="not valid RE2"):
            Pattern(text)
        return
    expected = [engine.fullmatch(value) is not None for value in given_values]

    pattern = Pattern(text)

    assert [pattern.match(value) for value in given_values] == expected
    assert judged(pattern, given_values) == expected
    assert pattern.matches_empty == (engine.fullmatch("") is not None)


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=6), values)
def test_any_text_is_a_pattern_or_refused_as_by_re2(text: str, given_values) -> None:
    check_against_re2(text, given_values)


@pytest.mark.parametrize(
    ("text", "literals"),
    [
        ("", {""}),
        ("a", {"a"}),
        ("a|b|c", {"a", "b", "c"}),
        ("^(a|b)$", {"a", "b"}),
        ("(?:10\\.0\\.0\\.1|x)", {"10.0.0.1", "x"}),
        ("a|", {"a", ""}),
        ("a\\$", {"a$"}),
        ("(a\\)", None),
        ("a.b", None),
        ("a.*", None),
    ],
)
def test_lists_of_literals_need_no_engine(text: str, literals: set[str] | None) -> None:
    expected = None if literals is None else {value.encode() for value in literals}
    try:
        assert Pattern(text).literals == expected
    except InvalidInput:
        assert expected is None


@pytest.mark.parametrize("text", [".*", ".+", "a.*", ".*a", ".*a.*", "a.*b", "^a.+$", "(a.*)"])
def test_affixes_need_no_engine(text: str) -> None:
    assert Pattern(text).affixes is not None


def test_a_list_of_literals_may_be_longer_than_a_regex() -> None:
    hosts = [f"host-{i}" for i in range(500)]

    assert Pattern("|".join(hosts)).literals == {host.encode() for host in hosts}


def test_a_long_regex_is_refused_by_name() -> None:
    with pytest.raises(LimitExceeded) as refused:
        Pattern("[a]" * limits.REGEX_BYTES_MAX)
    assert refused.value.limit == "REGEX_BYTES_MAX"


@pytest.mark.parametrize("text", ["(", "a**", "\\8", "(?=a)", "a{1001}", "[b-a]", "\\", "\ud800["])
def test_refused_patterns_say_why(text: str, capfd) -> None:
    with pytest.raises(InvalidInput, match="regex"):
        Pattern(text)
    assert capfd.readouterr().err == ""  # RE2 would write the pattern there by default


def test_the_classic_attack_is_linear() -> None:
    """27 characters keep a backtracking engine busy for seconds."""
    value = b"a" * 4000 + b"!"

    assert judged(Pattern("(a+)+$"), [value, b"aaa"]) == [False, True]


def test_more_values_than_one_scan_holds() -> None:
    count = 3 * SCAN_BYTES // 100
    many = [b"%0100d" % i for i in range(count)]

    assert sum(judged(Pattern("0+[0-9]?[02468]"), many)) == 50
