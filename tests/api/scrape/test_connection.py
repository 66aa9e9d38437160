"""api.scrape.connection: whatever bytes come, there is a whole answer or a sentence, at once."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from api.scrape.connection import Response, ScrapeFailed, _ClosedEarly, _Wire

BYTES_MAX = 50
GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\na 1\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\na 1\n\r\n0\r\n\r\n"


class Transport:
    """What of a transport a wire uses."""

    def __init__(self) -> None:
        self.closing = False

    def write(self, data: bytes) -> None:
        pass

    def abort(self) -> None:
        self.closing = True

    def is_closing(self) -> bool:
        return self.closing


def exchanged(pieces: list[bytes]) -> tuple[Response | Exception, bool]:
    """What comes of an answer in these pieces, then the end; and whether the wire is kept."""

    async def ask() -> tuple[Response | Exception, bool]:
        wire, transport = _Wire(), Transport()
        given_up: Any = transport
        wire.connection_made(given_up)
        asking = asyncio.ensure_future(wire.exchange(b"GET", BYTES_MAX, lambda _: None))
        await asyncio.sleep(0)
        for piece in pieces:
            if transport.closing:
                break
            wire.data_received(piece)
        kept = asking.done() or (wire._waiter is not None and wire._waiter.done())
        await asyncio.sleep(0)
        kept = kept and not transport.closing
        wire.connection_lost(None)
        try:
            return await asyncio.wait_for(asking, 1), kept
        except (ScrapeFailed, _ClosedEarly) as error:
            return error, kept

    return asyncio.run(ask())


def cut(data: bytes, places: list[int]) -> list[bytes]:
    at = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[a:b] for a, b in pairwise(at)]


anything = st.one_of(
    st.binary(max_size=80),
    st.builds(
        lambda head, at, put: head[: at % len(head)] + put + head[at % len(head) :],
        st.sampled_from([GOOD, CHUNKED]),
        st.integers(0, 200),
        st.binary(max_size=5),
    ),
)
places = st.lists(st.integers(0, 200), max_size=4)


@given(anything, places)
@example(GOOD, [])
@example(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (BYTES_MAX + 1), [])
@example(GOOD + GOOD, [])
def test_any_bytes_are_an_answer_or_a_sentence(data: bytes, at: list[int]) -> None:
    found, _ = exchanged(cut(data, at))
    if isinstance(found, Response):
        assert len(found.body) <= BYTES_MAX
        assert found.status >= 200
    else:
        assert str(found)


@given(st.sampled_from([GOOD, CHUNKED]), places)
def test_how_an_answer_is_cut_makes_no_difference(data: bytes, at: list[int]) -> None:
    found, kept = exchanged(cut(data, at))
    assert isinstance(found, Response)
    assert (found.status, found.body, kept) == (200, b"a 1\n", True)


def test_what_is_not_kept() -> None:
    for answer in (
        GOOD.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1),
        b"HTTP/1.0 200 OK\r\nContent-Length: 4\r\n\r\na 1\n",
        b"HTTP/1.1 200 OK\r\n\r\na 1\n",
    ):
        found, kept = exchanged([answer])
        assert isinstance(found, Response), answer
        assert (found.body, kept) == (b"a 1\n", False)
