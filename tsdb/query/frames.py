"""Selections as data frames and Arrow, through the user's own packages.

    in   Selection
    out  pandas.DataFrame, polars.DataFrame, Arrow C stream capsule

Long form: `timestamp` (UTC), `value`, then one dictionary-encoded text column a label name. Points
are handed over without a copy where the other side can take them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from tsdb.promql.matrix import Matrix
    from tsdb.query.selection import Selection


def _extra(module: str, extra: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(
            f"this needs {module.partition('.')[0]}: pip install 'silverback-tsdb[{extra}]'"
        ) from error


def _label_codes(selection: Selection) -> dict[str, tuple[list[str], np.ndarray[Any, Any]]]:
    """For each label name its distinct values and, a series, the index of its value (or -1)."""
    every = selection.labels()
    names = sorted({name for labels in every for name in labels})
    codes: dict[str, tuple[list[str], np.ndarray[Any, Any]]] = {}
    for name in names:
        values = sorted({labels[name] for labels in every if name in labels})
        at = {value: i for i, value in enumerate(values)}
        codes[name] = (values, np.array([at.get(x.get(name, ""), -1) for x in every], np.int32))
    return codes


def _ticks_unit(selection: Selection) -> str:
    return selection.resolution.name.lower()


def to_pandas(selection: Selection) -> Any:
    pandas = _extra("pandas", "pandas")
    columns = selection.columns()
    counts = np.diff(columns.offsets)
    stamps = columns.timestamps.view(f"datetime64[{_ticks_unit(selection)}]")
    data = {
        "timestamp": pandas.DatetimeIndex(stamps).tz_localize("UTC"),
        "value": columns.values,
    }
    for name, (values, codes) in _label_codes(selection).items():
        data[name] = pandas.Categorical.from_codes(np.repeat(codes, counts), values)
    return pandas.DataFrame(data)


def wide(matrix: Matrix) -> Any:
    """A row a time, a column a series."""
    pandas = _extra("pandas", "pandas")
    unit = matrix.resolution.name.lower()
    times = pandas.DatetimeIndex(matrix.timestamps.view(f"datetime64[{unit}]")).tz_localize("UTC")
    return pandas.DataFrame(matrix.values.T, times, [str(labels) for labels in matrix.labels])


def to_polars(selection: Selection) -> Any:
    return _extra("polars", "polars").DataFrame(_arrow_table(selection))


def _arrow_table(selection: Selection) -> Any:
    arro3 = _extra("arro3.core", "arrow")
    columns = selection.columns()
    counts = np.diff(columns.offsets)
    unit = _ticks_unit(selection)
    stamps = arro3.Array.from_numpy(columns.timestamps).cast(
        arro3.DataType.timestamp(unit, tz="UTC")
    )
    arrays: dict[str, Any] = {
        "timestamp": stamps,
        "value": arro3.Array.from_numpy(columns.values),
    }
    text = arro3.DataType.string()
    for name, (values, codes) in _label_codes(selection).items():
        distinct = arro3.Array([*values, None], text)
        arrays[name] = distinct.take(_indexes(arro3, codes, counts, len(values)))
    return arro3.Table.from_pydict(arrays)


def _indexes(arro3: Any, codes: np.ndarray[Any, Any], counts: Any, absent: int) -> Any:
    per_point = np.repeat(np.where(codes < 0, absent, codes).astype(np.uint32), counts)
    return arro3.Array.from_numpy(per_point)


def arrow_stream(selection: Selection, requested_schema: object | None) -> object:
    stream: object = _arrow_table(selection).__arrow_c_stream__(requested_schema)
    return stream
