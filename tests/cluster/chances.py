"""What may happen in one life, and how often against each other; drawn once, from its seed."""

from __future__ import annotations

import random

SERIES = [f"s{n}" for n in range(10)]
WEIGHTS = {
    "write": 30, "deliver": 60, "retry": 6, "give_up": 5, "follow": 50, "step": 40, "sync": 8,
    "flush": 5, "compact": 1, "barrier": 3, "audit": 4, "trim": 4, "pass_time": 6,
    "kill": 2, "power_cut": 2, "power_cut_all": 0.4, "crash_inside": 4, "restart": 12,
    "pause": 1.5, "resume": 4, "cut_off": 1.5, "join": 4, "lose_majority": 1.5,
    "regain_majority": 4, "fill_disk": 1, "empty_disk": 4, "flip": 8, "skip": 0.5, "again": 2,
    "reread": 3, "long_silence": 0.4, "recopy": 2, "copy": 30,
}  # fmt: skip
FAULTS = (
    "retry", "give_up", "trim", "kill", "power_cut", "power_cut_all", "crash_inside", "pause",
    "cut_off", "lose_majority", "fill_disk", "flip", "skip", "again", "reread", "long_silence",
    "recopy",
)  # fmt: skip
STORMS = 0.3
"""Of all lives, so many are short of nothing but power: few series, and many checkpoints."""
STORM = {
    "write": 30, "deliver": 90, "follow": 60, "step": 30, "flush": 12, "power_cut": 10,
    "restart": 40, "audit": 20, "crash_inside": 5, "sync": 2,
}  # fmt: skip


class Chances:
    """Of one life: some faults are left out, the rest is more or less likely."""

    def __init__(self, rng: random.Random) -> None:
        self.freezes = rng.choice([0.0, 0.0, 0.1, 0.4])
        self.expiry = rng.choice([8, 20, 60, 1 << 20])  # messages until a sender is forgotten
        left_out = {fault for fault in FAULTS if rng.random() < 0.4}
        self.weights = {
            action: weight * rng.choice([0.3, 1, 1, 3])
            for action, weight in WEIGHTS.items()
            if action not in left_out
        }
        self.deletes = rng.choice([0.05, 0.15, 0.4])
        self.beside = rng.choice([0.02, 0.15, 0.4])  # of upkeep's operations have an apply between
        self.series = SERIES
        if rng.random() < STORMS:
            self.weights = STORM
            self.deletes, self.beside, self.series = 0.3, 0.3, SERIES[:4]
