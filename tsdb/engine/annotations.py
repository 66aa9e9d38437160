"""What senders say beside points: what a metric family is, and exemplars.

    in   METADATA and EXEMPLARS entries, in log order
    out  the latest metadata of each family; the last EXEMPLARS_MAX exemplars

Both live in memory. The log trims what blocks hold, so a flush writes them whole to a file
(docs/format/annotations.md) and the manifest names it; replay passes over entries that the file
has already. An exemplar not younger than the last one of its series is passed over, as Prometheus
does: senders repeat them with every scrape.

One thread applies, under the engine's lock; readers copy under it.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import xxhash

from tsdb import limits
from tsdb.batch import Exemplar, FamilyMetadata
from tsdb.block.manifest import ANNOTATIONS
from tsdb.errors import CorruptionError, NewerFormat
from tsdb.log.annotations import (
    decode_exemplars,
    decode_metadata,
    encode_exemplars,
    encode_metadata,
)
from tsdb.vfs import Files, write_whole

__all__ = ["Annotations", "Announced", "read_annotations", "write_annotations"]

MAGIC = b"SBKANNOT"
VERSION = 1
_HEAD = struct.Struct("<8sIIQQQ")  # magic, version, 0, seq, bytes of metadata, bytes of exemplars
_CHECK = struct.Struct("<Q")


class Annotations:
    """The state as of `seq`."""

    def __init__(
        self,
        families: Sequence[FamilyMetadata] = (),
        exemplars: Sequence[Exemplar] = (),
        *,
        seq: int = 0,
    ) -> None:
        self.seq = seq
        self.families: dict[str, FamilyMetadata] = {f.family: f for f in families}
        self.exemplars: deque[Exemplar] = deque(exemplars)
        self._newest: dict[bytes, int] = {e.series: e.timestamp for e in exemplars}

    def apply_metadata(self, seq: int, families: Sequence[FamilyMetadata]) -> None:
        if seq <= self.seq:
            return
        self.seq = seq
        for family in families:
            if family.family in self.families or len(self.families) < limits.FAMILIES_MAX:
                self.families[family.family] = family

    def apply_exemplars(self, seq: int, exemplars: Sequence[Exemplar]) -> None:
        if seq <= self.seq:
            return
        self.seq = seq
        for exemplar in self.fresh(exemplars):
            self.exemplars.append(exemplar)
            self._newest[exemplar.series] = exemplar.timestamp
            if len(self.exemplars) > limits.EXEMPLARS_MAX:
                gone = self.exemplars.popleft()
                if self._newest[gone.series] == gone.timestamp:
                    del self._newest[gone.series]

    def fresh(self, exemplars: Sequence[Exemplar]) -> tuple[Exemplar, ...]:
        """Those younger than the last one of their series; one series' may come in any order."""
        newest: dict[bytes, int] = {}
        found = []
        for exemplar in exemplars:
            last = newest.get(exemplar.series, self._newest.get(exemplar.series))
            if last is None or exemplar.timestamp > last:
                found.append(exemplar)
                newest[exemplar.series] = exemplar.timestamp
        return tuple(found)

    def copy(self) -> tuple[int, tuple[FamilyMetadata, ...], tuple[Exemplar, ...]]:
        return self.seq, tuple(self.families.values()), tuple(self.exemplars)


class Announced:
    """What the log says about families, entries under way included: the gate's side.

    Senders repeat all of their metadata every minute; only what is new is logged.
    """

    def __init__(self, applied: Annotations) -> None:
        self._applied = applied
        self._under_way: dict[str, FamilyMetadata] = {}

    def news(self, families: Sequence[FamilyMetadata]) -> tuple[FamilyMetadata, ...]:
        """Those that say something else than what was said last; their help cut to its bound."""
        found: dict[str, FamilyMetadata] = {}
        for family in map(_bounded, families):
            found[family.family] = family
        full = len(self._applied.families) >= limits.FAMILIES_MAX
        news = tuple(f for f in found.values() if f != self._last(f.family, f if full else None))
        self._under_way |= {family.family: family for family in news}
        return news

    def lost(self) -> None:
        """Entries under way have failed: the last word is what was applied."""
        self._under_way.clear()

    def _last(self, family: str, unknown: FamilyMetadata | None) -> FamilyMetadata | None:
        return self._under_way.get(family) or self._applied.families.get(family, unknown)


def _bounded(family: FamilyMetadata) -> FamilyMetadata:
    if len(family.help) * 4 <= limits.HELP_BYTES_MAX:
        return family
    text = family.help.encode()[: limits.HELP_BYTES_MAX].decode(errors="ignore")
    return replace(family, help=text)


def write_annotations(
    files: Files,
    folder: Path,
    seq: int,
    families: Sequence[FamilyMetadata],
    exemplars: Sequence[Exemplar],
) -> str:
    """Write the state as of `seq` to a file of its own; its name. The caller syncs the folder."""
    metadata, rest = encode_metadata(families), encode_exemplars(exemplars)
    data = _HEAD.pack(MAGIC, VERSION, 0, seq, len(metadata), len(rest)) + metadata + rest
    name = f"{ANNOTATIONS}{seq:020d}"
    write_whole(files, folder / name, data + _CHECK.pack(xxhash.xxh3_64_intdigest(data)))
    return name


def read_annotations(files: Files, path: Path) -> Annotations:
    """The state in a file. Raises CorruptionError, NewerFormat, FileNotFoundError."""
    file = files.open_read(path)
    try:
        size = file.size()
        data = file.pread(size, 0)
    finally:
        file.close()
    if len(data) < _HEAD.size + _CHECK.size or data[:8] != MAGIC:
        raise CorruptionError(path, 0, "no annotations here: wrong magic")
    body, check = data[: -_CHECK.size], _CHECK.unpack(data[-_CHECK.size :])[0]
    if xxhash.xxh3_64_intdigest(body) != check:
        raise CorruptionError(path, 0, "checksum does not hold")
    _, version, _, seq, metadata_bytes, exemplar_bytes = _HEAD.unpack_from(body)
    if version > VERSION:
        raise NewerFormat(path, version, VERSION)
    if _HEAD.size + metadata_bytes + exemplar_bytes != len(body):
        raise CorruptionError(path, _HEAD.size, "sizes do not add up")
    split = _HEAD.size + metadata_bytes
    families = decode_metadata(body[_HEAD.size : split])
    return Annotations(families, decode_exemplars(body[split:]), seq=seq)
