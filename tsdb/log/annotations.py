"""Payloads of what senders say beside points: metadata of metric families, and exemplars.

    in   FamilyMetadata, Exemplar
    out  bytes of a METADATA or EXEMPLARS entry; docs/format/annotations.md is the layout

The same two payloads make up the file that keeps them past the log (tsdb.engine.annotations).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from tsdb.batch import Exemplar, FamilyMetadata
from tsdb.errors import CorruptionError
from tsdb.index.labels import check

__all__ = ["decode_exemplars", "decode_metadata", "encode_exemplars", "encode_metadata"]

VERSION = 1
_HEADER = struct.Struct("<BI")  # version, count
_SIZE = struct.Struct("<I")
_POINT = struct.Struct("<qd")


def encode_metadata(families: Sequence[FamilyMetadata]) -> bytes:
    parts = [_HEADER.pack(VERSION, len(families))]
    for family in families:
        for text in (family.family, family.kind, family.help, family.unit):
            data = text.encode()
            parts += (_SIZE.pack(len(data)), data)
    return b"".join(parts)


def decode_metadata(payload: bytes) -> tuple[FamilyMetadata, ...]:
    """Raises CorruptionError when the payload is none that `encode_metadata` makes."""
    reader = _Reader(payload, "metadata")
    found = tuple(
        FamilyMetadata(reader.text(), reader.text(), reader.text(), reader.text())
        for _ in range(reader.count)
    )
    reader.finish()
    return found


def encode_exemplars(exemplars: Sequence[Exemplar]) -> bytes:
    parts = [_HEADER.pack(VERSION, len(exemplars))]
    for exemplar in exemplars:
        parts.append(_POINT.pack(exemplar.timestamp, exemplar.value))
        for key in (exemplar.series, exemplar.labels):
            parts += (_SIZE.pack(len(key)), key)
    return b"".join(parts)


def decode_exemplars(payload: bytes) -> tuple[Exemplar, ...]:
    """Raises CorruptionError when the payload is none that `encode_exemplars` makes."""
    reader = _Reader(payload, "exemplars")
    found = []
    for _ in range(reader.count):
        timestamp, value = _POINT.unpack(reader.take(_POINT.size))
        found.append(Exemplar(reader.key(), reader.key(), timestamp, value))
    reader.finish()
    return tuple(found)


class _Reader:
    """A payload and how far it has been read."""

    def __init__(self, payload: bytes, what: str) -> None:
        self._payload, self._what, self._at = payload, what, 0
        version, self.count = _HEADER.unpack(self.take(_HEADER.size))
        if version != VERSION:
            raise self._damage(f"version {version}")

    def take(self, size: int) -> bytes:
        end = self._at + size
        if end > len(self._payload):
            raise self._damage("cut off")
        data = self._payload[self._at : end]
        self._at = end
        return data

    def text(self) -> str:
        data = self._sized()
        try:
            return data.decode()
        except UnicodeDecodeError as error:
            raise self._damage(str(error)) from error

    def key(self) -> bytes:
        """Canonical label bytes; an exemplar may have no labels of its own."""
        data = self._sized()
        if data:
            check(data)
        return data

    def finish(self) -> None:
        if self._at != len(self._payload):
            raise self._damage(f"{len(self._payload) - self._at} bytes left over")

    def _sized(self) -> bytes:
        (size,) = _SIZE.unpack(self.take(_SIZE.size))
        return self.take(size)

    def _damage(self, reason: str) -> CorruptionError:
        return CorruptionError(None, self._at, f"{self._what} entry: {reason}")
