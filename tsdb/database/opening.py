"""Open a data directory: lock, manifest, blocks, index, log; then the threads.

    in   a path, options
    out  Database, with every acked point readable

Recovery is a replay of the log from the manifest's checkpoint, in bounded memory: a head that
fills is flushed on the way, as in normal running. It can be interrupted anywhere, any number
of times. What is damaged is named and moved to `quarantine/`, never deleted, never guessed at.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import xxhash

from tsdb import limits
from tsdb.block import manifest as manifests
from tsdb.block.layout import BlockMeta
from tsdb.block.manifest import Hole, Manifest
from tsdb.block.reader import Block
from tsdb.codec.resolution import Resolution
from tsdb.commit.commit import Commit, LocalCommit
from tsdb.commit.gate import Gate
from tsdb.commit.pipeline import GROUP_BYTES, Pipeline
from tsdb.database.database import Database, Parts
from tsdb.database.upkeep import Upkeep
from tsdb.engine.annotations import Annotations, read_annotations
from tsdb.engine.companion import Companion, read_companion, write_companion
from tsdb.engine.engine import Engine, series_hit
from tsdb.engine.folders import BLOCKS, INDEX, LOCK, ORPHANS, QUARANTINE, WAL
from tsdb.engine.store import Store
from tsdb.engine.version import Tombstone, Version, truth_order
from tsdb.errors import CorruptionError, InvalidInput, StorageFailed, Unavailable
from tsdb.index import store as index_store
from tsdb.index.registry import Registry
from tsdb.log.protocol import Kind, Log
from tsdb.log.wal import Wal
from tsdb.vfs import Files, Lock, OsFiles, remove_tree

Progress = Callable[[int, int], None]  # (entries replayed, entries to replay)


@dataclass(frozen=True, slots=True)
class Replicated:
    """What a node of a cluster puts in the place of a log of its own.

    `companion` is made from the state that it left, if it left one, and from what stands for the
    points that were here before it, if there are any; `commit` from the parts of the open
    database. The gate names series by `naming`: refs of a sender, not of the engine.
    """

    companion: Callable[[Engine, bytes | None, int], Companion]
    commit: Callable[[Parts], Commit]
    naming: Registry
    group_bytes: int = 8 * GROUP_BYTES  # a round to a majority takes longer than a sync here


@dataclass(frozen=True, slots=True)
class Options:
    """How a database is opened; every field has a default that fits most."""

    resolution: Resolution | None = None  # None: ms for a new database, as it is for an old one
    read_only: bool = False
    memory_limit_bytes: int | None = None
    retention_s: int | None = None
    series_max: int = limits.SERIES_MAX
    future_s_max: int = limits.FUTURE_S_MAX
    background: bool = True
    clock_ns: Callable[[], int] = time.time_ns
    on_progress: Progress | None = None
    on_failure: Callable[[BaseException], None] | None = None
    replicated: Replicated | None = None  # who opens a cluster node's directory brings it

    @property
    def head_bytes(self) -> int:
        """A filling and a flushing head, each with its share, leave half for reads and index."""
        if self.memory_limit_bytes is None:
            return limits.HEAD_BYTES_MAX
        return max(16 * limits.MIB, min(limits.HEAD_BYTES_MAX, self.memory_limit_bytes // 4))


def open_database(
    path: str | os.PathLike[str],
    *,
    resolution: str | None = None,
    files: Files | None = None,
    **options: object,
) -> Database:
    """Open or create the data directory at `path`.

    Options: read_only, memory_limit_bytes, retention_s, series_max, future_s_max, background,
    clock_ns, on_progress, on_failure (docs/reference/library.md). `resolution` is s, ms (default),
    us or ns and never changes after creation.

    Raises Unavailable(code="locked") naming the process that has it open, NewerFormat,
    CorruptionError when not even a part can be served, InvalidInput for options that do not fit,
    Unavailable(code="disk_full") and StorageFailed when the disk refuses.
    """
    wanted = Resolution.parse(resolution) if resolution else None
    try:
        chosen = Options(resolution=wanted, **options)  # type: ignore[arg-type]
    except TypeError as error:
        raise InvalidInput(f"tsdb.open: {error}") from error
    try:
        return _open(files or OsFiles(), Path(path), chosen)
    except (PermissionError, NotADirectoryError) as error:
        raise InvalidInput(f"{path} cannot be opened: {error}") from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise Unavailable(f"disk full: {error}", code="disk_full") from error
        raise StorageFailed(f"{path} cannot be opened: {error}") from error


def _open(files: Files, path: Path, options: Options) -> Database:
    lock = _locked(files, path, options)
    with contextlib.ExitStack() as undo:
        undo.callback(lock.release)
        manifest = _manifest(files, path, options)
        if not options.read_only:
            for folder in (BLOCKS, INDEX, QUARANTINE, WAL):
                ensure_folder(files, path / folder)
        store, engine = _restored(files, path, manifest, options)
        _accompany(store, engine, options)
        log = Wal.open(
            files,
            path / WAL,
            database_id=manifest.database_id,
            quarantine=path / QUARANTINE,
            checkpoint_seq=manifest.checkpoint_seq,
            read_only=options.read_only,
        )
        undo.callback(log.close)
        replay(engine, store, log, options.on_progress)
        database = _running(path, Parts(store, engine, log, lock, None, None), options)
        undo.pop_all()
    return database


def _locked(files: Files, path: Path, options: Options) -> Lock:
    if not options.read_only:
        ensure_folder(files, path)
    elif not files.exists(path):
        raise InvalidInput(f"{path}: no such directory to read")
    return files.lock(path / LOCK)


def _manifest(files: Files, path: Path, options: Options) -> Manifest:
    """The manifest there is, one rebuilt from blocks, or a first one for an empty directory."""
    manifest = manifests.load(files, path)
    if manifest is None:
        manifest = manifests.rebuild(files, path)
    if manifest is None:
        if options.read_only:
            raise InvalidInput(f"{path} holds no database")
        if files.exists(path / WAL) and files.list(path / WAL):
            raise CorruptionError(
                path, 0, "there is a log but no readable MANIFEST; restore MANIFEST from a snapshot"
            )
        chosen = options.resolution or Resolution.MS
        manifest = Manifest.first(database_id=os.urandom(16), resolution=chosen)
        manifests.store(files, path, manifest)
    if options.resolution not in (None, manifest.resolution):
        assert options.resolution is not None
        raise InvalidInput(
            f"{path} has resolution {manifest.resolution.name.lower()}, which never changes; "
            f"it cannot be opened as {options.resolution.name.lower()}"
        )
    return manifest


def _restored(
    files: Files, path: Path, manifest: Manifest, options: Options
) -> tuple[Store, Engine]:
    """Blocks and index as the manifest names them, around what is damaged."""
    if not options.read_only:
        _set_aside_orphans(files, path, manifest)
    holes: list[Hole] = list(manifest.holes)
    blocks: list[Block] = []
    for meta in manifest.blocks:
        try:
            blocks.append(Block.open(files, path / BLOCKS / meta.name))
        except (CorruptionError, FileNotFoundError) as error:
            holes.append(_hole(meta, error))
            _quarantine(files, path, path / BLOCKS / meta.name, options)
    registry = Registry()
    index_files: list[str] = []
    for name in manifest.index_files:
        try:
            registry.define(index_store.read_index(files, path / INDEX / name))
            index_files.append(name)
        except (CorruptionError, FileNotFoundError) as error:
            holes.append(Hole(0, manifest.checkpoint_seq, None, None, name, str(error)))
            _quarantine(files, path, path / INDEX / name, options)
    annotations = Annotations()
    if manifest.annotations is not None:
        name = manifest.annotations
        try:
            annotations = read_annotations(files, path / INDEX / name)
        except (CorruptionError, FileNotFoundError) as error:
            holes.append(Hole(0, manifest.checkpoint_seq, None, None, name, str(error)))
            _quarantine(files, path, path / INDEX / name, options)
            manifest = replace(manifest, annotations=None)
    served = {block.meta.name for block in blocks}
    manifest = replace(
        manifest,
        blocks=tuple(meta for meta in manifest.blocks if meta.name in served),
        index_files=tuple(index_files),
        holes=tuple(holes),
    )
    registry.skip_to(manifest.next_ref)
    version = Version(
        tuple(sorted(blocks, key=truth_order)),
        tombstones=tuple(
            Tombstone(t.seq, t.selector, t.start, t.end, series_hit(registry, t.selector))
            for t in manifest.tombstones
        ),
        horizon=manifest.horizon,
    )
    engine = Engine(
        manifest.resolution,
        registry,
        version,
        head_bytes=options.head_bytes,
        annotations=annotations,
    )
    engine.start_at(manifest.checkpoint_seq)
    return Store(files, path, manifest, annotated_seq=annotations.seq), engine


def _accompany(store: Store, engine: Engine, options: Options) -> None:
    """Give the companion the state it left; a directory that has one is opened with it alone."""
    files, manifest, folder = store.files, store.manifest, store.directory / INDEX
    if options.replicated is None:
        if manifest.companion is not None:
            raise InvalidInput(
                f"{store.directory} belongs to a node of a cluster: "
                "open it with `silverback serve --cluster`"
            )
        return
    state = (
        None if manifest.companion is None else read_companion(files, folder / manifest.companion)
    )
    store.companion = options.replicated.companion(engine, state, _base(store, state))
    if manifest.companion is None and not options.read_only:
        seq = manifest.checkpoint_seq
        name = write_companion(files, folder, seq, store.companion.state(seq))
        store.manifest = replace(manifest, generation=manifest.generation + 1, companion=name)
        manifests.store(files, store.directory, store.manifest)


def _base(store: Store, state: bytes | None) -> int:
    """Stands for the points that are here before the companion has seen any; 0 if there are none.

    Copies of one directory have the same.
    """
    was_written = store.manifest.checkpoint_seq > 0 or store.files.list(store.directory / WAL)
    if state is not None or not was_written:
        return 0
    return xxhash.xxh3_64_intdigest(store.manifest.database_id)


def replay(engine: Engine, store: Store, log: Log, on_progress: Progress | None) -> None:
    """Apply what the log holds beyond the checkpoint; a head that fills is flushed on the way."""
    first, last = engine.applied_seq, log.info().last_seq
    for entry in log.read(first + 1):
        if entry.kind == Kind.REPLICATED and store.companion is not None:
            store.companion.apply(entry)
        else:
            engine.apply(entry)
        if engine.version.frozen:
            store.flush_frozen(engine, log)
        if on_progress is not None:
            on_progress(entry.seq - first, last - first)


def _running(path: Path, parts: Parts, options: Options) -> Database:
    ticks_per_s = parts.engine.resolution.ticks_per_s

    def now_ticks() -> int:
        return options.clock_ns() * ticks_per_s // 1_000_000_000

    if options.read_only:
        parts.lock.release()
        return Database(path, parts, now_ticks)

    def failed(error: BaseException) -> None:
        if options.on_failure is not None:
            options.on_failure(error)

    gate = Gate(
        parts.engine,
        now_ticks,
        series_max=options.series_max,
        future_ticks=options.future_s_max * ticks_per_s,
        naming=None if options.replicated is None else options.replicated.naming,
    )
    if options.replicated is None:
        commit: Commit = LocalCommit(parts.log, parts.engine)
    else:
        commit = options.replicated.commit(parts)
    group_bytes = options.replicated.group_bytes if options.replicated else GROUP_BYTES
    parts.pipeline = Pipeline(
        commit, parts.engine, gate, on_failure=failed, group_bytes=group_bytes
    )
    database = Database(path, parts, now_ticks)
    retention_ticks = None if options.retention_s is None else options.retention_s * ticks_per_s
    parts.upkeep = Upkeep(
        parts.engine,
        parts.store,
        parts.log,
        parts.pipeline,
        now_ticks=now_ticks,
        retention_ticks=retention_ticks,
        propose_horizon=database.forget_before,
        on_failure=failed,
    )
    if options.background:
        parts.upkeep.start()
    return database


def ensure_folder(files: Files, path: Path) -> None:
    """Make `path` and what is missing above it; the new names are durable."""
    if files.exists(path):
        return
    ensure_folder(files, path.parent)
    files.mkdir(path)
    files.sync_dir(path.parent)


def _hole(meta: BlockMeta, error: Exception) -> Hole:
    return Hole(meta.seq_lo, meta.seq_hi, meta.min_ts, meta.max_ts, meta.name, str(error))


def _quarantine(files: Files, path: Path, damaged: Path, options: Options) -> None:
    """Set damaged files aside under a name that is free; they are evidence, and may be mended."""
    if options.read_only or not files.exists(damaged):
        return
    taken = set(files.list(path / QUARANTINE))
    names = (damaged.name if n == 0 else f"{damaged.name}.{n}" for n in range(1 << 20))
    target = next(name for name in names if name not in taken)
    files.rename(damaged, path / QUARANTINE / target)
    files.sync_dir(damaged.parent)
    files.sync_dir(path / QUARANTINE)


def _set_aside_orphans(files: Files, path: Path, manifest: Manifest) -> None:
    """Blocks and index files that no manifest names: a crash came before or after its commit.

    The log or other blocks hold their points. They stay in quarantine/orphans until the next
    open finds nothing wrong with the database without them.
    """
    orphans = path / QUARANTINE / ORPHANS
    if files.exists(orphans):
        remove_tree(files, orphans)
    for folder, named in (
        (BLOCKS, {meta.name for meta in manifest.blocks}),
        (INDEX, {*manifest.index_files, manifest.annotations, manifest.companion}),
    ):
        for name in files.list(path / folder):
            if name in named:
                continue
            if not files.exists(orphans):
                files.mkdir(orphans)
            files.rename(path / folder / name, orphans / name)
            files.sync_dir(path / folder)
