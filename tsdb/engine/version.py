"""What the database holds at one position of the log, as readers see it.

    Generation   one head with the seqs it holds; the newest is being filled, older ones wait
                 to become blocks
    Tombstone    a delete at a seq, with the series it hit
    Version      blocks, frozen generations, tombstones and horizon: immutable, swapped whole

Order of truth, for one series and timestamp: active generation, then frozen ones from young to
old, then blocks by descending seq_hi. A tombstone at seq T hides what is in sources older
than T, unless a merge has carried it out; in the active generation that is done at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tsdb.batch import U32s
from tsdb.block.reader import Block
from tsdb.head.head import Head

INT64_MIN = -(2**63)


@dataclass(slots=True)
class Generation:
    """One head and the seqs applied to it. `seq_hi` grows until the generation is frozen."""

    head: Head
    seq_lo: int
    seq_hi: int

    def __post_init__(self) -> None:
        assert self.seq_lo >= 1
        assert self.seq_hi >= self.seq_lo - 1  # empty: nothing applied yet


@dataclass(frozen=True, slots=True, eq=False)
class Tombstone:
    """Points of `refs` from `start` to `end` ticks in sources older than `seq` are deleted."""

    seq: int
    selector: str
    start: int
    end: int
    refs: U32s  # ascending

    def hides_from(self, deleted_through: int, start: int, end: int) -> bool:
        """Whether a source that knows deletes up to one seq may lose points from start to end."""
        return deleted_through < self.seq and self.start <= end and start <= self.end


@dataclass(frozen=True, slots=True)
class Version:
    """Everything older than the active generation. `blocks` ascend by (seq_hi, window)."""

    blocks: tuple[Block, ...] = ()
    frozen: tuple[Generation, ...] = ()
    tombstones: tuple[Tombstone, ...] = ()
    horizon: int = field(default=INT64_MIN)  # ticks; older points are gone

    def __post_init__(self) -> None:
        seqs = [b.meta.seq_hi for b in self.blocks]
        assert seqs == sorted(seqs), "blocks out of order"
        assert all(a.seq_hi < b.seq_lo for a, b in zip(self.frozen, self.frozen[1:], strict=False))


def truth_order(block: Block) -> tuple[int, int]:
    """Sort key of blocks: older data first; windows of one flush do not overlap."""
    return block.meta.seq_hi, block.meta.window_start
