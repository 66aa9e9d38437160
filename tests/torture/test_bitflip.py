"""Any one flipped bit, cut or removed file: never a wrong value, the damage named, the rest served.

Over a small database with blocks, index files, a manifest and a log that is not flushed yet. Each
damage is done to a copy of its disk; the database is opened on it and asked for everything.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import pytest
from crash.disk import SimulatedDisk

import tsdb

START_MS = 1_700_000_000_000
Held = dict[str, dict[int, int]]


def built() -> tuple[SimulatedDisk, Held]:
    """A closed database and what it holds: no point twice, so no older one can come back."""
    disk = SimulatedDisk()
    held: Held = {}
    rng = np.random.default_rng(1)
    with tsdb.open("/db", files=disk, background=False, memory_limit_bytes=1) as db:
        for part in range(3):
            for series in ("a", "b", f"only_{part}"):
                stamps = START_MS + (part * 400 + np.arange(300)) * 10_000
                values = np.round(rng.normal(50, 9, stamps.size), 2)
                db.write(series, stamps, values)
                points = zip(stamps.tolist(), values.view(np.uint64).tolist(), strict=True)
                held.setdefault(series, {}).update(points)
            if part < 2:
                db.flush()
    return disk, held


def judged(disk: SimulatedDisk, held: Held, what: str, *, may_be_silent: bool) -> str:
    """ "whole", "named" or "refused"; fails on a wrong value or on silence about a loss."""
    try:
        db = tsdb.open("/db", files=disk, background=False, memory_limit_bytes=1)
    except (tsdb.CorruptionError, tsdb.NewerFormat, tsdb.StorageFailed):
        return "refused"
    try:
        selection = db.select("{}")
        found = 0
        for series in selection:
            expected = held[str(series.labels)]
            for t, bits in zip(
                series.timestamps.tolist(), series.values.view(np.uint64).tolist(), strict=True
            ):
                assert expected.get(t) == bits, f"{what}: {series.labels} at {t} is wrong"
            found += len(series)
        lost = sum(map(len, held.values())) - found
        named = bool(selection.warnings) or db.stats().holes > 0
        assert not lost or named or may_be_silent, (
            f"{what}: {lost} points are gone and nothing says so"
        )
        db.write("fresh", [START_MS], [1.0])
        assert db.select("fresh")[0].values.tolist() == [1.0], "writes go on"
        return "named" if lost else "whole"
    finally:
        db.close()


def flipped(data: bytes, rng: random.Random) -> bytes:
    bit = rng.randrange(len(data) * 8)
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def cut(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data))]


def zeroed(data: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(len(data)) // 512 * 512
    return data[:start] + bytes(len(data[start : start + 512])) + data[start + 512 :]


@pytest.mark.parametrize("damage", [flipped, cut, zeroed], ids=lambda f: f.__name__)
def test_damage_never_makes_a_wrong_value(
    damage: Callable[[bytes, random.Random], bytes],
) -> None:
    disk, held = built()
    paths = [p for p, data in disk.tree().items() if data and "LOCK" not in p]
    kinds = {p.split("/")[2].partition("-")[0] for p in paths}
    assert {"MANIFEST", "blocks", "index", "wal"} <= kinds, kinds
    rng = random.Random(7)
    verdicts: dict[str, int] = {}
    for number in range(150):
        path = paths[number % len(paths)]
        image = disk.copy()
        image.poke(path, damage(disk.tree()[path] or b"", rng))
        # The end of a log that is gone as a whole looks like a write that was under way: the one
        # loss that a single disk cannot tell (docs/explanation/durability.md).
        silent = damage is cut and "/wal/" in path
        what = f"{damage.__name__} {number} of {path}"
        verdict = judged(image, held, what, may_be_silent=silent)
        verdicts[verdict] = verdicts.get(verdict, 0) + 1

    assert verdicts.get("refused", 0) < 75, f"one damaged file took everything: {verdicts}"
    assert verdicts.get("named", 0) + verdicts.get("whole", 0) >= 75, verdicts
