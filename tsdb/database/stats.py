"""Figures about a database: what /metrics, `silverback inspect` and tests read.

    in   Database
    out  Stats, plain ints; names and units as the server exposes them (`silverback_<name>`)

Taken without stopping anything: each figure is right for some moment, all of them for nearly
the same one.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tsdb.engine.folders import QUARANTINE
from tsdb.vfs import Files

if TYPE_CHECKING:
    from tsdb.database.database import Parts


@dataclass(frozen=True, slots=True)
class Stats:
    """Fields ending in _total only grow while the database is open."""

    series: int
    index_memory_bytes: int
    head_points: int
    head_encoded_bytes: int
    head_memory_bytes: int
    head_side_points: int
    blocks: int
    block_points: int
    block_bytes: int
    tombstones: int
    horizon: int
    log_bytes: int
    log_segments: int
    durable_seq: int
    applied_seq: int
    queue_bytes: int
    holes: int
    quarantined_bytes: int
    points_applied_total: int
    points_unchanged_total: int
    points_out_of_order_total: int
    points_below_horizon_total: int
    points_orphaned_total: int
    points_selected_total: int
    points_decoded_total: int
    selects_total: int
    deletes_total: int

    @property
    def points(self) -> int:
        """Stored points; those written twice count twice until a merge meets both."""
        return self.head_points + self.block_points


def collect(parts: Parts) -> Stats:
    engine, store, log = parts.engine, parts.store, parts.log.info()
    version, counters = engine.version, engine.counters
    heads = [g.head.stats() for g in (*version.frozen, engine.active)]
    metas = [block.meta for block in version.blocks]
    return Stats(
        series=engine.registry.count,
        index_memory_bytes=engine.registry.memory_bytes,
        head_points=sum(h.points for h in heads),
        head_encoded_bytes=sum(h.encoded_bytes for h in heads),
        head_memory_bytes=sum(h.memory_bytes for h in heads),
        head_side_points=sum(h.side_points for h in heads),
        blocks=len(metas),
        block_points=sum(m.points for m in metas),
        block_bytes=sum(m.bytes for m in metas),
        tombstones=len(version.tombstones),
        horizon=version.horizon,
        log_bytes=log.size_bytes,
        log_segments=log.segments,
        durable_seq=log.durable_seq,
        applied_seq=engine.applied_seq,
        queue_bytes=0 if parts.pipeline is None else parts.pipeline.queued_bytes,
        holes=len(store.manifest.holes) + len(log.holes),
        quarantined_bytes=_tree_bytes(store.files, store.directory / QUARANTINE),
        points_applied_total=counters.points_applied,
        points_unchanged_total=counters.points_unchanged,
        points_out_of_order_total=counters.points_out_of_order,
        points_below_horizon_total=counters.points_below_horizon,
        points_orphaned_total=counters.points_orphaned,
        points_selected_total=counters.points_selected,
        points_decoded_total=counters.points_decoded,
        selects_total=counters.selects,
        deletes_total=counters.deletes,
    )


def _tree_bytes(files: Files, folder: Path) -> int:
    """Bytes of all files below `folder`; 0 when there is none."""
    if not files.exists(folder):
        return 0
    total = 0
    for name in files.list(folder):
        path = folder / name
        if files.is_dir(path):
            total += _tree_bytes(files, path)
            continue
        file = files.open_read(path)
        total += file.size()
        file.close()
    return total
