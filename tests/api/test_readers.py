"""api.readers: bounded callers, results on the loop, iterators pulled piece by piece."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from api.readers import Readers
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
