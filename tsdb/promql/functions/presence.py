"""absent: a row where nothing is found, called after what was looked for.

in   a Vector
out  one row or none
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from tsdb.promql.ast import Call
from tsdb.promql.functions.over_time import labels_of_absence
from tsdb.promql.rows import Rows
from tsdb.promql.values import Grid, Vector

if TYPE_CHECKING:
    from tsdb.promql.evaluate import Evaluation, Handler

__all__ = ["FAMILY"]


def _absent(evaluation: Evaluation, call: Call, grid: Grid) -> Vector:
    vector = evaluation.vector(call.arguments[0], grid)
    missing = ~vector.present.any(axis=0).reshape(1, -1)
    rows = Rows([labels_of_absence(call.arguments[0])])
    return Vector(rows, np.ones(missing.shape), missing).pruned()


FAMILY: Mapping[str, Handler] = {
    "absent": _absent,
}
