"""api.encode.promql_json writes numbers and times as Prometheus does; the slow twin is Python's."""

from __future__ import annotations

import json
import math
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from api.encode import promql_json
from tsdb.batch import Columns
from tsdb.index.labels import Labels
from tsdb.promql.ast import Type
from tsdb.promql.query import Answer
from tsdb.promql.rows import Rows
from tsdb.promql.values import Scalar, Text, Vector

T = 1_700_000_000_000


def text_of(answer: Answer, **more: Any) -> bytes:
    return b"".join(promql_json.stream(answer, **more))


def slow_value(value: float) -> str:
    """Go's 'f' or 'e' with the shortest digits."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    if value != 0 and not 1e-6 <= abs(value) < 1e21:
        mantissa, _, exponent = f"{Decimal(repr(value)).normalize():e}".partition("e")
        return f"{mantissa}e{exponent[0]}{exponent[1:]:0>2}"
    plain = f"{Decimal(repr(value)):f}"
    return plain.rstrip("0").removesuffix(".") if "." in plain else plain


def slow_moment(ms: int) -> str:
    sign, whole, rest = "-" if ms < 0 else "", abs(ms) // 1000, abs(ms) % 1000
    return f"{sign}{whole}.{rest:03d}" if rest else f"{sign}{whole}"


def slow(answer: Answer) -> str:
    """The matrix, point by point."""
    vector = answer.value
    assert isinstance(vector, Vector)
    found = []
    for row, labels in enumerate(vector.rows.labels()):
        points = ",".join(
            f'[{slow_moment(ms)},"{slow_value(float(vector.values[row, step]))}"]'
            for step, ms in enumerate(answer.times.tolist())
            if vector.present[row, step]
        )
        metric = json.dumps(dict(labels), separators=(",", ":"), ensure_ascii=False)
        key = f'"value":{points}' if answer.type is Type.VECTOR else f'"values":[{points}]'
        found.append(f'{{"metric":{metric},{key}}}')
    kind = answer.type.value
    return f'{{"status":"success","data":{{"resultType":"{kind}","result":[{",".join(found)}]}}}}'


def matrix(values: Any, present: Any, times: Any, type_: Type = Type.MATRIX) -> Answer:
    labels = [Labels({"__name__": "m", "row": str(i)}) for i in range(len(values))]
    vector = Vector(Rows(labels), np.array(values, np.float64), np.array(present, np.bool_))
    return Answer(type_, np.array(times, np.int64), vector, [], [])


@given(st.data())
def test_a_matrix_as_point_by_point(data: st.DataObject) -> None:
    rows, steps = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 7))
    values = data.draw(
        arrays.arrays(np.float64, (rows, steps), elements=st.floats() | st.integers(-99, 99))
    )
    present = data.draw(arrays.arrays(np.bool_, (rows, steps)))
    present[:, data.draw(st.integers(0, steps - 1))] = True
    start = data.draw(st.integers(-(2**40), 2**60))
    answer = matrix(values, present, start + 250 * np.arange(steps))

    assert text_of(answer).decode() == slow(answer)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1e21, "1e+21"), (123456789012345680000.0, "123456789012345680000"), (1e-7, "1e-07"),
        (1.5e-300, "1.5e-300"), (0.000001, "0.000001"), (-0.0, "-0"), (0.1 + 0.2,
        "0.30000000000000004"), (math.inf, "+Inf"), (-math.inf, "-Inf"), (math.nan, "NaN"),
    ],
)  # fmt: skip
def test_values_as_prometheus_prints_them(value: float, text: str) -> None:
    answer = matrix([[value]], [[True]], [4_500], Type.VECTOR)

    assert text_of(answer).decode() == slow(answer)
    assert f'"value":[4.500,"{text}"]'.encode() in text_of(answer)


@pytest.mark.parametrize(
    ("value", "text"), [(1e21, "1" + "0" * 21), (1e-7, "0.0000001"), (-0.0, "-0"), (2.0, "2")]
)
def test_a_scalar_has_no_exponent(value: float, text: str) -> None:
    answer = Answer(Type.SCALAR, np.array([4_500]), Scalar(np.array([value])), [], [])

    assert json.loads(text_of(answer))["data"] == {"resultType": "scalar", "result": [4.5, text]}
    assert b"[4.5," in text_of(answer)


def test_a_string_and_what_is_said_beside() -> None:
    answer = Answer(Type.STRING, np.array([T]), Text('a"\n'), ["w"], ["i"])

    assert json.loads(text_of(answer, beside={"stats": {"samples": {}}})) == {
        "status": "success",
        "data": {
            "resultType": "string",
            "result": [1_700_000_000, 'a"\n'],
            "stats": {"samples": {}},
        },
        "warnings": ["w"],
        "infos": ["i"],
    }


def test_points_of_a_range_selector() -> None:
    columns = Columns(np.array([0, 2, 3]), np.array([T, T + 250, T]), np.array([1.0, 0.5, 1e300]))
    rows = Rows([Labels({"a": "1"}), Labels({"a": "2"})])
    answer = Answer(Type.MATRIX, np.array([T]), (rows, columns), [], [])

    first = {"metric": {"a": "1"}, "values": [[1_700_000_000, "1"], [1_700_000_000.25, "0.5"]]}
    second = {"metric": {"a": "2"}, "values": [[1_700_000_000, "1e+300"]]}
    assert json.loads(text_of(answer))["data"]["result"] == [first, second]
    cut = json.loads(text_of(answer, limit=1))
    assert cut["data"]["result"] == [first]
    assert cut["warnings"] == ["results truncated due to limit"]


def test_a_limit_that_cuts_says_so() -> None:
    answer = matrix([[1], [2], [3]], [[True]] * 3, [T], Type.VECTOR)

    cut = json.loads(text_of(answer, limit=2))
    assert [each["metric"]["row"] for each in cut["data"]["result"]] == ["0", "1"]
    assert cut["warnings"] == ["results truncated due to limit"]
    assert "warnings" not in json.loads(text_of(answer, limit=3))


def test_pieces_end_anywhere_and_labels_may_be_long(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(5)
    answer = matrix(generator.random((40, 30)), generator.random((40, 30)) < 0.9, T + np.arange(30))
    whole = text_of(answer)

    monkeypatch.setattr(promql_json, "PIECE_BYTES", 300)
    assert text_of(answer) == whole
    wide = Vector(Rows([Labels({"a": "x" * 2000})]), np.ones((1, 1)), np.ones((1, 1), np.bool_))
    found = text_of(Answer(Type.VECTOR, np.array([T]), wide, [], []))
    assert json.loads(found)["data"]["result"][0]["metric"]["a"] == "x" * 2000
    empty = Vector.empty(3)
    assert b'"result":[]' in text_of(Answer(Type.MATRIX, T + np.arange(3), empty, [], []))


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=20))
def test_any_time_is_written(times: list[int]) -> None:
    answer = matrix([[1.0] * len(times)], [[True] * len(times)], times)
    assert text_of(answer).decode() == slow(answer)
