"""What is in a data directory, read from its files without opening the database.

    in   a directory, in use or not: nothing is written, no lock is taken
    out  Inspection: blocks, log, metrics by size, and why they are that size; Findings: damage

Figures are those of the files: points still in the log count there and not in blocks. A block
that a running server merges away meanwhile is passed over.

Price: inspect reads indexes, and with `codes` also decodes every point, at about 20 ns each.
Verify reads every byte; deep decodes each chunk by the slow twin too, at 5 µs a point.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from api.compression import Figures, Source, measure, total
from api.exits import CommandFailed, Exit
from tsdb.batch import I64s, U32s
from tsdb.block import manifest as manifests
from tsdb.block.manifest import Manifest
from tsdb.block.reader import Block
from tsdb.block.verify import verify as verify_block
from tsdb.engine.annotations import read_annotations
from tsdb.engine.folders import BLOCKS, INDEX, QUARANTINE, WAL
from tsdb.errors import CorruptionError
from tsdb.index import store as index_store
from tsdb.index.matchers import Matcher, Op
from tsdb.index.registry import Registry
from tsdb.log.points import decode_points
from tsdb.log.protocol import Kind
from tsdb.log.wal import Wal
from tsdb.vfs import Files, OsFiles

__all__ = ["Finding", "Inspection", "MetricUse", "inspect", "verify"]

SERIES_PER_SLICE = 4096
INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1


@dataclass(slots=True)
class MetricUse:
    """What the series of one name take in blocks."""

    name: str
    series: int = 0
    points: int = 0
    chunk_bytes: int = 0

    @property
    def bits_per_point(self) -> float:
        return 8 * self.chunk_bytes / max(self.points, 1)


@dataclass(slots=True)
class LogUse:
    entries: int = 0
    points: int = 0
    size_bytes: int = 0
    first_seq: int = 0
    last_seq: int = 0


@dataclass(slots=True)
class Inspection:
    """`figures` is None unless control codes were asked for."""

    manifest: Manifest
    series: int = 0
    metrics: list[MetricUse] = field(default_factory=list)
    log: LogUse = field(default_factory=LogUse)
    quarantined_bytes: int = 0
    figures: Figures | None = None
    damage: list[str] = field(default_factory=list)

    @property
    def block_points(self) -> int:
        return sum(meta.points for meta in self.manifest.blocks)

    @property
    def block_bytes(self) -> int:
        return sum(meta.bytes for meta in self.manifest.blocks)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, and where."""

    path: str
    offset_bytes: int
    reason: str


def inspect(directory: Path, *, codes: bool = False) -> Inspection:
    """Figures of a directory; damage that is met on the way is noted, not raised."""
    files = OsFiles()
    manifest = _manifest(files, directory)
    found = Inspection(manifest)
    registry = _registry(files, directory, manifest, found)
    found.series = registry.count
    points = np.zeros(manifest.next_ref, np.int64)
    sizes = np.zeros(manifest.next_ref, np.int64)
    figures: list[Figures] = []
    for block in _blocks(files, directory, manifest, found.damage):
        with _noting(found.damage):
            table = block.table
            starts = table.firsts[:-1]
            points[table.refs] += np.add.reduceat(table.counts, starts)
            sizes[table.refs] += np.add.reduceat(np.diff(table.starts), starts)
            if codes:
                figures += _figures(block)
    found.metrics = _by_metric(registry, points, sizes)
    found.figures = total(figures) if figures else None
    found.log = _log_use(files, directory, manifest, found)
    found.quarantined_bytes = _tree_bytes(directory / QUARANTINE)
    return found


def verify(
    directory: Path,
    *,
    deep: bool = False,
    on_file: Callable[[str, int], None] = lambda name, size_bytes: None,
) -> tuple[int, list[Finding]]:
    """Check every byte against its checksum; files looked at, and what is wrong.

    `on_file` is told each file or block before it is read, with its size.
    """
    files = OsFiles()
    manifest = _manifest(files, directory)
    errors = list(manifests.damage(files, directory))
    looked_at = 1
    for name in manifest.index_files:
        on_file(name, 0)
        looked_at += 1
        try:
            errors += index_store.verify_index(files, directory / INDEX / name)
        except FileNotFoundError:
            errors.append(CorruptionError(directory / INDEX / name, 0, "the file is missing"))
    if manifest.annotations is not None:
        on_file(manifest.annotations, 0)
        looked_at += 1
        path = directory / INDEX / manifest.annotations
        try:
            read_annotations(files, path)
        except FileNotFoundError:
            errors.append(CorruptionError(path, 0, "the file is missing"))
        except CorruptionError as error:
            errors.append(error)
    lines: list[str] = []
    for block in _blocks(files, directory, manifest, lines, errors):
        on_file(block.meta.name, block.meta.bytes)
        looked_at += 1
        errors += verify_block(block, deep=deep)
    on_file("log", 0)
    looked_at += 1
    findings = [Finding(str(e.path), e.offset_bytes, e.reason) for e in errors]
    findings += _log_findings(files, directory, manifest)
    findings += [
        Finding(
            hole.file,
            0,
            f"noted before: {hole.reason} (seq {hole.first_seq:,} to {hole.last_seq:,})",
        )
        for hole in manifest.holes
    ]
    return looked_at, findings


def _manifest(files: Files, directory: Path) -> Manifest:
    if not directory.is_dir():
        raise CommandFailed(f"{directory}: no such directory", Exit.NO_INPUT)
    manifest = manifests.load(files, directory)
    if manifest is None:
        raise CommandFailed(f"{directory} holds no database: no readable MANIFEST", Exit.NO_INPUT)
    return manifest


def _registry(files: Files, directory: Path, manifest: Manifest, found: Inspection) -> Registry:
    registry = Registry()
    for name in manifest.index_files:
        with _noting(found.damage, directory / INDEX / name):
            registry.define(index_store.read_index(files, directory / INDEX / name))
    return registry


def _blocks(
    files: Files,
    directory: Path,
    manifest: Manifest,
    lines: list[str],
    errors: list[CorruptionError] | None = None,
) -> Iterator[Block]:
    """Blocks that can be opened, one at a time; those a merge replaced meanwhile are skipped."""
    for meta in manifest.blocks:
        path = directory / BLOCKS / meta.name
        try:
            block = Block.open(files, path)
        except CorruptionError as error:
            later = manifests.load(files, directory)
            if not path.exists() and later is not None and later.generation > manifest.generation:
                continue
            lines.append(str(error))
            if errors is not None:
                errors.append(error)
            continue
        try:
            yield block
        finally:
            block.close()


@contextlib.contextmanager
def _noting(damage: list[str], path: Path | None = None) -> Iterator[None]:
    try:
        yield
    except CorruptionError as error:
        damage.append(str(error))
    except FileNotFoundError as error:
        damage.append(f"{path or error.filename}: the file is missing")


def _by_metric(registry: Registry, points: I64s, sizes: I64s) -> list[MetricUse]:
    """Largest first. Series without a name are one line of their own."""
    uses = []
    for name in ["", *registry.label_values("__name__")]:
        refs: U32s = registry.select((Matcher("__name__", Op.EQUAL, name),))
        refs = refs[refs < points.size]
        if refs.size:
            use = MetricUse(name, refs.size, int(points[refs].sum()), int(sizes[refs].sum()))
            uses.append(use)
    return sorted(uses, key=lambda use: (-use.chunk_bytes, use.name))


def _figures(block: Block) -> Iterator[Figures]:
    refs = block.refs()
    for low in range(0, refs.size, SERIES_PER_SLICE):
        columns = block.read(refs[low : low + SERIES_PER_SLICE], INT64_MIN, INT64_MAX)
        yield measure(Source(block.meta.name, columns, block.meta.resolution))


def _wal(files: Files, directory: Path, manifest: Manifest) -> Wal:
    return Wal.open(
        files,
        directory / WAL,
        database_id=manifest.database_id,
        checkpoint_seq=manifest.checkpoint_seq,
        read_only=True,
    )


def _log_use(files: Files, directory: Path, manifest: Manifest, found: Inspection) -> LogUse:
    use = LogUse()
    with _noting(found.damage), contextlib.closing(_wal(files, directory, manifest)) as wal:
        info = wal.info()
        use.size_bytes, use.first_seq, use.last_seq = info.size_bytes, info.first_seq, info.last_seq
        found.damage += [f"{hole.path}: {hole.reason}" for hole in info.holes]
        for entry in wal.read(manifest.checkpoint_seq + 1):
            use.entries += 1
            if entry.kind is Kind.POINTS:
                use.points += decode_points(entry.payload).points
    return use


def _log_findings(files: Files, directory: Path, manifest: Manifest) -> list[Finding]:
    try:
        with contextlib.closing(_wal(files, directory, manifest)) as wal:
            for _ in wal.read(manifest.checkpoint_seq + 1):
                pass
            return [
                Finding(str(h.path), h.offset_bytes, f"{h.reason}: {h.entries:,} entries lost")
                for h in wal.info().holes
            ]
    except CorruptionError as error:
        return [Finding(str(error.path), error.offset_bytes, error.reason)]


def _tree_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
