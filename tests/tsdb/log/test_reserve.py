"""tsdb.log.reserve: when writing stops, when it goes on, and how often anybody looks."""

from __future__ import annotations

from pathlib import Path

import pytest

from tsdb.errors import Unavailable
from tsdb.limits import GIB, MIB
from tsdb.log.reserve import LOOK_APPENDS, Reserve


class Disk:
    """2 GiB, as full as we say."""

    def __init__(self, free: int) -> None:
        self.free, self.looks = free, 0

    def free_bytes(self, path: Path) -> tuple[int, int]:
        self.looks += 1
        return self.free, 2 * GIB


def test_it_stops_at_one_level_and_goes_on_at_another():
    disk = Disk(GIB)
    reserve = Reserve(disk, Path("/"))
    for free, ok in (
        (GIB, True),
        (GIB - 1, True),
        (GIB // 2 - 1, False),
        (GIB - 1, False),
        (GIB, True),
    ):
        disk.free = free
        if ok:
            reserve.check(0, now=True)
        else:
            with pytest.raises(Unavailable, match="disk full: / is below") as caught:
                reserve.check(0, now=True)
            assert (caught.value.code, caught.value.retry_after_s) == ("disk_full", 30)


def test_it_looks_now_and_then_and_after_64_mib():
    disk = Disk(GIB)
    reserve = Reserve(disk, Path("/"))
    for _ in range(10 * LOOK_APPENDS):
        reserve.check(100, now=False)
    assert disk.looks == 10 + (10 * LOOK_APPENDS % LOOK_APPENDS > 0)

    disk.looks = 0
    for _ in range(100):
        reserve.check(16 * MIB, now=False)
    assert disk.looks >= 20


def test_a_stopped_one_looks_each_time():
    disk = Disk(0)
    reserve = Reserve(disk, Path("/"))
    for _ in range(3):
        with pytest.raises(Unavailable):
            reserve.check(0, now=False)
    disk.free = GIB

    reserve.check(0, now=False)
    assert disk.looks == 4
