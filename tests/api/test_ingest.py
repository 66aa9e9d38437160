"""api.ingest: bodies are bounded while they arrive; outcomes come back, many to a wake-up."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.exchange import ClientGone, Exchange
from api.ingest import SMALL_BYTES, Ingest, LetterBox
from tsdb.commit.request import Written
from tsdb.errors import InvalidInput, LimitExceeded, Unavailable

MIB = 1 << 20


def an_ingest(**bounds: int) -> Ingest:
    chosen = {"queue_bytes_max": MIB, "body_bytes_max": MIB, "body_encoded_bytes_max": MIB}
    return Ingest(**(chosen | bounds))


def arriving(*pieces: bytes | None, **headers: str) -> Exchange:
    """A request whose body comes in these pieces; None: the client goes away."""
    waiting = list(pieces)

    async def receive() -> Any:
        piece = waiting.pop(0)
        if piece is None:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": piece, "more_body": bool(waiting)}

    names = [(k.replace("_", "-").encode(), v.encode()) for k, v in headers.items()]
    return Exchange({"headers": names, "method": "POST"}, receive, None)  # type: ignore[arg-type]


@given(st.lists(st.binary(max_size=10), min_size=1))
def test_a_body_is_its_pieces(pieces: list[bytes]) -> None:
    body = asyncio.run(an_ingest().body(arriving(*pieces)))

    assert body == b"".join(pieces)


def test_a_declared_size_is_judged_before_a_byte_is_read() -> None:
    exchange = arriving(content_length=str(MIB + 1))  # no pieces: reading would fail

    with pytest.raises(LimitExceeded) as raised:
        asyncio.run(an_ingest().body(exchange))
    assert raised.value.limit == "BODY_ENCODED_BYTES_MAX"


def test_a_chunked_body_is_counted_as_it_comes() -> None:
    pieces = [bytes(MIB // 2)] * 9
    exchange = arriving(*pieces)

    with pytest.raises(LimitExceeded):
        asyncio.run(an_ingest(queue_bytes_max=9 * MIB).body(exchange))


@pytest.mark.parametrize("text", ["x", "-1", "1.5", "9" * 30, ""])
def test_a_length_that_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="Content-Length"):
        asyncio.run(an_ingest().body(arriving(b"", content_length=text)))


def test_a_client_that_goes_away_ends_the_matter() -> None:
    with pytest.raises(ClientGone):
        asyncio.run(an_ingest().body(arriving(b"a", None)))


def test_bodies_that_arrive_together_share_one_bound() -> None:
    """Small ones pass all the same, and what is over gives its room back."""

    async def talk() -> None:
        ingest = an_ingest(queue_bytes_max=4 * SMALL_BYTES)
        gate = asyncio.Event()

        def slow() -> Exchange:
            exchange = arriving(bytes(3 * SMALL_BYTES), bytes(1))
            receive = exchange._receive

            async def held() -> Any:
                message = await receive()
                if not message["more_body"]:
                    await gate.wait()
                return message

            exchange._receive = held
            return exchange

        first = asyncio.create_task(ingest.body(slow()))
        await asyncio.sleep(0)
        with pytest.raises(Unavailable) as raised:
            await ingest.body(slow())
        assert raised.value.code == "busy"
        assert await ingest.body(arriving(b"small", b"one")) == b"smallone"
        gate.set()
        assert len(await first) == 3 * SMALL_BYTES + 1
        assert len(await ingest.body(slow())) == 3 * SMALL_BYTES + 1

    asyncio.run(talk())


def test_every_outcome_arrives_and_bursts_share_a_wake_up() -> None:
    async def talk() -> tuple[list[int], int]:
        loop = asyncio.get_running_loop()
        box = LetterBox(loop)
        futures = [loop.create_future() for _ in range(3_000)]

        def commit() -> None:
            for seq, future in enumerate(futures):
                box.post(future, Written(points=1, seq=seq, durable=True))

        thread = threading.Thread(target=commit)
        thread.start()
        thread.join()  # the loop is not running meanwhile: the burst is whole
        outcomes = await asyncio.gather(*futures)
        return [w.seq for w in outcomes], box.wake_ups

    seqs, wake_ups = asyncio.run(talk())

    assert seqs == list(range(3_000))
    assert wake_ups == 1


def test_no_outcome_is_left_in_the_box() -> None:
    """Four threads post while the loop empties: the last letter always finds its way."""

    async def talk() -> int:
        loop = asyncio.get_running_loop()
        box = LetterBox(loop)
        futures = [[loop.create_future() for _ in range(2_000)] for _ in range(4)]

        def commit(mine: list[Any]) -> None:
            for future in mine:
                box.post(future, Written(points=1, seq=1, durable=True))

        threads = [threading.Thread(target=commit, args=(mine,)) for mine in futures]
        for thread in threads:
            thread.start()
        every = [future for mine in futures for future in mine]
        outcomes = await asyncio.wait_for(asyncio.gather(*every), 30)
        for thread in threads:
            thread.join()
        return sum(w.points for w in outcomes)

    assert asyncio.run(talk()) == 8_000


def test_an_outcome_nobody_waits_for_is_dropped() -> None:
    async def talk() -> bool:
        loop = asyncio.get_running_loop()
        box = LetterBox(loop)
        gone, here = loop.create_future(), loop.create_future()
        gone.cancel()
        box.post(gone, Written(points=1, seq=1, durable=True))
        box.post(here, Written(points=1, seq=2, durable=True))
        return (await here).seq == 2

    assert asyncio.run(talk())


def test_sizes_are_guessed_within_the_cap() -> None:
    ingest = an_ingest()

    assert ingest.decoded_bytes(b"abc", "") == 3
    assert ingest.decoded_bytes(bytes(100) + (5_000).to_bytes(4, "little"), "gzip") == 5_000
    assert ingest.decoded_bytes(b"\xff" * 100, "gzip") == MIB
    assert ingest.decoded_bytes(bytes(100), "zstd") == 800
