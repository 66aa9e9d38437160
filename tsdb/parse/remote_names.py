"""What remote_write senders name their series by, remembered from body to body.

    in   arrays as `tsdb.parse.kernels.remote_write_names` fills them
    out  numbers of label sets; a form under which the gate may keep them

A number means the same only as long as nothing was forgotten: then the form changes, and numbers
start again. Forms are unique in a process, so several databases never mix theirs up. Bounded: past
REMOTE_NAMES_BYTES_MAX everything is forgotten at once, which costs each series one trip through
`canonical_many`.

One body at a time (`lock`). Price: 20 bytes a name and its text.
"""

from __future__ import annotations

import itertools
import threading
from typing import TypeAlias

import numpy as np

from tsdb import limits
from tsdb.batch import I64s, U8s, U32s, U64s
from tsdb.index.tables import grown, random_seeds, rehashed
from tsdb.parse.body_buffers import BodyBuffers
from tsdb.parse.kernels.protobuf import PAD_BYTES
from tsdb.parse.kernels.remote_write_names import TEXT_BYTES, TEXTS

__all__ = ["Arrays", "KnownNames", "Names"]

SLOTS_MIN = 1 << 10
RETELL_BODIES = 256
"""After so many, metadata counts as news again: the request that had it may have failed."""
Arrays: TypeAlias = tuple[U64s, U64s, U32s, U8s, I64s]

_generations = itertools.count(1)


class Names:
    """Texts by number. `arrays` held by someone stay valid: growing copies."""

    def __init__(self) -> None:
        self._counts: I64s = np.zeros(2, np.int64)
        self._slots: U64s = np.zeros(SLOTS_MIN, np.uint64)
        self._at: U64s = np.zeros(SLOTS_MIN, np.uint64)
        self._following: U32s = np.zeros(SLOTS_MIN, np.uint32)
        self._text: U8s = np.zeros(SLOTS_MIN, np.uint8)

    @property
    def arrays(self) -> Arrays:
        return self._slots, self._at, self._following, self._text, self._counts

    @property
    def count(self) -> int:
        return int(self._counts[TEXTS])

    @property
    def memory_bytes(self) -> int:
        return self._slots.nbytes + self.count * 12 + int(self._counts[TEXT_BYTES])

    def grow(self, text_bytes: int) -> None:
        """Room for as many names again and for `text_bytes` of text."""
        count, used = self._counts.tolist()
        if (count + 2) * 2 > self._at.size:
            self._at = grown(self._at, count + 1, self._at.size * 2)
            self._following = grown(self._following, count, self._at.size)
        self._slots = rehashed(self._slots, self._at.size)
        self._text = grown(self._text, used, used + text_bytes + PAD_BYTES)

    def text(self, number: int) -> bytes:
        return self._text[int(self._at[number]) : int(self._at[number + 1])].tobytes()


class KnownNames:
    """All names of one database's senders."""

    def __init__(self, *, bytes_max: int = limits.REMOTE_NAMES_BYTES_MAX) -> None:
        self.lock = threading.Lock()
        self.seeds = random_seeds()
        self.buffers = BodyBuffers()
        self.columns: object = None  # the parser's own, kept for the next body
        self._bytes_max = bytes_max
        self._bodies = 0
        self._said: U64s = np.zeros(0, np.uint64)
        self._forget()

    @property
    def memory_bytes(self) -> int:
        return sum(names.memory_bytes for names in (self.ranges, self.symbols, self.lists))

    def begin(self) -> None:
        """Before a body is read."""
        if self.memory_bytes > self._bytes_max:
            self._forget()
        self._bodies += 1
        if self._bodies % RETELL_BODIES == 0:
            self._said[:] = 0

    def said(self) -> U64s:
        """Room for what is said of each symbol that is a name (2.0's metadata)."""
        self._said = grown(self._said, self._said.size, self.symbols.count)
        return self._said

    def _forget(self) -> None:
        generation = next(_generations)
        self.range_form = f"remote_write.{generation}"
        self.list_form = f"remote_write_2.{generation}"
        self.ranges = Names()  # 1.0: labels of a series, as they stand in the body
        self.symbols = Names()  # 2.0: symbols
        self._said = np.zeros(SLOTS_MIN, np.uint64)
        self.lists = Names()  # 2.0: labels of a series, as numbers of symbols
