"""Where the bits go: which codes the chunks of given points are made of.

    in   Columns, and the resolution they would be encoded with
    out  per run and code, how often it is used and the bits it takes

So that a block can say how well it compressed, and why: jitter shows as timestamps in the codes
10 and 110, decimals as values that open a new window each. Nothing is encoded; the sum over the
codes is the size of the chunks to the bit (tests/tsdb/codec/test_accounting.py).

`alp_bits_per_value` counts values as the ALP paper does (Afroozeh et al., SIGMOD 2024;
`publication/compression_ratio_result` of its repository), so that our figures stand beside that
paper's table: vectors of 1024, two flag bits for every value but the first, data padded to 64
bits, flags to 8, and 48 bits of header a vector.

Price: about two encodings of the points (10 to 13 ns each), and 208 bytes a run.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tsdb.batch import Columns, F64s, I64s
from tsdb.codec import kernels
from tsdb.codec.reference import Code
from tsdb.codec.resolution import Resolution

__all__ = ["ALP_VECTOR_POINTS", "Accounting", "Code", "account", "alp_bits_per_value"]

ALP_VECTOR_POINTS = 1024
_TIMESTAMP_CODES = slice(Code.FIRST_TIMESTAMP, Code.DOD_ESCAPE + 1)
_VALUE_CODES = slice(Code.FIRST_VALUE, Code.XOR_11 + 1)


@dataclass(frozen=True, slots=True)
class Accounting:
    """`counts[run, code]` uses of a code, and the `bits` they take, prefix included."""

    counts: npt.NDArray[np.int64]
    bits: npt.NDArray[np.int64]

    def __post_init__(self) -> None:
        assert self.counts.shape == self.bits.shape
        assert self.counts.shape[1] == len(Code)

    @property
    def points(self) -> int:
        return int(self.counts[:, _TIMESTAMP_CODES].sum())

    @property
    def encoded_bytes(self) -> int:
        """Bytes of all chunks, padding included."""
        return int(self.bits.sum()) // 8

    @property
    def bits_per_timestamp(self) -> float:
        return int(self.bits[:, _TIMESTAMP_CODES].sum()) / max(self.points, 1)

    @property
    def bits_per_value(self) -> float:
        return int(self.bits[:, _VALUE_CODES].sum()) / max(self.points, 1)

    def by_code(self) -> dict[Code, tuple[int, int]]:
        """(uses, bits) of each code over all runs."""
        counts: I64s = self.counts.sum(axis=0)
        bits: I64s = self.bits.sum(axis=0)
        return {code: (int(counts[code]), int(bits[code])) for code in Code}


def account(columns: Columns, resolution: Resolution) -> Accounting:
    """What `gorilla.encode_runs` would write for `columns`, counted."""
    shape = columns.runs, len(Code)
    counts, bits = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    kernels.account_runs(
        columns.offsets,
        columns.timestamps.view(np.uint64),
        columns.values.view(np.uint64),
        resolution.packed_widths,
        counts,
        bits,
    )
    return Accounting(counts, bits)


def alp_bits_per_value(values: F64s) -> float:
    """Bits a value with the rules of the ALP paper; a last incomplete vector counts as one."""
    assert values.size
    offsets = np.append(np.arange(0, values.size, ALP_VECTOR_POINTS), values.size)
    columns = Columns(offsets, np.zeros(values.size, np.int64), values)
    accounting = account(columns, Resolution.MS)
    changes = accounting.counts[:, Code.XOR_10] + accounting.counts[:, Code.XOR_11]
    # Our prefixes of one and two bits are what the paper keeps apart as flags.
    data = accounting.bits[:, Code.FIRST_VALUE].copy()
    data += accounting.bits[:, Code.XOR_10] + accounting.bits[:, Code.XOR_11] - 2 * changes
    flags = 2 * (np.diff(offsets) - 1)
    padded = (data + 63) // 64 * 64 + (flags + 7) // 8 * 8 + 48
    return int(padded.sum()) / values.size
