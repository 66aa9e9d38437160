"""Questions drawn from PromQL's grammar: every function, operator and modifier, at edge times.

    in   a seeded random.Random
    out  Question: text and times; `subjects` names what a text is about, for tables

Most questions have an answer: metrics meet functions they suit four times out of five.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from random import Random

from promql.differential.answers import Question
from promql.differential.dataset import END, MINUTE, START

__all__ = ["Grammar", "subjects"]

GAUGES = (
    "temperature", "irregular", "odd", "huge", "tiny", "cancelling", "flaky", "threshold", "limit",
    "level", "build_info", "offset_gauge", "moment_seconds", "relay_a", '{"disk.free"}',
)  # fmt: skip
COUNTERS = ("requests_total", "restless_total", "constant_total", "latency_count", "latency_sum")
SELECTORS = (
    'temperature{host="a"}', 'temperature{dc!="east"}', 'temperature{host=~"a|b"}',
    'requests_total{code=~"5..",job="api"}', 'requests_total{code!~"2.."}', "missing",
    'flaky{n="blinking"}', 'odd{n="nan"}', 'irregular{n="few"}', '{__name__=~"twin_.*"}',
    '{__name__=~"relay_.*"}', '{host="a",version=""}', 'temperature{dc=~".*",host!=""}',
    'irregular{n="one"}', '{__name__=~"twin_.*|relay_a"}', 'temperature{missing=""}',
)  # fmt: skip
LABELS = ("host", "dc", "job", "code", "instance", "n", "le", "kind", "version", "x", "missing")
OVER_TIME = (
    "avg_over_time", "min_over_time", "max_over_time", "sum_over_time", "count_over_time",
    "stddev_over_time", "stdvar_over_time", "last_over_time", "present_over_time",
    "absent_over_time", "changes", "resets", "deriv", "delta", "idelta",
)  # fmt: skip
RATES = ("rate", "increase", "irate", "resets", "changes")
ELEMENTWISE = (
    "abs", "ceil", "floor", "exp", "sqrt", "ln", "log2", "log10", "sgn", "sin", "cos", "tan",
    "asin", "acos", "atan", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "deg", "rad",
)  # fmt: skip
DATES = (
    "day_of_month", "day_of_week", "day_of_year", "days_in_month", "hour", "minute", "month",
    "year",
)  # fmt: skip
ARITHMETIC = ("+", "-", "*", "/", "%", "^", "atan2")
COMPARISONS = ("==", "!=", "<", ">", "<=", ">=")
SETS = ("and", "or", "unless")
REDUCTIONS = ("sum", "avg", "min", "max", "count", "group", "stddev", "stdvar")
NUMBERS = (
    "0", "1", "2", "-1", "0.5", "20", "1e3", "-0.5", "NaN", "Inf", "-Inf", "0x10", "1e-3", "5m",
    "1e300", "3",
)  # fmt: skip
LENGTHS = ("5m", "1m", "15s", "30s", "1m30s", "10m", "300", "1h", "14s", "0.001", "2m", "37s")
ODD: list[str] = json.loads((Path(__file__).parent / "odd.json").read_text("utf-8"))
SUBSTEPS = ("1m", "15s", "", "30s", "7s", "5m", "90")


class Grammar:
    """One stream of questions."""

    def __init__(self, rng: Random, *, experimental: bool = False) -> None:
        self._rng = rng
        self._experimental = experimental

    def question(self) -> Question:
        text = self.query()
        if self._rng.random() < 0.35:
            return Question(text, self._moment())
        return self._ranged(text)

    def query(self) -> str:
        kind = self._rng.random()
        if kind < 0.01:
            return self._rng.choice(ODD)
        if kind < 0.05:
            return self._range_vector(1)
        if kind < 0.1:
            return self._scalar(2)
        return self._vector(self._rng.choice((1, 1, 2, 2, 3, 4)))

    # --- times ---------------------------------------------------------------------------------

    def _moment(self) -> int:
        edge = self._rng.choice(
            (START, END, START + 20 * MINUTE, START + 5 * MINUTE, END + 5 * MINUTE)
        )
        if self._rng.random() < 0.5:
            return edge + self._rng.choice((-1, 0, 1, 15_000))
        return START + self._rng.randrange(-MINUTE, END - START + 6 * MINUTE)

    def _ranged(self, text: str) -> Question:
        if self._rng.random() < 0.05:  # days around the points, with most of time left out
            step = self._rng.choice((20, 60, 420)) * MINUTE
            return Question(text, START - 3 * 1440 * MINUTE, END + 1440 * MINUTE, step)
        step = self._rng.choice((15_000, MINUTE, 37_000, 5 * MINUTE, 1_000, 20 * MINUTE))
        start = self._moment()
        count = self._rng.choice((0, 1, 5, 20, 60))
        end = start + step * count + self._rng.choice((0, 0, step - 1))
        return Question(text, start, min(end, END + 10 * MINUTE) if end > start else start, step)

    # --- expressions ---------------------------------------------------------------------------

    def _vector(self, depth: int) -> str:
        if depth <= 0:
            return self._selector()
        if self._experimental and self._rng.random() < 0.5:
            return self._behind_the_flag(depth)
        makers: tuple[tuple[int, Callable[[int], str]], ...] = (
            (1, lambda _: self._selector()),
            (5, self._over_time),
            (4, self._rate),
            (3, self._elementwise),
            (6, self._binary),
            (6, self._aggregate),
            (2, self._histogram),
            (2, self._labels),
            (3, self._other),
            (1, lambda d: f"-{self._vector(d - 1)}"),
            (1, lambda d: f"({self._vector(d - 1)})"),
        )
        weights = [weight for weight, _ in makers]
        return self._rng.choices([maker for _, maker in makers], weights)[0](depth)

    def _selector(self) -> str:
        name = self._rng.choice(self._rng.choice((GAUGES, COUNTERS, SELECTORS)))
        return name + self._modifiers()

    def _modifiers(self) -> str:
        said = ""
        if self._rng.random() < 0.12:
            said += f" offset {self._rng.choice(('1m', '-1m', '5m', '7s', '300', '-90s', '1ms'))}"
        if self._rng.random() < 0.08:
            seconds = self._moment() / 1000
            said += f" @ {self._rng.choice((f'{seconds:.3f}', 'start()', 'end()'))}"
        return said

    def _range_vector(self, depth: int, *names: str) -> str:
        if self._rng.random() < 0.22:
            inner = self._vector(depth - 1)
            if not re.fullmatch(r"[\w:]+(\(.*\))?", inner):
                inner = f"({inner})"
            window = f"[{self._length()}:{self._rng.choice(SUBSTEPS)}]"
            return inner + window + self._modifiers()
        name = self._rng.choice(names or self._rng.choice((GAUGES, COUNTERS, SELECTORS)))
        return f"{name}[{self._length()}]{self._modifiers()}"

    def _length(self) -> str:
        return self._rng.choice(LENGTHS)

    def _scalar(self, depth: int) -> str:
        kind = self._rng.randrange(6 if depth > 0 else 2)
        if kind <= 1:
            return self._rng.choice(NUMBERS)
        if kind == 2:
            return self._rng.choice(("time()", "pi()"))
        if kind == 3:
            return f"scalar({self._vector(depth - 1)})"
        if kind == 4:
            left, right = self._scalar(depth - 1), self._scalar(depth - 1)
            operator = self._rng.choice((*ARITHMETIC, *(f"{c} bool" for c in COMPARISONS)))
            return f"({left} {operator} {right})"
        return f"-({self._scalar(depth - 1)})"

    def _over_time(self, depth: int) -> str:
        if self._rng.random() < 0.12:
            phi = self._rng.choice(("0.5", "0.99", "0", "1", "-1", "2", "NaN"))
            return f"quantile_over_time({phi}, {self._range_vector(depth)})"
        if self._rng.random() < 0.1:
            return f"predict_linear({self._range_vector(depth)}, {self._scalar(depth - 1)})"
        return f"{self._rng.choice(OVER_TIME)}({self._range_vector(depth)})"

    def _rate(self, depth: int) -> str:
        names = COUNTERS if self._rng.random() < 0.8 else ()
        return f"{self._rng.choice(RATES)}({self._range_vector(depth, *names)})"

    def _elementwise(self, depth: int) -> str:
        inner = self._vector(depth - 1)
        kind = self._rng.random()
        if kind < 0.12:
            return f"round({inner}, {self._rng.choice(('0.1', '5', '0', '-1', '1e-3', 'NaN'))})"
        if kind < 0.18:
            return f"round({inner})"
        if kind < 0.3:
            name = self._rng.choice(("clamp_min", "clamp_max"))
            return f"{name}({inner}, {self._scalar(depth - 1)})"
        if kind < 0.36:
            return f"clamp({inner}, {self._scalar(depth - 1)}, {self._scalar(depth - 1)})"
        if kind < 0.5:
            return f"{self._rng.choice(DATES)}({self._rng.choice(('', inner, 'moment_seconds'))})"
        return f"{self._rng.choice(ELEMENTWISE)}({inner})"

    def _binary(self, depth: int) -> str:
        if self._rng.random() < 0.4:
            return self._matched(depth)
        kind = self._rng.random()
        operator = self._rng.choice((*ARITHMETIC, *COMPARISONS))
        if operator in COMPARISONS and self._rng.random() < 0.4:
            operator += " bool"
        left, right = self._vector(depth - 1), self._scalar(depth - 1)
        if kind < 0.3:
            left, right = right, left
        elif kind < 0.5:
            return f"{left} {self._rng.choice(SETS)} {self._vector(depth - 1)}"
        return f"{left} {operator} {right}"

    def _matched(self, depth: int) -> str:
        """Sides that can meet."""
        operator = self._rng.choice((*ARITHMETIC, *COMPARISONS))
        if operator in COMPARISONS and self._rng.random() < 0.4:
            operator += " bool"
        many = self._rng.choice(("group_left", "group_left ()", "group_left (version)"))
        pairs = (
            f"temperature {operator} threshold",
            f"temperature {operator} on (host) {many} limit",
            f"limit {operator} on (host) group_right (host) temperature",
            f"temperature {operator} ignoring (dc, version) {many} build_info",
            'temperature{host!="c"} * on (host) group_left (version) build_info{host!="c"}',
            f"limit {operator} on (host) build_info",
            f"twin_a {operator} twin_b",
            f"relay_a {operator} on () relay_b",
            f"temperature {operator} temperature offset {self._length()}",
            f"rate(latency_sum[5m]) {operator} rate(latency_count[5m])",
            f"level {operator} ignoring (n) level",
            f"temperature {operator} on (dc, host) temperature @ start()",
            f"requests_total {operator} ignoring (code) group_left "
            "sum without (code) (requests_total)",
            f"temperature {self._rng.choice(SETS)} on (host) limit > 20",
            f"temperature {self._rng.choice(SETS)} ignoring (dc) limit",
            f"flaky {self._rng.choice(SETS)} flaky {self._rng.choice(COMPARISONS)} 5",
            f"level {self._rng.choice(COMPARISONS)} level",
            f"odd {operator} odd",
        )  # fmt: skip
        found = self._rng.choice(pairs)
        return f"({found})" if depth > 1 else found

    def _aggregate(self, depth: int) -> str:
        inner = self._vector(depth - 1)
        clause = ""
        if self._rng.random() < 0.7:
            labels = ", ".join(self._rng.sample(LABELS, self._rng.randrange(4)))
            clause = f" {self._rng.choice(('by', 'by', 'without'))} ({labels})"
        kind = self._rng.random()
        if kind < 0.18:
            k = self._rng.choice(("1", "2", "5", "0", "-1", "1.9", "100"))
            return f"{self._rng.choice(('topk', 'bottomk'))}{clause} ({k}, {inner})"
        if kind < 0.28:
            phi = self._rng.choice(("0.5", "0.9", "0", "1", "1.5", "-0.5", "NaN"))
            return f"quantile{clause} ({phi}, {inner})"
        if kind < 0.36:
            label = self._rng.choice(('"value"', '"host"', '"a b"', '"__name__"'))
            return f"count_values{clause} ({label}, {inner})"
        return f"{self._rng.choice(REDUCTIONS)}{clause} ({inner})"

    def _behind_the_flag(self, depth: int) -> str:
        """What Prometheus answers only if --enable-feature names experimental functions."""
        inner, window = self._vector(depth - 1), self._range_vector(depth)
        labels = ", ".join(f'"{name}"' for name in self._rng.sample(LABELS, self._rng.randrange(4)))
        sort = self._rng.choice(("sort_by_label", "sort_by_label_desc"))
        factors = self._rng.choice(
            ("0.5, 0.1", "0.01, 0.9", "1, 0.5", "0.5, 0", "0.5, NaN", "2, 1")
        )
        clause = self._rng.choice(("", " by (host)", " without (n, le)"))
        ratio = self._rng.choice(("0.5", "-0.5", "1", "-1", "0", "1.5", "-2", "NaN", "0.1"))
        return self._rng.choice((
            f"mad_over_time({window})", f"ts_of_max_over_time({window})",
            f"ts_of_min_over_time({window})", f"ts_of_last_over_time({window})",
            f"double_exponential_smoothing({window}, {factors})",
            f"{sort}({inner}{', ' if labels else ''}{labels})",
            f"limitk{clause} ({self._rng.choice(('1', '2', '0', '-1', '9'))}, {inner})",
            f"limit_ratio{clause} ({ratio}, {inner})",
        ))  # fmt: skip

    def _histogram(self, depth: int) -> str:
        phi = self._rng.choice(("0.5", "0.99", "0", "1", "1.1", "-1", "NaN", "0.25"))
        buckets = self._rng.choice((
            "latency_bucket", "odd_bucket", "rate(latency_bucket[5m])", "rate(odd_bucket[2m])",
            "sum by (le) (rate(latency_bucket[5m]))", "sum by (le, job) (latency_bucket)",
            'odd_bucket{kind="twice"}', "temperature", "sum(latency_bucket)",
            '{__name__=~"latency_bucket|odd_bucket"}', "latency_bucket offset 5m",
        ))  # fmt: skip
        if self._rng.random() < 0.3:
            bounds = self._rng.choice(
                ("0, 0.5", "0.2, 0.7", "-Inf, Inf", "1, 0", "NaN, 1", "-3, 1")
            )
            return f"histogram_fraction({bounds}, {buckets})"
        return f"histogram_quantile({phi}, {buckets})"

    def _labels(self, depth: int) -> str:
        inner = self._vector(depth - 1)
        if self._rng.random() < 0.3:
            return f'label_join({inner}, "joined", "-", "host", "dc", "missing")'
        target = self._rng.choice(("new", "host", "__name__", "a b", "dc"))
        replacement = self._rng.choice(("$1", "x-$1", "", "${1}y", "$name", "$$", "const"))
        source = self._rng.choice(("host", "dc", "missing", "__name__", "n"))
        pattern = self._rng.choice(("(.*)", "(a|b)", "", "(?P<name>.).*", "([a-z])([a-z]*)", "z"))
        return f'label_replace({inner}, "{target}", "{replacement}", "{source}", "{pattern}")'

    def _other(self, depth: int) -> str:
        inner = self._vector(depth - 1)
        return self._rng.choice((
            f"absent({inner})", f"sort({inner})", f"sort_desc({inner})", f"timestamp({inner})",
            f"vector({self._scalar(depth - 1)})", f"absent({self._selector()})",
            f"timestamp({self._selector()})", f"sort({self._selector()})",
            f"sort_desc({self._selector()})",
            f"absent_over_time({self._rng.choice(SELECTORS)}[{self._length()}])",
        ))  # fmt: skip


_WORD = re.compile(r"([a-z_0-9]+)\s*(?=\(|by|without)|\b(and|or|unless|atan2|offset|bool)\b|(@)")
_OPERATOR = re.compile(r" ([-+*/%^]|[=!<>]=|[<>]) ")
_NOISE = {"on", "ignoring", "by", "without", "group_left", "group_right", "start", "end"}


def subjects(text: str) -> set[str]:
    """Functions, operators and modifiers in a text."""
    words = {next(filter(None, found)) for found in _WORD.findall(text)} - _NOISE
    return (
        words
        | set(_OPERATOR.findall(text))
        | ({"subquery"} if re.search(r"\[\w+:", text) else set())
    )
