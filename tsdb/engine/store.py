"""What the engine keeps on disk: blocks, index files and the manifest that names them.

    flush      frozen generations -> blocks -> manifest -> readers -> log trimmed
    merge      small or overlapping blocks -> larger ones, deletes carried out
    expire     blocks wholly below the horizon go
    snapshot   the whole directory again, by hard links

Commit protocol: everything a manifest names is fsynced before the manifest is; readers see new
sources after it; what it no longer names is unlinked last. A crash anywhere leaves the old
manifest with a log that still holds what the new one would have (docs/explanation/durability.md).

One piece of upkeep at a time; reads and writes go on meanwhile. Nothing here is logged: flush and
merge change how points are kept, not which points there are.
"""

from __future__ import annotations

import errno
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from tsdb import limits
from tsdb.batch import Columns, U32s
from tsdb.block import manifest as manifests
from tsdb.block import merge as merging
from tsdb.block.layout import BlockMeta
from tsdb.block.manifest import Manifest
from tsdb.block.reader import Block
from tsdb.block.windows import choose_level
from tsdb.block.writer import FlushWriter, Origin
from tsdb.engine.annotations import write_annotations
from tsdb.engine.companion import Companion, write_companion
from tsdb.engine.engine import Engine
from tsdb.engine.folders import BLOCKS, INDEX, QUARANTINE, WAL
from tsdb.engine.version import INT64_MIN, Generation, Tombstone
from tsdb.errors import CorruptionError, StorageFailed, Unavailable
from tsdb.index import store as index_store
from tsdb.log.protocol import Log
from tsdb.vfs import Files, Room, remove_tree, room

SERIES_PER_SLICE = 4096  # series decoded at once: bounds a flush at some 50 MB of columns
COLLECT_SHARE = 10  # series without points are forgotten once they are a tenth of all
INT64_MAX = 2**63 - 1


class Writes(Protocol):
    """What upkeep needs of the commit pipeline."""

    def quiet(self) -> AbstractContextManager[None]: ...

    def forget(self, refs: U32s) -> None: ...

    def latch(self, error: StorageFailed) -> None: ...


class Store:
    """The durable half of one database directory."""

    def __init__(
        self, files: Files, directory: Path, manifest: Manifest, *, annotated_seq: int = 0
    ) -> None:
        self.files = files
        self.directory = directory
        self.manifest = manifest
        self.companion: Companion | None = None
        self._upkeep = threading.RLock()
        self._damaged: set[str] = set()  # blocks that a merge has found damaged
        self._annotated_seq = annotated_seq

    # --- flush ---------------------------------------------------------------------------------

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        """One piece of upkeep at a time; failures of the disk as those who must act on them see it.

        A full disk costs nothing but the attempt: what it wrote is no part of the database yet.
        Any other failure of a write or sync leaves what the disk holds unknown.
        """
        with self._upkeep:
            try:
                yield
            except OSError as error:
                if error.errno in (errno.ENOSPC, errno.EDQUOT):
                    raise Unavailable(f"disk full: {error}", code="disk_full") from error
                raise StorageFailed(f"upkeep of {self.directory} failed: {error}") from error

    def flush(self, engine: Engine, log: Log) -> int:
        """Turn every point in memory into blocks; returns the blocks written.

        Raises Unavailable(code="disk_full") or StorageFailed, as all methods here do.
        """
        with self._exclusive():
            if engine.freeze():
                log.seal()  # so that trimming can take all of it
            return self.flush_frozen(engine, log)

    def flush_frozen(self, engine: Engine, log: Log) -> int:
        """Flush the generations that are frozen already, oldest first."""
        written = 0
        with self._exclusive():
            for generation in engine.version.frozen:
                written += self._flush_one(engine, log, generation)
        return written

    def _flush_one(self, engine: Engine, log: Log, generation: Generation) -> int:
        metas = self._write_blocks(engine, generation)
        added = [Block.open(self.files, self._blocks / meta.name) for meta in metas]
        spent = self._commit(
            engine,
            blocks=(*self.manifest.blocks, *metas),
            checkpoint_seq=generation.seq_hi,
            **self._index_changes(engine),
            **self._annotation_changes(engine),
            **self._companion_changes(generation.seq_hi),
        )
        engine.install(added=added, flushed=generation, spent=spent)
        log.trim(generation.seq_hi)
        return len(metas)

    def _write_blocks(self, engine: Engine, generation: Generation) -> tuple[BlockMeta, ...]:
        head, horizon = generation.head, engine.version.horizon
        refs = head.refs()

        def slices() -> Iterator[tuple[U32s, Columns]]:
            for lo in range(0, refs.size, SERIES_PER_SLICE):
                part = refs[lo : lo + SERIES_PER_SLICE]
                yield part, head.view(part).read(horizon, INT64_MAX)

        if not refs.size:
            return ()
        span = (head.min_ts, head.max_ts)
        level = choose_level(engine.resolution, span, lambda: (c for _, c in slices()))
        origin = Origin(
            self.manifest.database_id, engine.resolution, generation.seq_lo, generation.seq_hi
        )
        writer = FlushWriter(self.files, self._blocks, origin, level=level)
        with ExitStack() as undo:
            undo.callback(writer.abort)
            for part, columns in slices():
                writer.add(part, columns)
            metas = writer.finish()
            undo.pop_all()
        return metas

    def _index_changes(self, engine: Engine) -> dict[str, Any]:
        """Write series defined since the last index file to a new one; what the manifest says.

        When there are many files already, the new one holds every series and replaces them.
        """
        kept = self.manifest.index_files
        fresh = engine.registry.definitions_from(self.manifest.next_ref)
        if not fresh.count:
            return {}
        if len(kept) >= limits.INDEX_FILES_MAX:
            kept, fresh = (), engine.registry.definitions_from(0)
        name = index_store.write_index(self.files, self.directory / INDEX, fresh)
        return {"index_files": (*kept, name), "next_ref": int(fresh.refs[-1]) + 1}

    def _annotation_changes(self, engine: Engine) -> dict[str, Any]:
        """Write metadata and exemplars if there are new ones since the last file of them."""
        with engine.lock:
            seq, families, exemplars = engine.annotations.copy()
        if seq == self._annotated_seq:
            return {}
        folder = self.directory / INDEX
        name = write_annotations(self.files, folder, seq, families, exemplars)
        self._annotated_seq = seq
        return {"annotations": name}

    def _companion_changes(self, seq: int) -> dict[str, Any]:
        if self.companion is None:
            return {}
        state = self.companion.state(seq)
        return {"companion": write_companion(self.files, self.directory / INDEX, seq, state)}

    def _commit(self, engine: Engine, **changes: Any) -> tuple[int, ...]:
        """Make a new manifest durable. `changes` are fields of Manifest.

        Returns the seqs of tombstones that hide nothing any more. They are judged against one
        version: a delete that is applied meanwhile is not among them.
        """
        version = engine.version
        wanted = replace(
            self.manifest,
            generation=self.manifest.generation + 1,
            horizon=version.horizon,
            **changes,
        )
        live = needed(version.tombstones, wanted.blocks, version.frozen)
        wanted = replace(wanted, tombstones=tuple(_stored(t) for t in live))
        manifests.store(self.files, self.directory, wanted)
        for name in _in_index(self.manifest) - _in_index(wanted):
            self.files.unlink(self.directory / INDEX / name)
        self.manifest = wanted
        return tuple(t.seq for t in version.tombstones if t not in live)

    # --- merge and expiry -----------------------------------------------------------------------

    def merge_all(self, engine: Engine) -> int:
        """Merge while the plan finds something worth it; returns the merges done."""
        done = 0
        with self._exclusive():
            while room(self.files, self.directory) is Room.ENOUGH and self._merge_one(engine):
                done += 1
        return done

    def _merge_one(self, engine: Engine) -> bool:
        groups = merging.plan(self.manifest.blocks, engine.resolution, damaged=self._damaged)
        if not groups:
            return False
        names = {meta.name for meta in groups[0]}
        self._merge(engine, [b for b in engine.version.blocks if b.meta.name in names])
        return True

    def _merge(self, engine: Engine, blocks: Sequence[Block]) -> bool:
        """Blocks become one; False if they stay as they are, because one is damaged."""
        version, names = engine.version, {block.meta.name for block in blocks}
        try:
            metas = merging.merge(
                self.files,
                self._blocks,
                blocks,
                tombstones=version.tombstones,
                horizon=version.horizon,
            )
        except CorruptionError as error:
            # Merged around its damage a block would look whole: it stays as it is, and is named.
            named = {Path(error.path).parent.name} & names if error.path else set()
            self._damaged |= named or names
            return False
        self._replace(engine, names, metas)
        return True

    def clean(self, engine: Engine) -> int:
        """Rewrite each block that holds deleted points, without them; no other is touched. Returns
        how many. Raises Unavailable when the disk has no room for that."""
        done = 0
        with self._exclusive():
            for block in engine.version.blocks:
                if not self._holds_deleted(block, engine.version.tombstones):
                    continue
                if room(self.files, self.directory) is not Room.ENOUGH:
                    raise Unavailable("the disk is too full to rewrite blocks", code="disk_full")
                done += self._merge(engine, [block])
        return done

    def _holds_deleted(self, block: Block, tombstones: Sequence[Tombstone]) -> bool:
        meta = block.meta
        later = [
            t for t in tombstones if t.hides_from(meta.deleted_through, meta.min_ts, meta.max_ts)
        ]
        try:
            return any(block.table.select(t.refs, t.start, t.end).chunks.size for t in later)
        except CorruptionError:
            self._damaged.add(meta.name)
            return False

    def drop_expired(self, engine: Engine) -> int:
        """Remove blocks that hold nothing above the horizon; returns how many went."""
        with self._exclusive():
            horizon = engine.version.horizon
            gone = {meta.name for meta in self.manifest.blocks if meta.max_ts < horizon}
            if gone:
                self._replace(engine, gone, ())
            return len(gone)

    def collect(self, engine: Engine, writes: Writes) -> int:
        """Forget series that no block and no head holds a point of; returns how many went.

        Done when they are a tenth of all, so that the pause it takes is worth it.
        """
        if self.companion is not None:  # it holds refs of its own
            return 0
        with self._exclusive():
            known = engine.registry.select(())
            idle = np.setdiff1d(known, self._refs_in_blocks(engine), assume_unique=True)
            if idle.size * COLLECT_SHARE < max(known.size, 1):
                return 0
            with writes.quiet():
                for generation in (*engine.version.frozen, engine.active):
                    idle = np.setdiff1d(idle, generation.head.refs(), assume_unique=True)
                if idle.size * COLLECT_SHARE < max(known.size, 1):
                    return 0
                writes.forget(idle)
            return int(idle.size)

    def _refs_in_blocks(self, engine: Engine) -> U32s:
        refs = [block.refs() for block in engine.version.blocks]
        return np.unique(np.concatenate([np.empty(0, np.uint32), *refs]))

    def _replace(self, engine: Engine, gone: set[str], metas: Sequence[BlockMeta]) -> None:
        added = [Block.open(self.files, self._blocks / meta.name) for meta in metas]
        left = [meta for meta in self.manifest.blocks if meta.name not in gone]
        spent = self._commit(engine, blocks=(*left, *metas))
        engine.install(added=added, removed=tuple(gone), spent=spent)
        for name in sorted(gone):
            remove_tree(self.files, self._blocks / name)
        self.files.sync_dir(self._blocks)

    # --- snapshot ----------------------------------------------------------------------------

    def snapshot(self, engine: Engine, log: Log, target: Path) -> Path:
        """A data directory at `target` that holds everything up to now and an empty log."""
        with self._exclusive():
            self.flush(engine, log)
            manifests.check_absent(self.files, target)
            self.files.mkdir(target)
            for folder, names in ((BLOCKS, [m.name for m in self.manifest.blocks]), (INDEX, None)):
                self._link_folder(folder, names, target)
            for name in (WAL, QUARANTINE):
                self.files.mkdir(target / name)
            manifests.store(self.files, target, self.manifest)
            self.files.sync_dir(target)
            self.files.sync_dir(target.parent)
        return target

    def _link_folder(self, folder: str, names: list[str] | None, target: Path) -> None:
        source = self.directory / folder
        self.files.mkdir(target / folder)
        for name in sorted(_in_index(self.manifest)) if names is None else names:
            if names is None:
                self.files.link(source / name, target / folder / name)
                continue
            self.files.mkdir(target / folder / name)
            for file in self.files.list(source / name):
                self.files.link(source / name / file, target / folder / name / file)
            self.files.sync_dir(target / folder / name)
        self.files.sync_dir(target / folder)

    def close(self, engine: Engine) -> None:
        for block in engine.version.blocks:
            block.close()

    @property
    def _blocks(self) -> Path:
        return self.directory / BLOCKS


def needed(
    tombstones: Sequence[Tombstone],
    blocks: Sequence[BlockMeta],
    frozen: Sequence[Generation],
) -> tuple[Tombstone, ...]:
    """The tombstones that still hide something in some source."""
    spans = [(b.deleted_through, b.min_ts, b.max_ts) for b in blocks]
    spans += [(g.seq_hi, g.head.min_ts, g.head.max_ts) for g in frozen]
    return tuple(t for t in tombstones if any(t.hides_from(*span) for span in spans))


def _in_index(manifest: Manifest) -> set[str]:
    """Names of the files in the index folder that a manifest needs."""
    return {*manifest.index_files, *filter(None, (manifest.annotations, manifest.companion))}


def _stored(tombstone: Tombstone) -> manifests.Tombstone:
    return manifests.Tombstone(tombstone.seq, tombstone.selector, tombstone.start, tombstone.end)


assert INT64_MIN == -(INT64_MAX + 1)
