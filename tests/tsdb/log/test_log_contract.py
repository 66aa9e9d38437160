"""tsdb.log.protocol: each implementation we have keeps the contract."""

from __future__ import annotations

from pathlib import Path

import pytest
from crash.disk import SimulatedDisk
from crash.log_contract import LogContract
from crash.memory_log import MemoryLog

from tsdb.log.wal import Wal
from tsdb.vfs import OsFiles

DATABASE = bytes(16)


class TestMemoryLog(LogContract):
    @pytest.fixture
    def reopen(self):
        logs: list[MemoryLog] = []

        def open_log() -> MemoryLog:
            logs.append(
                MemoryLog(logs[-1].entries, logs[-1].info().last_seq) if logs else MemoryLog()
            )
            return logs[-1]

        return open_log


class TestWalOnASimulatedDisk(LogContract):
    @pytest.fixture
    def reopen(self):
        disk = SimulatedDisk()
        return lambda: Wal.open(disk, Path("/wal"), database_id=DATABASE, segment_bytes_max=2000)


class TestWalOnARealDisk(LogContract):
    @pytest.fixture
    def reopen(self, tmp_path: Path):
        return lambda: Wal.open(OsFiles(), tmp_path / "wal", database_id=DATABASE)


def test_the_contract_is_run():
    assert issubclass(TestWalOnARealDisk, LogContract)
