"""Selections to encode."""

import numpy as np
import pytest

from tsdb.batch import Columns
from tsdb.codec.resolution import Resolution
from tsdb.index.labels import Labels
from tsdb.query.selection import Selection


@pytest.fixture
def select():
    """A selection of {label set: [(tick, value), ...]}."""

    def made(series, resolution=Resolution.MS):
        labels = [Labels(pairs) for pairs, _ in series]
        points = [p for _, points in series for p in points]
        columns = Columns(
            np.cumsum([0, *(len(points) for _, points in series)]),
            np.array([t for t, _ in points], np.int64),
            np.array([v for _, v in points], np.float64),
        )
        refs = np.arange(len(series), dtype=np.uint32)
        return Selection(refs, columns, labels_of=lambda ref: labels[ref], resolution=resolution)

    return made
