"""Fuzz selector text: any text is refused as the caller's mistake, or means what its own text says.

    in   UTF-8 text (what is not UTF-8 is read as Latin-1); after a NUL, values for its matchers
    out  AssertionError, or any error but InvalidInput, is a finding

tests/fuzz/test_fuzz_selector.py replays the kept corpus in the ordinary test run.

Run      python tests/fuzz/fuzz_selector.py -max_total_time=10 tests/fuzz/corpus/selector
"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    import atheris

    with atheris.instrument_imports(include=["tsdb.index"]):
        import tsdb.index.selector  # noqa: F401  (first here, so that it is instrumented)

import numpy as np

from tsdb.errors import InvalidInput
from tsdb.index.labels import Labels, canonical, parse
from tsdb.index.matchers import Matcher, all_match_empty
from tsdb.index.selector import parse_selector, parse_series


def check(data: bytes) -> bool:
    """Whether the input held a selector."""
    head, _, tail = data.partition(b"\0")
    try:
        text = head.decode()
    except UnicodeDecodeError:
        text = head.decode("latin-1")
    check_series(text)
    try:
        matchers = parse_selector(text, allow_empty=True)
    except InvalidInput:
        return False
    written = "{" + ", ".join(map(str, matchers)) + "}"
    assert parse_selector(written, allow_empty=True) == matchers
    try:
        assert parse_selector(text) == matchers
        assert not all_match_empty(matchers)
    except InvalidInput:
        assert all_match_empty(matchers)
    for matcher in matchers:
        check_values(matcher, tail.split(b"\0"))
    return True


def check_series(text: str) -> None:
    try:
        labels = parse_series(text)
    except InvalidInput:
        return
    assert parse(canonical(labels)) == labels == parse_series(str(labels))
    assert all(matcher.matches(labels.get(matcher.name, "")) for matcher in parse_selector(text))
    assert Labels(reversed(list(labels.items()))) == labels


def check_values(matcher: Matcher, values: list[bytes]) -> None:
    """One by one and all at once, a regex says the same."""
    if not matcher.op.regex:
        return
    texts = [value.decode(errors="replace") for value in values]
    offsets = np.cumsum([0, *(len(text.encode()) + 1 for text in texts)], dtype=np.int64)
    joined = "".join(f"{text}\n" for text in texts).encode()
    verdicts = matcher.pattern.judge(joined, offsets).tolist()
    assert [matcher.matches(text) for text in texts] == [
        verdict != matcher.op.negative for verdict in verdicts
    ]


if __name__ == "__main__":
    atheris.Setup(sys.argv, check)
    atheris.Fuzz()
