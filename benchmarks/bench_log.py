"""Question: what does durability cost, and how fast does a log come back?

    append   groups of 1, 8, 64 entries of 200 B, and 1 of 64 KiB: appends and entries a second
    replay   entries a second of 100 B and MB/s of 256 KiB entries       (>= 150 k/s, >= 500 MB/s)
    open     sealed segments (digest) and one killed without a seal (record by record), MB/s

Baseline, same run: the same bytes by pwrite and fdatasync into preallocated zeros, nothing else;
for replay the same file by pread alone. Appends wait for the disk, so they are wall time; the
rest is thread CPU time. Medians. Every entry that was written is read back and compared.
Run: python -m benchmarks.bench_log [--json] [--small] [--folder DIR]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from tsdb.log.protocol import Kind
from tsdb.log.wal import Wal
from tsdb.vfs import OsFiles

DATABASE = bytes(range(16))
READ_BYTES = 1 << 20


def fresh(folder: Path, name: str) -> Wal:
    return Wal.open(OsFiles(), folder / name, database_id=DATABASE)


class Raw:
    """The floor: one write and one fdatasync, on preallocated space, of the same size."""

    def __init__(self, path: Path, size: int, rounds: int) -> None:
        self.fd = os.open(path, os.O_CREAT | os.O_RDWR)
        os.posix_fallocate(self.fd, 0, size * rounds)
        os.fsync(self.fd)
        self.data, self.end = os.urandom(size), 0

    def append(self) -> None:
        os.pwrite(self.fd, self.data, self.end)
        os.fdatasync(self.fd)
        self.end += len(self.data)


def append(folder: Path, entries: int, size: int, rounds: int) -> dict[str, float]:
    name = f"append-{entries}-{size}"
    wal = fresh(folder, name)
    raw = Raw(folder / f"raw-{name}", entries * (size + 48 + -size % 8), rounds)
    payloads = [os.urandom(size) for _ in range(entries)]
    group = [(Kind.POINTS, payload) for payload in payloads]
    took: dict[str, list[float]] = {"us": [], "raw_us": []}
    for _ in range(rounds):  # in turn, so that both meet the same disk
        for what, call in (("us", lambda: wal.append(group)), ("raw_us", raw.append)):
            begun = time.perf_counter()
            call()
            took[what].append((time.perf_counter() - begun) * 1e6)
    cpu = []
    for _ in range(rounds):
        begun = time.thread_time()
        wal.append(group, sync=False)
        cpu.append((time.thread_time() - begun) * 1e6)
    os.close(raw.fd)
    wal.close()
    found = [entry.payload for entry in fresh(folder, name).read(1)]
    assert found == payloads * rounds * 2
    us, raw_us = statistics.median(took["us"]), statistics.median(took["raw_us"])
    return {
        "us": us,
        "raw_us": raw_us,
        "times_raw": us / raw_us,
        "cpu_us_without_sync": statistics.median(cpu),
        "entries_per_s": entries / us * 1e6,
        "MB_per_s": entries * size / us,
    }


def replay(folder: Path, size: int, total: int) -> dict[str, float]:
    """Opening and reading a log of `total` bytes, closed and killed."""
    payload = os.urandom(size)
    count = total // size
    wal = fresh(folder, f"replay-{size}")
    for _ in range(max(count // 1000, 1)):
        wal.append([(Kind.POINTS, payload)] * min(count, 1000), sync=False)
    wal.barrier()
    figures = {"open_walk_MB_per_s": opened(folder, f"replay-{size}", seal=False)}
    wal = fresh(folder, f"replay-{size}")
    wal.append([(Kind.POINTS, payload)])
    wal.close()
    figures["open_sealed_MB_per_s"] = opened(folder, f"replay-{size}", seal=True)
    wal = fresh(folder, f"replay-{size}")
    took, entries, bytes_ = [], 0, 0
    for _ in range(3):
        begun = time.thread_time()
        entries = bytes_ = 0
        for entry in wal.read(1):
            entries += 1
            bytes_ += len(entry.payload)
        took.append(time.thread_time() - begun)
    assert all(entry.payload == payload for entry in wal.read(1))
    s = statistics.median(took)
    figures["entries_per_s"] = entries / s
    figures["MB_per_s"] = bytes_ / s / 1e6
    figures["pread_MB_per_s"] = pread_speed(folder / f"replay-{size}")
    wal.close()
    return figures


def opened(folder: Path, name: str, *, seal: bool) -> float:
    took, size = [], sum(path.stat().st_size for path in (folder / name).iterdir())
    for _ in range(3):
        begun = time.thread_time()
        wal = Wal.open(OsFiles(), folder / name, database_id=DATABASE, read_only=True)
        took.append(time.thread_time() - begun)
        assert wal.info().last_seq > 0
        assert not wal.info().holes
        assert seal or wal.info().last_seq >= wal.info().durable_seq
    return size / statistics.median(took) / 1e6


def pread_speed(folder: Path) -> float:
    took, size = [], 0
    for _ in range(3):
        begun, size = time.thread_time(), 0
        for path in folder.iterdir():
            fd = os.open(path, os.O_RDONLY)
            offset = 0
            while data := os.pread(fd, READ_BYTES, offset):
                offset += len(data)
            os.close(fd)
            size += offset
        took.append(time.thread_time() - begun)
    return size / statistics.median(took) / 1e6


def measure(folder: Path, *, small: bool) -> dict[str, Any]:
    rounds, total = (100, 16 << 20) if small else (1000, 256 << 20)
    figures: dict[str, Any] = {}
    for entries, size in ((1, 200), (8, 200), (64, 200), (1, 64 << 10)):
        figures[f"append {entries} x {size} B"] = append(folder, entries, size, rounds)
    for size, part in ((100, 4), (1000, 2), (256 << 10, 1)):
        figures[f"replay {size} B"] = replay(folder, size, total // part)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--folder", type=Path, help="on the disk to measure; default: temporary")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        figures = measure(Path(folder), small=given.small)
    if given.json:
        print(json.dumps(figures))
        return
    for name, values in figures.items():
        print(name)
        for what, value in values.items():
            print(f"    {what:22} {value:14,.1f}")


if __name__ == "__main__":
    main()
