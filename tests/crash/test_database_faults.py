"""The n-th file operation fails, for every n: what was acked stays, what failed is told by type.

A step whose call failed may have happened or not ("unknown"); every other step must be in force,
as long as the process lives and after it starts again on a healed disk.
"""

from __future__ import annotations

import contextlib
import itertools

import pytest
from crash.database_life import Held, Life, Step, full_life, held_by
from crash.disk import SimulatedDisk
from crash.faults import Fault, FaultyFiles

import tsdb
from tsdb.errors import StorageFailed, TSDBError, Unavailable

CALLS_MAX = 2_000
CALLS_MIN = 50  # fewer calls than that would be no script worth sweeping
EVERY_NTH_IN_CI = 5


def run(life: Life, files: FaultyFiles) -> tuple[list[int], list[int], list[BaseException]]:
    """Acked steps, unknown steps, and the errors; stops when the database cannot be opened."""
    acked: list[int] = []
    unknown: list[int] = []
    errors: list[BaseException] = []
    try:
        db = life.open(files)
    except TSDBError as error:
        return acked, unknown, [error]
    for number, step in enumerate(life.steps):
        try:
            if step.name == "reopen":
                db.close()
                db = life.open(files)
            else:
                step.run(db)
        except TSDBError as error:
            errors.append(error)
            if step.name == "reopen":
                break
            if step.changes:
                unknown.append(number)
            continue
        if step.changes:
            acked.append(number)
            assert possible(life.steps, acked, unknown, held_by(db)), f"after step {number}"
    with contextlib.suppress(TSDBError):
        db.close()
    return acked, unknown, errors


def possible(steps: list[Step], acked: list[int], unknown: list[int], held: Held) -> bool:
    """Whether `held` is the model after all acked steps and some of the unknown ones."""
    for size in range(len(unknown) + 1):
        for kept in itertools.combinations(unknown, size):
            model: Held = {}
            for number in sorted([*acked, *kept]):
                model = steps[number].after(model)
            if model == held:
                return True
    return False


def sweep(fault: Fault, *, every: int, last: int | None = 1) -> int:
    life = Life(tsdb.open, full_life())
    for nth in range(1, CALLS_MAX, every):
        disk = SimulatedDisk()
        files = FaultyFiles(disk, nth, fault, last)
        acked, unknown, errors = run(life, files)
        where = f"{fault.name} at call {nth} ({files.fired})"
        for error in errors:
            assert isinstance(error, Unavailable | StorageFailed), f"{where}: {error!r}"
        # The process ends; what it left in the page cache is there for the next one.
        left = disk.copy()
        db = life.open(left)
        try:
            assert possible(life.steps, acked, unknown, held_by(db)), f"{where}: {held_by(db)}"
        finally:
            db.close()
        if not files.fired:
            return nth
    raise AssertionError("the script has more calls than the sweep")


@pytest.mark.parametrize("fault", Fault)
def test_one_failing_call_costs_nothing_acked(fault: Fault) -> None:
    assert sweep(fault, every=EVERY_NTH_IN_CI) > CALLS_MIN


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("fault", Fault)
def test_each_failing_call_costs_nothing_acked(fault: Fault) -> None:
    assert sweep(fault, every=1) > CALLS_MIN


def test_a_disk_that_stays_full_costs_nothing_acked() -> None:
    assert sweep(Fault.ENOSPC, every=EVERY_NTH_IN_CI * 2, last=None) > CALLS_MIN
