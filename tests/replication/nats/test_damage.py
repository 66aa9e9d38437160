"""replication.nats.damage: a copy with a hole is seen, and copied anew from the others."""

from __future__ import annotations

import asyncio
import subprocess
import time

import pytest

from replication.nats.config import render
from replication.nats.connection import Nats
from replication.nats.damage import Copy, damaged, survey, tend, why_damaged, why_not_now


def copy_on(node, *, leader="a", first=1, last=10, messages=10):
    return Copy(node, "s", "g", leader, first, last, messages)


def test_a_copy_is_damaged_when_its_messages_do_not_add_up():
    assert why_damaged(copy_on("a")) is None
    assert why_damaged(copy_on("a", first=1, last=0, messages=0)) is None
    assert "3 messages" in why_damaged(copy_on("a", messages=7))
    later = copy_on("a", first=5, messages=6)
    assert why_damaged(later) is None
    assert why_damaged(later, [copy_on("b"), copy_on("c", first=5, messages=6)]) is None
    assert "begins at 5" in why_damaged(later, [copy_on("b"), copy_on("c", first=4, messages=7)])
    assert why_damaged(later, [copy_on("b", messages=9)]) is None


def test_a_copy_is_taken_away_only_while_all_others_are_whole_and_lead():
    sound = [copy_on("a"), copy_on("b"), copy_on("c", messages=3)]
    assert why_not_now(sound, "c", 3) is None
    assert "answer" in why_not_now(sound[1:], "c", 3)
    assert "b have holes" in why_not_now([sound[0], copy_on("b", messages=3), sound[2]], "c", 3)
    led_by_it = [copy_on(node, leader="c") for node in "abc"]
    assert "leads" in why_not_now(led_by_it, "c", 3)
    torn = [copy_on("a", leader="a"), copy_on("b", leader="b"), sound[2]]
    assert "leads" in why_not_now(torn, "c", 3)


def test_a_survey_hears_of_every_copy(servers):
    log = servers.new_log()
    for n in range(3):
        servers.run(log.append(b"%d" % n, f"s:{n}", timeout_s=10))

    until = time.monotonic() + 10
    while True:
        seen = servers.run(survey(servers.nodes[1]))
        copies = seen.of(log.name)
        if [copy.messages for copy in copies] == [3, 3, 3] or time.monotonic() > until:
            break
    assert seen.answered == {"n0", "n1", "n2"}
    assert not seen.careless
    assert {copy.node for copy in copies} == {"n0", "n1", "n2"}
    assert all(copy.is_whole and copy.last_seq == 3 for copy in copies)
    assert len({copy.raft_group for copy in copies}) == 1


def test_a_server_that_does_not_fsync_before_it_acks_is_named(make_settings, tmp_path, monkeypatch):
    def careless(*told):
        return render(*told).replace('"always"', '"2m"')

    monkeypatch.setattr("replication.nats.child.render", careless)
    (settings,) = make_settings("careless", 1, replicas=1)

    async def live():
        nats = await Nats.open(settings, tmp_path)
        await nats.ready()
        seen = await survey(nats)
        await nats.close()
        return seen

    assert asyncio.run(live()).careless == {"n0"}


@pytest.mark.slow
def test_a_block_cut_short_is_found_and_mended(own_servers, read_first):
    """Without the repair, the copy stays short for good and may even lead."""
    servers = own_servers
    log = servers.new_log()

    async def fill(start, count):
        for n in range(start, start + count):
            await log.append(bytes(200_000), f"s:{n}", timeout_s=20)

    servers.run(fill(0, 60), 120)
    node = next(n for n in servers.nodes if n.settings.node != servers.run(log.state()).leader)

    async def hurt():
        async with node.child.rest():
            blocks = sorted(
                (node.child.store / "silverback" / "streams" / log.name / "msgs").glob("*.blk"),
                key=lambda path: int(path.stem),
            )
            assert len(blocks) > 1, "the first block must not be the last"
            with blocks[0].open("r+b") as file:
                file.truncate(1_000_000)

    servers.run(hurt())
    name = node.settings.node

    def ours(last_seq):
        until = time.monotonic() + 20
        while True:
            found = [c for c in servers.run(survey(node)).of(log.name) if c.node == name]
            if found and (found[0].last_seq == last_seq or time.monotonic() > until):
                return found[0]

    assert "missing" in why_damaged(ours(60))

    assert len(servers.run(read_first(node.log(log.shard, 1), 60), 60)) == 60

    async def barrier(stream):
        return await stream.append(b"", "barrier", timeout_s=20)

    async def mend():
        tending = asyncio.create_task(tend(node, barrier, every_s=0.5))
        async with asyncio.timeout(60):
            while not (node.child.place.directory / "quarantine").exists() or damaged(
                await survey(node), name
            ):
                await asyncio.sleep(0.1)
        tending.cancel()

    servers.run(mend(), 90)
    mended = ours(61)
    assert why_damaged(mended) is None
    assert mended.messages == 61
    quarantine = node.child.place.directory / "quarantine"
    assert [path.name for path in quarantine.iterdir()] == [f"{log.name}-1"]
    assert len(servers.run(read_first(log, 61), 60)) == 61


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 60 MB; root alone may make one."""
    place = tmp_path / "small"
    place.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=60m", "tmpfs", place], capture_output=True, check=False
    )
    if made.returncode:
        pytest.skip("no file system can be mounted here")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


@pytest.mark.slow
def test_a_server_whose_disk_was_full_goes_on_when_there_is_room(
    tmp_path, small_disk, make_servers, monkeypatch
):
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "n1").symlink_to(small_disk)
    servers = make_servers(tmp_path / "c")
    log, node = servers.new_log(), servers.nodes[1]
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(50 << 20))
    monkeypatch.setattr("replication.nats.damage._ROOM_BYTES", 20 << 20)

    async def barrier(stream):
        return await stream.append(b"", "barrier", timeout_s=20)

    async def live():
        for n in range(20):
            await log.append(bytes(1_000_000), f"s:{n}", timeout_s=20)
        async with asyncio.timeout(60):
            while "n1" not in (await survey(node)).disabled:
                await asyncio.sleep(0.1)
            tending = asyncio.create_task(tend(node, barrier, every_s=0.3))
            await asyncio.sleep(1)
            assert "n1" in (await survey(node)).disabled
            ballast.unlink()
            while True:
                ours = [copy for copy in (await survey(node)).of(log.name) if copy.node == "n1"]
                if ours and ours[0].messages == 20:
                    break
                await asyncio.sleep(0.1)
        tending.cancel()
        return ours[0]

    copy = servers.run(live(), 90)
    assert copy.is_whole
    assert node.child.restarts == 0
