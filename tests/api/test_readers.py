"""api.readers: bounded callers, results on the loop, iterators pulled piece by piece."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from api.readers import Job, Postponed, Readers
from api.turns import Memory
from tsdb.errors import Unavailable


def test_work_runs_in_a_thread_and_its_result_comes_back() -> None:
    async def talk() -> tuple[int, bool]:
        readers = Readers("read", threads=2, callers_max=4)
        async with readers.caller():
            ident = await readers.run(threading.get_ident)
        readers.close()
        return readers.callers, ident != threading.get_ident()

    assert asyncio.run(talk()) == (0, True)


def test_errors_come_back_too() -> None:
    async def talk() -> None:
        readers = Readers("read", threads=1, callers_max=1)
        try:
            async with readers.caller():
                await readers.run(lambda: 1 // 0)
        finally:
            readers.close()
        assert readers.callers == 0

    with pytest.raises(ZeroDivisionError):
        asyncio.run(talk())


def test_callers_past_the_bound_are_told_to_come_back() -> None:
    async def talk() -> None:
        readers = Readers("read", threads=1, callers_max=2)
        async with readers.caller(), readers.caller():
            with pytest.raises(Unavailable) as raised:
                async with readers.caller():
                    raise AssertionError("let in")
            assert raised.value.code == "overloaded"
        async with readers.caller():
            assert readers.callers == 1
        readers.close()

    asyncio.run(talk())


def test_pieces_are_pulled_until_there_are_none() -> None:
    def pieces() -> Iterator[bytes]:
        yield b"a"
        yield b"b"

    async def talk() -> list[bytes | None]:
        readers = Readers("read", threads=1, callers_max=1)
        iterator = pieces()
        async with readers.caller():
            found = [await readers.pull(iterator) for _ in range(3)]
        readers.close()
        return found

    assert asyncio.run(talk()) == [b"a", b"b", None]


class Gate:
    """Work that says when it began and ends when it is told; nothing is timed."""

    def __init__(self) -> None:
        self.began, self.go = threading.Event(), threading.Event()

    def __call__(self) -> str:
        self.began.set()
        assert self.go.wait(30)
        return "done"


async def begun(gate: Gate) -> None:
    assert await asyncio.to_thread(gate.began.wait, 30)


def test_clients_take_turns() -> None:
    """Eight jobs of one wait; the one job of another is second."""
    order: list[str] = []

    async def talk() -> None:
        readers = Readers("read", threads=1, callers_max=99)
        async with readers.caller():
            gate = Gate()
            first = readers.begin(gate, "busy")
            await begun(gate)
            jobs = [readers.begin(lambda: order.append("busy"), "busy") for _ in range(8)]
            jobs.append(readers.begin(lambda: order.append("other"), "other"))
            assert readers.waiting == 9
            gate.go.set()
            await asyncio.gather(first.done, *(job.done for job in jobs))
        readers.close()

    asyncio.run(talk())
    assert order == ["busy", "other", *["busy"] * 7]


def test_one_client_never_gets_the_last_thread() -> None:
    async def talk() -> None:
        readers = Readers("read", threads=3, callers_max=99)
        async with readers.caller():
            gates = [Gate() for _ in range(3)]
            jobs = [readers.begin(gate, "busy") for gate in gates]
            await begun(gates[1])
            assert (readers.running, readers.waiting) == (2, 1)
            assert await readers.run(lambda: "at once", "other") == "at once"
            assert not gates[2].began.is_set()
            for gate in gates:
                gate.go.set()
            assert [await job.done for job in jobs] == ["done"] * 3
        readers.close()

    asyncio.run(talk())


def test_what_waits_leaves_at_once_and_is_never_begun() -> None:
    async def talk() -> None:
        readers = Readers("read", threads=1, callers_max=99)
        async with readers.caller():
            gate, never = Gate(), Gate()
            first = readers.begin(gate, "a")
            stopped, left = readers.begin(never, "a"), readers.begin(never, "b")
            readers.stop(stopped, ValueError("stop"))
            with pytest.raises(ValueError, match="stop"):
                await stopped.done
            readers.leave(stopped)
            readers.leave(left)
            assert readers.waiting == 0
            gate.go.set()
            await first.done
            await readers.run(lambda: None, "c")
            assert not never.began.is_set()
        readers.close()

    asyncio.run(talk())


def test_who_stops_waiting_for_a_result_does_not_disturb_the_next() -> None:
    async def talk() -> None:
        readers = Readers("read", threads=1, callers_max=99)
        async with readers.caller():
            gate = Gate()
            running = asyncio.ensure_future(readers.run(gate, "a"))
            queued = asyncio.ensure_future(readers.run(lambda: "queued", "a"))
            await begun(gate)
            queued.cancel()
            running.cancel()
            await asyncio.gather(queued, running, return_exceptions=True)
            assert (readers.running, readers.waiting) == (1, 0)
            gate.go.set()
            assert await readers.run(lambda: "next", "b") == "next"
            assert readers.running == 0
        readers.close()

    asyncio.run(talk())


def test_work_that_needs_memory_waits_without_a_thread() -> None:
    """The third fits beside the first, but not before the second, which came before it."""
    memory = Memory(1000)
    asked: list[int] = []

    def wanting(bytes_: int) -> int:
        if asked.count(bytes_) or memory.take(bytes_):
            return bytes_
        asked.append(bytes_)
        raise Postponed(bytes_)

    async def talk() -> None:
        readers = Readers("read", threads=1, callers_max=99, memory=memory)
        async with readers.caller():
            assert await readers.run(lambda: wanting(600), "a") == 600
            second = readers.begin(lambda: wanting(500), "a")
            third = readers.begin(lambda: wanting(300), "b")
            assert await readers.run(lambda: "small", "c") == "small"
            assert (readers.running, readers.waiting, memory.taken) == (0, 2, 600)
            memory.give(600)
            readers.look()
            assert (await second.done, await third.done) == (500, 300)
            assert memory.taken == 800
        readers.close()

    asyncio.run(talk())


def test_who_waits_for_memory_can_be_stopped_and_others_pass() -> None:
    memory = Memory(1000)

    def wanting(bytes_: int) -> int:
        if memory.take(bytes_):
            return bytes_
        raise Postponed(bytes_)

    async def talk() -> None:
        readers = Readers("read", threads=1, callers_max=99, memory=memory)
        async with readers.caller():
            assert memory.take(600)
            job = readers.begin(lambda: wanting(500), "a")
            await readers.run(lambda: None, "c")
            readers.stop(job, ValueError("stop"))
            with pytest.raises(ValueError, match="stop"):
                await job.done
            readers.leave(job)
            assert readers.waiting == 0
            assert await readers.run(lambda: wanting(300), "b") == 300
        readers.close()

    asyncio.run(talk())


def test_a_stop_while_it_runs_counts_when_it_would_have_to_wait() -> None:
    memory, gate = Memory(1000), Gate()

    def wanting() -> None:
        gate()
        assert not memory.take(500)
        raise Postponed(500)

    async def talk() -> None:
        readers = Readers("read", threads=1, callers_max=99, memory=memory)
        async with readers.caller():
            assert memory.take(600)
            job = readers.begin(wanting, "a")
            await begun(gate)
            readers.stop(job, ValueError("stop"))
            gate.go.set()
            with pytest.raises(ValueError, match="stop"):
                await job.done
            assert readers.waiting == 0
            assert memory.take(300), "nobody waits"
        readers.close()

    asyncio.run(talk())


def test_closing_drops_what_waits_and_waits_for_what_runs() -> None:
    gate = Gate()

    async def talk() -> tuple[Readers, Job, Job]:
        readers = Readers("read", threads=1, callers_max=99)
        async with readers.caller():
            first, second = readers.begin(gate, "a"), readers.begin(gate, "a")
            await begun(gate)
            gate.go.set()
            await first.done
            return readers, first, second

    readers, first, second = asyncio.run(talk())
    readers.close()
    assert first.done.result() == "done"
    assert readers.waiting == 0
    assert second.done.cancelled() or second.done.done()
