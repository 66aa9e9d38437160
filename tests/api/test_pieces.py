"""api.pieces: whatever the cut and the coding, the client gets the same bytes."""

from __future__ import annotations

import gzip

import cramjam
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api import pieces
from api.errors import NotAcceptable
from api.exchange import Answer
from tsdb import limits

MEDIA = ("application/json", "text/csv", "application/vnd.apache.arrow.stream")


def body_of(answer: Answer) -> bytes:
    return b"".join([answer.body, *(answer.rest or [])])


def decoded(answer: Answer) -> bytes:
    body = body_of(answer)
    coding = dict(answer.headers).get(b"content-encoding")
    if coding == b"gzip":
        return gzip.decompress(body)
    if coding == b"zstd":
        return bytes(cramjam.zstd.decompress(body))
    assert coding is None
    return body


@given(
    st.lists(st.builds(lambda n, c: bytes([c]) * n, st.integers(0, 100_000), st.integers(0, 9))),
    st.sampled_from([b"", b"gzip", b"zstd", b"gzip, zstd;q=0.5", b"br"]),
)
def test_the_bytes_survive_cutting_and_coding(parts: list[bytes], accept: bytes) -> None:
    answer = pieces.answer_of(iter(parts), b"text/plain", accept)

    assert decoded(answer) == b"".join(parts)


def test_small_answers_stay_plain_and_whole() -> None:
    answer = pieces.answer_of([b"small"], b"text/plain", b"gzip")

    assert (answer.body, answer.rest) == (b"small", None)
    assert b"content-encoding" not in dict(answer.headers)


def test_large_answers_go_out_in_pieces_of_a_useful_size() -> None:
    small = [bytes(999)] * 2_000

    answer = pieces.answer_of(iter(small), b"text/plain")

    assert answer.rest is not None
    sizes = [len(answer.body), *map(len, answer.rest)]
    assert sum(sizes) == 999 * 2_000
    assert all(limits.PIECE_BYTES <= size < limits.PIECE_BYTES + 999 for size in sizes[:-1])


def test_pieces_are_made_only_as_they_are_taken() -> None:
    made = 0

    def endless() -> object:
        nonlocal made
        while True:
            made += 1
            yield bytes(limits.PIECE_BYTES)

    answer = pieces.answer_of(endless(), b"text/plain")  # type: ignore[arg-type]

    assert answer.rest is not None
    assert made == 2


@pytest.mark.parametrize(
    ("accept", "coding"),
    [
        (b"", ""),
        (b"gzip", "gzip"),
        (b"gzip, deflate, br, zstd", "zstd"),
        (b"gzip;q=1.0, zstd;q=0.1", "gzip"),
        (b"zstd;q=0, gzip", "gzip"),
        (b"*", "zstd"),
        (b"*;q=0", ""),
        (b"identity", ""),
        (b"gzip;q=none", ""),
        (b";;,,q=", ""),
    ],
)
def test_the_coding_is_the_clients_choice_then_ours(accept: bytes, coding: str) -> None:
    assert pieces.coding_of(accept) == coding


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        (b"", MEDIA[0]),
        (b"*/*", MEDIA[0]),
        (b"text/csv", MEDIA[1]),
        (b"text/*", MEDIA[1]),
        (b"text/html, application/xhtml+xml, */*;q=0.8", MEDIA[0]),
        (b"application/json;q=0.1, application/vnd.apache.arrow.stream", MEDIA[2]),
        (b"TEXT/CSV; charset=utf-8", MEDIA[1]),
    ],
)
def test_the_form_is_the_clients_choice(accept: bytes, media: str) -> None:
    assert pieces.media_of(accept, MEDIA) == media


def test_a_form_that_is_not_there_is_refused_by_name() -> None:
    with pytest.raises(NotAcceptable, match="text/csv"):
        pieces.media_of(b"image/png", MEDIA)
