"""Bytes of a body, laid out as the kernels want them.

    in   body bytes, the end mark
    out  uint8 array: the body, then PAD_BYTES end marks

Kernels read eight bytes at a time and stop at the mark, so none of them tests for the end.
Price: one copy, 0.1 ms a MB.
"""

from __future__ import annotations

import codecs

import numpy as np

from tsdb.batch import U8s
from tsdb.parse.kernels.decimal import PAD_BYTES

__all__ = ["is_utf8", "padded"]

PIECE_BYTES = 1 << 16


def padded(body: bytes, mark: int) -> U8s:
    """A writable copy of `body` followed by PAD_BYTES times `mark`."""
    data = np.empty(len(body) + PAD_BYTES, np.uint8)
    data[: len(body)] = np.frombuffer(body, np.uint8)
    data[len(body) :] = mark
    return data


def is_utf8(data: U8s) -> bool:
    """Whether the bytes are UTF-8; in pieces, as the text would take up to four times the room."""
    if not data.size or data.max() < 128:
        return True
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for at in range(0, data.size, PIECE_BYTES):
            decoder.decode(data[at : at + PIECE_BYTES].tobytes())
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True
