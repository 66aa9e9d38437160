"""Canonical keys of the label sets that remote_write bodies name by number.

    in   numbers of label sets; what they stand for (tsdb.parse.remote_names)
    out  canonical label bytes; InvalidInput names the series that has none

RangeKeys is for 1.0: a label set is a range of Label messages. ListKeys is for 2.0: it is a list
of symbols, each by number (u32). Both stay good when names grow or are forgotten.

Price: 0.2 µs a series by `canonical_many`, 20 µs by `canonical`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tsdb import limits
from tsdb.batch import I64s, U8s, U32s
from tsdb.errors import InvalidInput, LimitExceeded
from tsdb.index import labels
from tsdb.index.quoting import shown
from tsdb.parse import protobuf
from tsdb.parse.kernels import remote_write_keys as kernels
from tsdb.parse.remote_names import Arrays, Names

__all__ = ["ListKeys", "RangeKeys"]

Pairs = list[tuple[bytes, bytes]]
LABELS = 1  # its number in TimeSeries and in Exemplar
KEY_BYTES = 256  # a guess at what a key takes


class _Keys:
    """Of the runs of one body."""

    def __init__(self, names: Names, numbers: U32s) -> None:
        self._names: Arrays = names.arrays
        self._numbers = numbers

    def pairs_of(self, number: int) -> Pairs:
        raise NotImplementedError

    def canonical(self, raw: bytes) -> bytes:
        """Canonical label bytes of a key: a number in four bytes."""
        return self.canonical_of(int.from_bytes(raw, "little"))

    def canonical_of(self, number: int) -> bytes:
        pairs = self.pairs_of(number)
        try:
            return labels.canonical_pairs(pairs)
        except LimitExceeded:
            raise
        except InvalidInput as error:
            raise InvalidInput(f"series {_told(pairs)}: {error}") from error

    def named(self, number: int) -> str:
        """What to call a series in a sentence."""
        try:
            return str(labels.parse(self.canonical_of(number)))
        except InvalidInput:
            return "a series that cannot be"

    def text(self, names: Arrays, number: int) -> bytes:
        _, at, _, text, _ = names
        return text[int(at[number]) : int(at[number + 1])].tobytes()

    def _many(self, indices: I64s, read: Callable[[I64s, U8s, I64s], int]) -> tuple[U8s, I64s]:
        offsets: I64s = np.empty(indices.size + 1, np.int64)
        out: U8s = np.empty(indices.size * KEY_BYTES + limits.SERIES_KEY_BYTES_MAX, np.uint8)
        while read(np.ascontiguousarray(indices, np.int64), out, offsets) == kernels.NO_ROOM:
            out = np.empty(out.size * 2, np.uint8)
        return out[: int(offsets[-1])], offsets


class RangeKeys(_Keys):
    """1.0's."""

    def pairs_of(self, number: int) -> Pairs:
        return label_pairs(self.text(self._names, number))

    def canonical_many(self, runs: I64s) -> tuple[U8s, I64s]:
        return self._many(runs, self._read)

    def _read(self, runs: I64s, out: U8s, offsets: I64s) -> int:
        found: int = kernels.of_ranges(runs, self._numbers, self._names, _bounds(), out, offsets)
        return found


class ListKeys(_Keys):
    """2.0's."""

    def __init__(self, names: Names, numbers: U32s, symbols: Names) -> None:
        super().__init__(names, numbers)
        self._symbols = symbols.arrays

    def symbol(self, number: int) -> bytes:
        return self.text(self._symbols, number)

    def pairs_of(self, number: int) -> Pairs:
        numbers = np.frombuffer(self.text(self._names, number), np.uint32).tolist()
        symbols = [self.symbol(one) for one in numbers]
        return list(zip(symbols[::2], symbols[1::2], strict=True))

    def canonical_many(self, runs: I64s) -> tuple[U8s, I64s]:
        return self._many(runs, self._read)

    def _read(self, runs: I64s, out: U8s, offsets: I64s) -> int:
        found: int = kernels.of_symbols(
            runs, self._numbers, self._names, self._symbols, _bounds(), out, offsets
        )
        return found


def label_pairs(messages: bytes) -> Pairs:
    """Names and values of the Label messages among the fields; other types are unknown fields."""
    pairs: Pairs = []
    for field, _, label in protobuf.fields(messages):
        if field != LABELS or not isinstance(label, bytes):
            continue
        texts = {1: b"", 2: b""}
        for part, _, text in protobuf.fields(label):
            if part in texts and isinstance(text, bytes):
                texts[part] = text
        pairs.append((texts[1], texts[2]))
    return pairs


def _bounds() -> I64s:
    bounds = np.zeros(kernels.BOUNDS, np.int64)
    bounds[kernels.LABELS_MAX] = limits.LABELS_PER_SERIES_MAX
    bounds[kernels.NAME_BYTES_MAX] = limits.LABEL_NAME_BYTES_MAX
    bounds[kernels.VALUE_BYTES_MAX] = limits.LABEL_VALUE_BYTES_MAX
    bounds[kernels.KEY_BYTES_MAX] = limits.SERIES_KEY_BYTES_MAX
    return bounds


def _told(pairs: Pairs) -> str:
    """The labels as they came, cut where they are many."""
    texts = [
        f"{shown(n.decode(errors='replace'))}={shown(v.decode(errors='replace'))}"
        for n, v in pairs[:8]
    ]
    return "{" + ", ".join(texts) + (", ..." if len(pairs) > 8 else "") + "}"
