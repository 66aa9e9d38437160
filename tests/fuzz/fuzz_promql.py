"""Fuzz PromQL: any text is refused as the caller's mistake, or means what its own text says.

    in   UTF-8 text (what is not UTF-8 is read as Latin-1)
    out  AssertionError, any error but InvalidInput, a crash or a stall is a finding

What is accepted is written, read again, described, and asked of two small series as an instant
and a range. tests/fuzz/test_fuzz_promql.py replays the kept corpus in the ordinary test run, in a
process of its own, since the grammar is machine code.

Run      python tests/fuzz/fuzz_promql.py -max_total_time=10 tests/fuzz/corpus/promql
"""

from __future__ import annotations

import sys
import warnings

if __name__ == "__main__":
    import atheris

    with atheris.instrument_imports(include=["tsdb.promql", "tsdb.index"]):
        import tsdb.promql.parse  # noqa: F401  (first here, so that it is instrumented)

from collections.abc import Iterator, Sequence

import numpy as np

from tsdb import limits
from tsdb.batch import Columns
from tsdb.codec.resolution import Resolution
from tsdb.errors import InvalidInput
from tsdb.index.labels import Labels
from tsdb.index.matchers import Matcher
from tsdb.index.quoting import is_label_name
from tsdb.promql import ast, query
from tsdb.promql.parse import EXPERIMENTAL_FUNCTIONS, parse
from tsdb.promql.printing import described, pretty, text
from tsdb.promql.query import Source
from tsdb.query.selection import Selection

SERIES = [Labels({"__name__": "x", "a": "b"}), Labels({"__name__": "x", "le": "1"})]
POINTS = Columns(
    np.array([0, 3, 5]),
    np.array([0, 60_000, 120_000, 30_000, 90_000]),
    np.array([1.0, np.nan, 3.0, -0.0, np.inf]),
)
CELLS_MAX = 200_000  # a large matrix is no finding, but takes its time


def select(matchers: Sequence[Matcher], start: int, end: int, *, points_max: int) -> Selection:
    """Both series, whole: what is asked for does not matter here."""
    assert start <= end
    refs = np.array([0, 1], np.uint32)
    return Selection(refs, POINTS, labels_of=SERIES.__getitem__, resolution=Resolution.MS)


def check(data: bytes) -> bool:
    """Whether the input was a query."""
    try:
        written = data.decode()
    except UnicodeDecodeError:
        written = data.decode("latin-1")
    try:
        tree = parse(written, {EXPERIMENTAL_FUNCTIONS})
    except InvalidInput:
        return False
    described(tree)
    if not any(map(_is_bare, _nodes(tree))):
        for again in (text(tree), pretty(tree)):
            if len(again.encode()) <= limits.QUERY_BYTES_MAX:  # indented, it may be too long
                assert text(parse(again, {EXPERIMENTAL_FUNCTIONS})) == text(tree), (written, again)
    _ask(written)
    return True


def _ask(written: str) -> None:
    limits.QUERY_CELLS_MAX = CELLS_MAX
    source = Source(select)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for answer in (
            lambda: query.instant(source, written, 60_000),
            lambda: query.over_range(source, written, 0, 180_000, 60_000),
        ):
            try:
                answer()
            except InvalidInput:
                continue


def _nodes(tree: ast.Node) -> Iterator[ast.Node]:
    waiting = [tree]
    while waiting:
        yield (node := waiting.pop())
        waiting += ast.children(node)


def _is_bare(node: ast.Node) -> bool:
    """Prometheus forgets the quotes around labels of `on`, and cuts what moves beyond all times."""
    if isinstance(node, ast.InstantSelector | ast.Subquery) and isinstance(node.at, int):
        return abs(node.at) > 2**53
    if isinstance(node, ast.RangeSelector | ast.Subquery) and not node.range_ms:
        return True
    matching = node.matching if isinstance(node, ast.Binary) else ast.Matching()
    return not all(map(is_label_name, (*matching.labels, *matching.include)))


if __name__ == "__main__":
    atheris.Setup(sys.argv, check)
    atheris.Fuzz()
