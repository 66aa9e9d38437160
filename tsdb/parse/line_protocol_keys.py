"""Series as line protocol names them: from head and tail to canonical label bytes.

    in   ranges of a body: measurement and tags, field name; how they become a series (`Naming`)
    out  canonical keys, one (`canonical`) or many (`canonical_many`) at a time

A series is called measurement, separator, field; tags are labels, and the database or bucket is
one more, unless a tag has its name. A refusal names the first line of the body that has the head.

Price: 0.25 µs a series by `canonical_many`, 20 µs by `canonical`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from tsdb import limits
from tsdb.batch import TAIL_MARK, I64s, U8s
from tsdb.errors import InvalidInput
from tsdb.index import labels
from tsdb.parse.kernels import line_protocol_keys as kernels
from tsdb.parse.kernels import remote_write_keys as bounds
from tsdb.parse.kernels.decimal import PAD_BYTES

__all__ = ["Keys", "Naming", "Ranges", "canonical"]

BARE_FIELD = b"value"
KEY_BYTES = 256  # room to begin with
LINES_NAMED_MAX = 100
NEWLINE = 10
_PART = re.compile(rb"(?:[^,\\]|\\[,= \\]|\\)++", re.S)
_TAG = re.compile(rb"((?:[^=\\]|\\[,= \\]|\\)++)=(.*)", re.S)
_UNESCAPED = re.compile(rb"\\([,= \\])")


@dataclass(frozen=True, slots=True)
class Naming:
    """How measurement, field and database become a series."""

    database: str = ""  # value of the label; none if empty
    label: str = "db"  # its name; none if empty. A tag of that name wins
    separator: str = "_"
    bare_value: bool = False  # a field called `value` adds nothing to the name

    @property
    def form(self) -> str:
        """Tells apart what the same bytes stand for."""
        return f"influx {self.bare_value:d}{self.separator} {self.label}={self.database}"

    def constants(self) -> tuple[bytes, ...]:
        """In the order of the kernel's places."""
        texts = (labels.METRIC_NAME, self.label, self.database, self.separator)
        return (*(text.encode() for text in texts), BARE_FIELD if self.bare_value else b"")


@dataclass(frozen=True, slots=True)
class Ranges:
    """Where heads and tails of all runs are in `text`."""

    text: U8s
    heads: I64s
    head_ends: I64s
    tails: I64s
    tail_ends: I64s


def canonical(raw: bytes, naming: Naming) -> bytes:
    """Canonical label bytes of head, TAIL_MARK, tail."""
    head, _, tail = raw.rpartition(TAIL_MARK)
    parts = [part[0] for part in _PART.finditer(head)]
    field = unescaped(tail)
    pairs = []
    for tag in parts[1:]:
        found = _TAG.fullmatch(tag)
        assert found is not None, tag
        pairs.append((unescaped(found[1]), unescaped(found[2])))
    label, database = naming.label.encode(), naming.database.encode()
    if label and database and all(name != label for name, _ in pairs):
        pairs.append((label, database))
    name = unescaped(parts[0])
    if not (naming.bare_value and field == BARE_FIELD):
        name += naming.separator.encode() + field
    return labels.canonical_pairs([(labels.METRIC_NAME.encode(), name), *pairs])


def unescaped(text: bytes) -> bytes:
    return _UNESCAPED.sub(rb"\1", text) if b"\\" in text else text


class Keys:
    """The series of one body."""

    def __init__(self, ranges: Ranges, naming: Naming, constants_at: int) -> None:
        self._ranges, self._naming = ranges, naming
        self._named = 0
        sizes = [len(text) for text in naming.constants()]
        ends = constants_at + np.cumsum(sizes)
        self._constants = np.stack((ends - sizes, np.array(sizes)), axis=1).ravel().astype(np.int64)

    def canonical(self, raw: bytes) -> bytes:
        """One of them; InvalidInput names the line."""
        try:
            return canonical(raw, self._naming)
        except InvalidInput as error:
            line = self._line_of(raw)
            if line:
                error.args = (f"line {line}: {error}",)
            raise

    def canonical_many(self, runs: I64s) -> tuple[U8s, I64s]:
        """Keys of some runs, back to back; empty where `canonical` must look."""
        offsets: I64s = np.empty(runs.size + 1, np.int64)
        out: U8s = np.empty(runs.size * KEY_BYTES + limits.SERIES_KEY_BYTES_MAX, np.uint8)
        limit = np.zeros(bounds.BOUNDS, np.int64)
        limit[bounds.LABELS_MAX] = limits.LABELS_PER_SERIES_MAX
        limit[bounds.NAME_BYTES_MAX] = limits.LABEL_NAME_BYTES_MAX
        limit[bounds.VALUE_BYTES_MAX] = limits.LABEL_VALUE_BYTES_MAX
        limit[bounds.KEY_BYTES_MAX] = limits.SERIES_KEY_BYTES_MAX
        parts = np.empty((kernels.PARTS, limits.LABELS_PER_SERIES_MAX + 2), np.int64)
        ranges = self._ranges
        arguments = (
            np.ascontiguousarray(runs, np.int64),
            ranges.text,
            ranges.heads,
            ranges.head_ends,
            ranges.tails,
            ranges.tail_ends,
            self._constants,
            limit,
            parts,
        )
        while kernels.canonical_many(*arguments, out, offsets) == kernels.NO_ROOM:
            out = np.empty(out.size * 2, np.uint8)
        return out[: int(offsets[-1])], offsets

    def _line_of(self, raw: bytes) -> int:
        """The first line with this head; 0 when that costs too much to tell."""
        self._named += 1
        if self._named > LINES_NAMED_MAX:
            return 0
        head = raw.rpartition(TAIL_MARK)[0]
        ranges = self._ranges
        sized = np.flatnonzero(ranges.head_ends - ranges.heads == len(head))
        wanted = np.frombuffer(head, np.uint8)
        for run in sized.tolist():
            start = int(ranges.heads[run])
            if np.array_equal(ranges.text[start : start + len(head)], wanted):
                return 1 + int(np.count_nonzero(ranges.text[:start] == NEWLINE))
        return 0


def with_constants(body: bytes, naming: Naming) -> tuple[U8s, int]:
    """The body, PAD_BYTES newlines, the naming's texts, PAD_BYTES more; where those texts are."""
    pad = b"\n" * PAD_BYTES
    data = np.frombuffer(b"".join((body, pad, *naming.constants(), pad)), np.uint8)
    return data, len(body) + PAD_BYTES
