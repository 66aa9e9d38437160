"""tsdb.log.wal: what was acked survives every power cut and every failing call."""

from __future__ import annotations

import functools

import pytest
from crash import wal_scripts, wal_trials
from crash.faults import Fault
from crash.states import explore

from tsdb.log import wal

SCRIPTS = [wal_scripts.life, wal_scripts.unsynced, wal_scripts.restarts]


def name_of(script) -> str:
    return script.__name__


@pytest.mark.parametrize("script", SCRIPTS, ids=name_of)
def test_acked_entries_survive_every_power_cut(script):
    report = wal_trials.explore_log(script, wal, seed=1)

    assert not report.violations, report


def test_a_split_payload_is_whole_or_not_there(monkeypatch):
    """Payloads above 600 bytes take five records here."""
    monkeypatch.setattr(wal.record, "ENTRY_BYTES_MAX", 150)

    report = wal_trials.explore_log(wal_scripts.splitting, wal, seed=1)

    assert not report.violations, report
    assert report.images > 100


def test_acked_entries_survive_in_three_thousand_images():
    """Random lives of a log; the writes of each are torn in places of their own."""
    images = 0
    for seed in range(7):
        script = functools.partial(wal_scripts.random_life, seed)
        report = wal_trials.explore_log(script, wal, seed=seed)
        assert not report.violations, f"life {seed}: {report}"
        images += report.images
    assert images >= 3000


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_acked_entries_survive_in_many_more_images():
    for seed in range(100, 140):
        script = functools.partial(wal_scripts.random_life, seed)
        report = wal_trials.explore_log(script, wal, seed=seed)
        assert not report.violations, f"life {seed}: {report}"


@pytest.mark.parametrize("script", SCRIPTS, ids=name_of)
def test_recovery_may_be_cut_off_anywhere(script):
    report = explore(
        functools.partial(script, wal),
        functools.partial(wal_trials.check_recovery_of_recovery, wal),
        per_point=12,
        seed=2,
    )

    assert not report.violations, report


@pytest.mark.parametrize("last", [1, None], ids=["once", "from then on"])
@pytest.mark.parametrize("fault", Fault)
def test_any_call_may_fail(fault, last):
    assert wal_trials.check_sweep(wal, fault=fault, last=last) > 20


def test_a_failed_sync_is_the_end():
    wal_trials.check_latch(wal)
    assert wal_trials.LAST_APPEND
