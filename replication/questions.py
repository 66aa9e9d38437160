"""What a node asks another about shards that it does not keep, and what it hears.

    in   Question, Found
    out  bytes of a request and of its answer; and back, or CorruptionError

Points travel as they lie in a log (tsdb/log/points.py): compressed, under numbers that the answer
itself defines. An error travels as one, so that a limit reads the same wherever it was met.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

import numpy as np
import orjson

from tsdb import overlay
from tsdb.batch import Batch, Columns, Exemplar, FamilyMetadata, SeriesDefinitions
from tsdb.codec.resolution import Resolution
from tsdb.errors import CorruptionError, InvalidInput, LimitExceeded, TSDBError, Unavailable
from tsdb.index.matchers import Matcher, Op
from tsdb.log.annotations import (
    decode_exemplars,
    decode_metadata,
    encode_exemplars,
    encode_metadata,
)
from tsdb.log.points import decode_points, encode_points

__all__ = ["NOT_HERE", "Found", "Question", "What", "encoded_error", "series_of"]

NOT_HERE = "not_here"  # code of Unavailable: another node keeps the shard
INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1
_HEAD = struct.Struct("<I")


class What(StrEnum):
    SELECT = "select"  # series with points
    FIND = "find"  # series
    PRESENT = "present"  # series that may have points in the range
    COUNTS = "counts"  # the same, and how many points at most
    NAMES = "names"  # of labels
    VALUES = "values"  # of one label
    SPAN = "span"  # first and last tick
    METADATA = "metadata"
    EXEMPLARS = "exemplars"
    DIGEST = "digest"  # of all points in the range, and how many
    TOUCHED = "touched"  # series that deletes hit, by the positions they were acked with


@dataclass(frozen=True, slots=True)
class Question:
    """`after` are (shard, position) that must have been applied where it is answered."""

    what: What
    shards: tuple[int, ...] = ()
    after: tuple[tuple[int, int], ...] = ()
    matchers: tuple[Matcher, ...] = ()
    start: int = INT64_MIN
    end: int = INT64_MAX
    points_max: int = 0
    label: str = ""
    keys: tuple[bytes, ...] = ()  # canonical; where there are any, of these series alone

    def of(self, shards: Sequence[int]) -> Question:
        """The same about some shards."""
        wanted = set(shards)
        after = tuple((shard, seq) for shard, seq in self.after if shard in wanted)
        return replace(self, shards=tuple(sorted(wanted)), after=after)

    def encoded(self) -> bytes:
        head = {
            "what": self.what,
            "shards": self.shards,
            "after": self.after,
            "matchers": [(each.name, each.op.value, each.value) for each in self.matchers],
            "start": self.start,
            "end": self.end,
            "points_max": self.points_max,
            "label": self.label,
            "keys": [len(key) for key in self.keys],
        }
        return _framed(head, *self.keys)

    @classmethod
    def decoded(cls, data: bytes) -> Question:
        """Raises CorruptionError for bytes that are no question."""
        head, rest = _unframed(data)
        try:
            sizes = [int(size) for size in head["keys"]]
            return cls(
                What(head["what"]),
                tuple(int(shard) for shard in head["shards"]),
                tuple((int(shard), int(seq)) for shard, seq in head["after"]),
                tuple(Matcher(str(n), Op(op), str(v)) for n, op, v in head["matchers"]),
                int(head["start"]),
                int(head["end"]),
                int(head["points_max"]),
                str(head["label"]),
                tuple(_pieces(rest, sizes)),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise CorruptionError(None, 0, f"no question between nodes: {error}") from error


@dataclass(frozen=True, slots=True)
class Found:
    """What some shards answer; of which fields, `What` says. Run i belongs to series i."""

    series: SeriesDefinitions = field(default_factory=SeriesDefinitions.none)
    columns: Columns = field(default_factory=lambda: overlay.empty(0))
    counts: tuple[int, ...] = ()
    texts: tuple[str, ...] = ()
    span: tuple[int, int] | None = None
    families: tuple[FamilyMetadata, ...] = ()
    exemplars: tuple[Exemplar, ...] = ()
    warnings: tuple[str, ...] = ()

    def encoded(self, resolution: Resolution) -> bytes:
        refs = self.series.refs[: self.columns.runs]
        pieces = (
            encode_points(Batch(refs, self.columns, self.series), resolution),
            encode_metadata(self.families),
            encode_exemplars(self.exemplars),
        )
        head = {
            "counts": self.counts,
            "texts": self.texts,
            "span": self.span,
            "warnings": self.warnings,
            "sizes": [len(piece) for piece in pieces],
        }
        return _framed(head, *pieces)

    @classmethod
    def decoded(cls, data: bytes) -> Found:
        """Raises CorruptionError for other bytes, and whatever error the answer is."""
        head, rest = _unframed(data)
        if "error" in head:
            raise _error(head["error"])
        try:
            points, families, exemplars = _pieces(rest, [int(size) for size in head["sizes"]])
            batch = decode_points(points)
            return cls(
                batch.definitions,
                batch.columns,
                tuple(int(count) for count in head["counts"]),
                tuple(str(text) for text in head["texts"]),
                None if head["span"] is None else (int(head["span"][0]), int(head["span"][1])),
                decode_metadata(families),
                decode_exemplars(exemplars),
                tuple(str(text) for text in head["warnings"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise CorruptionError(None, 0, f"no answer of a node: {error}") from error


def encoded_error(error: TSDBError) -> bytes:
    """An answer that says why there is none."""
    told: dict[str, Any] = {"kind": "unavailable", "text": str(error), "code": NOT_HERE}
    if isinstance(error, LimitExceeded):
        text = str(error).removesuffix(f" (limit {error.limit} = {error.value:,})")
        told |= {"kind": "limit", "text": text, "limit": error.limit, "value": error.value}
    elif isinstance(error, InvalidInput):
        told["kind"] = "input"
    else:
        told["code"] = error.code if isinstance(error, Unavailable) else "damaged"
    return _framed({"error": told})


def _error(told: dict[str, Any]) -> TSDBError:
    text = str(told["text"])
    if told["kind"] == "limit":
        return LimitExceeded(text, limit=str(told["limit"]), value=told["value"])
    if told["kind"] == "input":
        return InvalidInput(text)
    return Unavailable(text, code=str(told["code"]))


def series_of(keys: Sequence[bytes]) -> SeriesDefinitions:
    """Series numbered as they come."""
    offsets = np.zeros(len(keys) + 1, np.int64)
    np.cumsum([len(key) for key in keys], out=offsets[1:])
    return SeriesDefinitions(np.arange(len(keys), dtype=np.uint32), offsets, b"".join(keys))


def _framed(head: dict[str, Any], *rest: bytes) -> bytes:
    text = orjson.dumps(head)
    return b"".join((_HEAD.pack(len(text)), text, *rest))


def _unframed(data: bytes) -> tuple[dict[str, Any], bytes]:
    try:
        end = _HEAD.size + _HEAD.unpack_from(data)[0]
        head = orjson.loads(data[_HEAD.size : end])
    except (struct.error, orjson.JSONDecodeError) as error:
        raise CorruptionError(None, 0, f"{len(data)} bytes between nodes: {error}") from error
    if not isinstance(head, dict):
        raise CorruptionError(None, 0, "no document between nodes")
    return head, data[end:]


def _pieces(data: bytes, sizes: Sequence[int]) -> list[bytes]:
    if sum(sizes) != len(data) or any(size < 0 for size in sizes):
        raise CorruptionError(None, 0, f"{len(data)} bytes where {sum(sizes)} should be")
    found, at = [], 0
    for size in sizes:
        found.append(data[at : at + size])
        at += size
    return found
