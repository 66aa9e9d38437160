"""Points that a parser reads one by one in Python, as columns.

    in   name, labels, ticks, value of each
    out  Parsed: a run a point; key bytes are name and labels with NUL between them

For protocols whose senders are slow: about 1 µs a point here, the parsers beside take 3 to 10.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain

import numpy as np

from tsdb import limits
from tsdb.batch import Columns, Parsed
from tsdb.errors import InvalidInput, LimitExceeded
from tsdb.index import labels
from tsdb.index.quoting import shown
from tsdb.parse.refused import Refused

__all__ = ["ListedPoints", "canonical"]

NUL = b"\0"
NAME = labels.METRIC_NAME.encode()


class ListedPoints:
    """`refused` takes what is wrong, `dropped` counts points without a value."""

    def __init__(self) -> None:
        self.refused = Refused()
        self.dropped = 0
        self._keys: list[bytes] = []
        self._stamps: list[int] = []
        self._values: list[float] = []

    def __len__(self) -> int:
        return len(self._keys)

    def append(
        self, name: str, pairs: Iterable[tuple[str, str]], ticks: int, value: float
    ) -> bytes:
        """Add a point; the key it got. InvalidInput for text that no label can hold."""
        text = "\0".join((name, *chain.from_iterable(pairs)))
        try:
            key = text.encode()
        except UnicodeEncodeError as error:
            raise InvalidInput(f"{shown(name)}: a label holds half of a surrogate pair") from error
        if len(self._keys) >= limits.POINTS_PER_REQUEST_MAX:
            raise LimitExceeded(
                "more points than one request may hold",
                limit="POINTS_PER_REQUEST_MAX",
                value=limits.POINTS_PER_REQUEST_MAX,
            )
        self._keys.append(key)
        self._stamps.append(ticks)
        self._values.append(value)
        return key

    def parsed(self, form: str) -> Parsed:
        # A body of nothing but missing values says nothing wrong.
        dropped = self.dropped if self._keys or self.refused.count else 0
        offsets = np.zeros(len(self._keys) + 1, np.int64)
        np.cumsum([len(key) for key in self._keys], out=offsets[1:])
        columns = Columns(
            np.arange(len(self._keys) + 1, dtype=np.int64),
            np.array(self._stamps, np.int64),
            np.array(self._values, np.float64),
        )
        return Parsed(
            form,
            np.frombuffer(b"".join(self._keys), np.uint8),
            offsets[:-1],
            offsets[1:],
            columns,
            canonical,
            self.refused.told(),
            self.refused.more + dropped,
        )


def canonical(raw: bytes) -> bytes:
    """Canonical label bytes of a name and labels with NUL between them."""
    name, *rest = raw.split(NUL)
    if len(rest) % 2:
        raise InvalidInput("a name or label holds the character NUL")
    if not name:
        raise InvalidInput("the name is empty")
    return labels.canonical_pairs([(NAME, name), *zip(rest[::2], rest[1::2], strict=True)])
