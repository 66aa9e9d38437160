"""Each durability bug below, planted in production source, is found by the crash exploration.

Where a bug shows only in a certain situation, full_life has that situation; a bug that is no
longer found means that the exploration has gone blind there.
"""

from __future__ import annotations

import pytest
from crash.database_life import Life, full_life
from crash.mutants import mutant
from crash.states import explore

RELOAD = (
    "tsdb.database",
    "tsdb.commit",
    "tsdb.engine",
    "tsdb.block",
    "tsdb.index",
    "tsdb.log",
)
IMAGES_MAX = 6_000

BUGS = {
    "the chunks of a block are not synced": (
        "tsdb/block/writer.py",
        """
        self._file.sync()
        self._file.close()
        """,
        "self._file.close()",
    ),
    "the folder of a block is not synced": (
        "tsdb/block/writer.py",
        "self._files.sync_dir(self._folder)",
        "pass",
    ),
    "the names of new blocks are not synced": (
        "tsdb/block/writer.py",
        "self._files.sync_dir(self._blocks_dir)",
        "pass",
    ),
    "the manifest is not synced": (
        "tsdb/block/manifest.py",
        "write_whole(files, directory / manifest.file_name, encode(manifest))",
        "f = files.create(directory / manifest.file_name); f.pwrite(encode(manifest), 0); "
        "f.close(); files.sync_dir(directory)",
    ),
    "the manifest's name is not synced": (
        "tsdb/block/manifest.py",
        "write_whole(files, directory / manifest.file_name, encode(manifest))",
        "f = files.create(directory / manifest.file_name); f.pwrite(encode(manifest), 0); "
        "f.sync(); f.close()",
    ),
    "the log is trimmed before the manifest is stored": (
        "tsdb/engine/store.py",
        "metas = self._write_blocks(engine, generation)",
        "log.trim(generation.seq_hi); metas = self._write_blocks(engine, generation)",
    ),
    "merged blocks are unlinked before the manifest is stored": (
        "tsdb/engine/store.py",
        "spent = self._commit(engine, blocks=(*left, *metas))",
        "[remove_tree(self.files, self._blocks / n) for n in gone]; self.files.sync_dir("
        "self._blocks); spent = self._commit(engine, blocks=(*left, *metas)); gone = set()",
    ),
    "the index file is not synced": (
        "tsdb/index/store.py",
        """
            offset += len(part)
        file.sync()
        """,
        "    offset += len(part)",
    ),
    "answers come before the sync": (
        "tsdb/commit/commit.py",
        "[(e.kind, e.payload) for e in entries], sync=sync)",
        "[(e.kind, e.payload) for e in entries], sync=False)",
    ),
    "deletes are lost when the head is flushed": (
        "tsdb/engine/store.py",
        "wanted = replace(wanted, tombstones=tuple(_stored(t) for t in live))",
        "pass",
    ),
    "the horizon is not in the manifest": (
        "tsdb/engine/store.py",
        "            horizon=version.horizon,\n            **changes,",
        "            **changes,",
    ),
    "a replay leaves deletes out": (
        "tsdb/engine/engine.py",
        "self.apply_delete(entry.seq, decode_delete(entry.payload))",
        "self._advance(entry.seq)",
    ),
}


@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_is_found(bug: str) -> None:
    file, old, new = BUGS[bug]
    with mutant(file, old, new, module="tsdb.database.opening", reload=RELOAD) as opening:
        life = Life(opening.open_database, full_life())

        report = explore(life.script, life.check, seed=3, images_max=IMAGES_MAX)

    assert report.violations, f"not found in {report.images} images: {bug}"
