"""silverback inspect, verify, snapshot: a data directory as files, in use or not."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import tsdb
from api import cli
from api.exits import Exit
from tsdb.block.layout import CHUNKS, INDEX

T = 1_769_860_800_000
SERIES, POINTS = 20, 3_000


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two metrics in blocks, one point in the log."""
    path = tmp_path / "db"
    stamps = T + 10_000 * np.arange(POINTS)
    random = np.random.default_rng(3)
    with tsdb.open(path, background=False) as db:
        db.write_many(
            [f'small{{i="{i}"}}' for i in range(SERIES)],
            [stamps] * SERIES,
            [np.full(POINTS, float(i)) for i in range(SERIES)],
        )
        db.write("large", stamps, random.random(POINTS))
        db.flush()
        db.write("late", [T], [1.0])
    return path


def documents(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict]:
    code = cli.run([*arguments, "--json"])
    return code, json.loads(capsys.readouterr().out)


def flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 0x10
    path.write_bytes(content)


def files(data: Path) -> list[tuple[Path, int]]:
    """All files; with their times, but for the log, whose owner goes on marking it."""
    return sorted((p, 0 if "wal" in p.parts else p.stat().st_mtime_ns) for p in data.rglob("*"))


def first(data: Path, name: str) -> Path:
    return sorted((data / "blocks").glob(f"*/{name}"))[0]


def test_inspect_counts_what_is_there(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, found = documents(capsys, "inspect", str(data), "--codes")

    assert code == Exit.OK
    assert found["points"] == (SERIES + 1) * POINTS
    assert found["points"] == sum(block["points"] for block in found["blocks"])
    assert [(use["name"], use["series"], use["points"]) for use in found["metrics"]] == [
        ("large", 1, POINTS),
        ("small", SERIES, SERIES * POINTS),
    ]
    assert found["metrics"][0]["bits_per_point"] > 50
    assert found["metrics"][1]["bits_per_point"] < 4
    assert found["log"]["points"] == 1
    assert found["codes"]["points"] == found["points"]
    sizes = sum(f.stat().st_size for f in (data / "blocks").rglob("*") if f.is_file())
    assert found["bytes"] == sizes


def test_inspect_is_for_people_too(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["inspect", str(data), "--top", "1"]) == Exit.OK

    text = capsys.readouterr().out
    assert "resolution ms" in text
    assert "large" in text
    assert "1 more metrics" in text
    assert "1 points in" in text


def test_inspect_and_verify_need_no_lock(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A running server is no reason not to look, and looking changes nothing."""
    with tsdb.open(data) as db:
        db.write("late", [T + 1], [2.0])
        before = files(data)
        assert documents(capsys, "inspect", str(data))[0] == Exit.OK
        assert documents(capsys, "verify", str(data))[0] == Exit.OK
        assert files(data) == before


def test_verify_finds_nothing_wrong_with_a_sound_directory(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, found = documents(capsys, "verify", str(data), "--deep")

    assert code == Exit.OK
    assert found["sound"]
    assert found["looked_at"] > 3


@pytest.mark.parametrize(("name", "at"), [(CHUNKS, 40), (INDEX, 700)])
def test_verify_names_a_flipped_bit(
    data: Path, capsys: pytest.CaptureFixture[str], name: str, at: int
) -> None:
    path = first(data, name)
    flip(path, at)

    code, found = documents(capsys, "verify", str(data))
    assert code == Exit.DIFFERENT
    assert [finding["path"] for finding in found["findings"]] == [str(path)]

    assert cli.run(["verify", str(data)]) == Exit.DIFFERENT
    assert str(path) in capsys.readouterr().out


def test_verify_names_damage_of_log_manifest_and_index(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = sorted(data.glob("MANIFEST-*"))[-1]
    index = next((data / "index").iterdir())
    flip(manifest, 100)
    flip(index, index.stat().st_size // 2)

    code, found = documents(capsys, "verify", str(data))

    assert code == Exit.DIFFERENT
    assert {str(manifest), str(index)} <= {finding["path"] for finding in found["findings"]}


def test_inspect_goes_on_around_damage(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first(data, INDEX).unlink()

    code, found = documents(capsys, "inspect", str(data))

    assert code == Exit.OK
    assert found["damage"]
    assert found["metrics"]


def test_a_snapshot_of_a_directory_is_a_directory(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "copy"
    code, made = documents(capsys, "snapshot", str(target), "--data", str(data))

    assert (code, made["path"]) == (Exit.OK, str(target))
    assert documents(capsys, "verify", str(target), "--deep")[0] == Exit.OK
    with tsdb.open(target, read_only=True) as copy, tsdb.open(data) as db:
        assert copy.select("{}").points == db.select("{}").points == (SERIES + 1) * POINTS + 1

    code = cli.run(["snapshot", str(target), "--data", str(data)])
    assert (code, "exists" in capsys.readouterr().err) == (Exit.BAD_DATA, True)


def test_a_server_makes_its_own_snapshot(server, capsys: pytest.CaptureFixture[str]) -> None:
    server("PUT", "/kv/cli/snapshot", [[T / 1000, 1]])

    code, made = documents(capsys, "snapshot", "--url", f"127.0.0.1:{server.port}")

    assert code == Exit.OK
    with tsdb.open(server.database.path / made["path"], read_only=True) as copy:
        assert copy.select("cli/snapshot").points == 1
