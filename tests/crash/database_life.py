"""Lives of a whole database on the simulated disk, and what must hold on every disk they leave.

    in   an `open` function (production's, or a mutant's) and a list of steps
    out  script(disk) and check(image, acked, sent) for crash.states.explore

Steps go one at a time, so the database after a power cut must be the model after all acked steps,
or after the one step more that was under way: a request is kept whole or not at all.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from crash.disk import SimulatedDisk

HOUR_MS = 3_600_000
START_MS = 1_700_000_000_000 // (6 * HOUR_MS) * (6 * HOUR_MS)
INT64_MAX = 2**63 - 1
Held = dict[str, dict[int, int]]  # series -> timestamp -> value bits
MEMORY_BYTES = 1  # the smallest head: opening must be cheap here


@dataclass(frozen=True)
class Step:
    """What to do; `arguments` are plain values, so a step can be applied to a model too."""

    name: str
    arguments: tuple

    def run(self, db: Any) -> None:
        if self.name == "write":
            series = sorted({s for s, _, _ in self.arguments})
            points = [[(t, b) for s, t, b in self.arguments if s == one] for one in series]
            stamps = [np.array([t for t, _ in p], np.int64) for p in points]
            bits = [np.array([b for _, b in p], np.uint64).view(np.float64) for p in points]
            db.write_many(series, stamps, bits)
        elif self.name == "delete":
            db.delete(*self.arguments)
        elif self.name == "forget":
            db.forget_before(*self.arguments)
        elif self.name == "snapshot":
            db.snapshot(*self.arguments)
        else:
            getattr(db, self.name)()

    @property
    def changes(self) -> bool:
        return self.name in ("write", "delete", "forget")

    def after(self, held: Held) -> Held:
        held = {series: dict(points) for series, points in held.items()}
        if self.name == "write":
            for series, t, b in self.arguments:
                held.setdefault(series, {})[t] = b
        elif self.name == "delete":
            selector, start, end = self.arguments
            for series, points in held.items():
                if series.partition("{")[0] == selector or series == selector:
                    held[series] = {t: b for t, b in points.items() if not start <= t <= end}
        elif self.name == "forget":
            held = {
                s: {t: b for t, b in p.items() if t >= self.arguments[0]} for s, p in held.items()
            }
        return {series: points for series, points in held.items() if points}


def full_life() -> list[Step]:
    """Everything a database does, once or twice, in an order in which each step matters."""

    def write(*points: tuple[str, int, int]) -> Step:
        return Step("write", tuple((s, START_MS + t * HOUR_MS // 4, b) for s, t, b in points))

    return [
        write(('cpu{host="a"}', 0, 1), ('cpu{host="b"}', 0, 2)),
        write(('cpu{host="a"}', 1, 3), ("mem", 1, 4)),
        Step("flush", ()),
        write(('cpu{host="a"}', 0, 5), ('cpu{host="a"}', 9, 6), ("net", 2, 7)),
        Step("delete", ("cpu", START_MS, START_MS + HOUR_MS // 8)),
        Step("flush", ()),
        write(('cpu{host="b"}', 0, 8), ("mem", 10, 9)),
        Step("delete", ("mem", START_MS, INT64_MAX)),
        Step("flush", ()),
        Step("compact", ()),
        write(("mem", 3, 10)),
        Step("forget", (START_MS + HOUR_MS // 4,)),
        Step("snapshot", ("/copy",)),
        write(("mem", 11, 11), ("late", 2, 12)),
        Step("reopen", ()),
        write(("late", 1, 13)),
    ]


def random_life(seed: int, steps: int = 14) -> list[Step]:
    rng = random.Random(seed)
    names = ['cpu{host="a"}', 'cpu{host="b"}', "mem", "disk"]
    chosen: list[Step] = []
    horizon = START_MS
    while len(chosen) < steps:
        what = rng.choices(
            ["write", "delete", "forget", "flush", "compact", "reopen"], [8, 3, 1, 4, 2, 1]
        )[0]
        if what == "write":
            points = [
                (
                    rng.choice(names),
                    START_MS + rng.randrange(40) * HOUR_MS // 4,
                    rng.getrandbits(64),
                )
                for _ in range(rng.randint(1, 4))
            ]
            chosen.append(
                Step(
                    "write",
                    tuple(p for p in points if p[1] >= horizon)
                    or ((names[0], horizon + HOUR_MS, 1),),
                )
            )
        elif what == "delete":
            a, b = sorted(START_MS + rng.randrange(40) * HOUR_MS // 4 for _ in range(2))
            chosen.append(Step("delete", (rng.choice(["cpu", "mem", "disk"]), a, b)))
        elif what == "forget":
            horizon = max(horizon, START_MS + rng.randrange(8) * HOUR_MS // 4)
            chosen.append(Step("forget", (horizon,)))
        else:
            chosen.append(Step(what, ()))
    return chosen


@dataclass
class Life:
    """A list of steps, run by `opened` (tsdb.open, or that of a mutant)."""

    opened: Callable[..., Any]
    steps: list[Step]

    def open(self, disk: SimulatedDisk, path: str = "/db") -> Any:
        return self.opened(path, files=disk, background=False, memory_limit_bytes=MEMORY_BYTES)

    def script(self, disk: SimulatedDisk) -> None:
        db = self.open(disk)
        for number, step in enumerate(self.steps):
            if step.changes:
                disk.sent(number)
            if step.name == "reopen":
                db.close()
                db = self.open(disk)
            else:
                step.run(db)
            if step.changes:
                disk.acked(number)
        db.close()

    def check(self, image: SimulatedDisk, acked: list, sent: list) -> None:
        """The image opens, holds the acked steps and takes new ones, which stay."""
        db = self.open(image)
        try:
            held = held_by(db)
            allowed = [self.model(acked), self.model(sent)]
            assert held in allowed, f"holds {held}, acked {allowed[0]}, sent {allowed[1]}"
            fresh = Step("write", (("fresh", START_MS + 12 * HOUR_MS, 77),))
            fresh.run(db)
        finally:
            db.close()
        db = self.opened("/db", files=image, read_only=True, memory_limit_bytes=MEMORY_BYTES)
        try:
            assert held_by(db) == fresh.after(held), "another start shows something else"
        finally:
            db.close()

    def model(self, numbers: list) -> Held:
        held: Held = {}
        for number in sorted(numbers):
            held = self.steps[number].after(held)
        return held


def held_by(db: Any) -> Held:
    selection = db.select("{}")
    assert not selection.warnings, selection.warnings
    return {
        str(s.labels): dict(
            zip(s.timestamps.tolist(), s.values.view(np.uint64).tolist(), strict=True)
        )
        for s in selection
    }
