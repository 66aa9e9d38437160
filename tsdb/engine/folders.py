"""Names in a data directory: `DIR/{MANIFEST-*, LOCK, wal/, blocks/, index/, quarantine/}`.

Files that are not ours are left alone; what is damaged moves to quarantine, never away.
"""

from __future__ import annotations

LOCK = "LOCK"
BLOCKS, INDEX, QUARANTINE, WAL = "blocks", "index", "quarantine", "wal"
ORPHANS = "orphans"  # in quarantine: blocks and index files that no manifest names
