"""replication.nats.damage: a copy with a hole is seen, and copied anew from the others."""

from __future__ import annotations

import time
from contextlib import suppress

import pytest

from replication.nats.damage import Copy, repair, survey, why_damaged, why_not_now
from tsdb.errors import Unavailable


def copy_on(node, *, leader="a", first=1, last=10, messages=10):
    return Copy(node, "s", "g", leader, first, last, messages)


def test_a_copy_is_damaged_when_its_messages_do_not_add_up():
    assert why_damaged(copy_on("a")) is None
    assert why_damaged(copy_on("a", first=1, last=0, messages=0)) is None
    assert "3 messages" in why_damaged(copy_on("a", messages=7))
    assert why_damaged(copy_on("a", first=5, messages=6), trimmed_through=4) is None
    assert "begins at 5" in why_damaged(copy_on("a", first=5, messages=6), trimmed_through=3)


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
    lock = servers.run(node.keys("locks"))

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

    async def barrier():
        return await log.append(b"", "barrier", timeout_s=20)

    mended = False
    until = time.monotonic() + 30
    while not mended and time.monotonic() < until:
        with suppress(Unavailable):  # the others have still to see that it is back
            servers.run(repair(node, log.name, lock, barrier), 120)
            mended = True
    mended = ours(61)
    assert why_damaged(mended) is None
    assert mended.messages == 61
    quarantine = node.child.place.directory / "quarantine"
    assert [path.name for path in quarantine.iterdir()] == [f"{log.name}-1"]
    assert len(servers.run(read_first(log, 61), 60)) == 61
