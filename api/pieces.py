"""Bodies of answers: negotiated, compressed, cut into pieces. Runs in reader threads.

    in   an iterator of rendered bytes, the Accept and Accept-Encoding headers
    out  Answer: whole when it is small, else its first piece and the iterator of the rest

gzip is isal's at level 1 (1.1 GB/s), zstd cramjam's at level 1: both drop the interpreter lock.
Answers below COMPRESS_BYTES_MIN stay as they are; a packet holds them anyway.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Iterator, Sequence

import cramjam
from isal import isal_zlib

from api.errors import NotAcceptable
from api.exchange import Answer
from tsdb import limits

__all__ = ["answer_of", "coding_of", "media_of"]

COMPRESS_BYTES_MIN = 1400
CODINGS = ("zstd", "gzip")  # in the order we like them
_GZIP_WINDOW_BITS = 31


def answer_of(pieces: Iterable[bytes], media: bytes, accept_encoding: bytes = b"") -> Answer:
    """An answer with these pieces as its body."""
    parts = grouped(pieces)
    first, second = next(parts, b""), next(parts, None)
    answer = Answer(first, media=media, headers=[(b"vary", b"accept, accept-encoding")])
    coding = coding_of(accept_encoding)
    if coding and (second is not None or len(first) >= COMPRESS_BYTES_MIN):
        answer.headers.append((b"content-encoding", coding.encode()))
        every = itertools.chain([first], [] if second is None else [second], parts)
        parts = grouped(compressed(every, coding))
        answer.body, second = next(parts, b""), next(parts, None)
    if second is not None:
        answer.rest = itertools.chain([second], parts)
    return answer


def grouped(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in pieces of PIECE_BYTES or a little more; the last may be smaller."""
    waiting: list[bytes] = []
    size = 0
    for piece in pieces:
        waiting.append(piece)
        size += len(piece)
        if size >= limits.PIECE_BYTES:
            yield b"".join(waiting)
            waiting.clear()
            size = 0
    if size:
        yield b"".join(waiting)


def compressed(pieces: Iterable[bytes], coding: str) -> Iterator[bytes]:
    if coding == "gzip":
        gzip = isal_zlib.compressobj(1, isal_zlib.DEFLATED, _GZIP_WINDOW_BITS)
        for piece in pieces:
            yield gzip.compress(piece)
        yield gzip.flush()
    else:
        assert coding == "zstd"
        zstd = cramjam.zstd.Compressor(1)
        for piece in pieces:
            zstd.compress(piece)
            yield bytes(zstd.flush())
        yield bytes(zstd.finish())


@functools.lru_cache(maxsize=256)
def coding_of(accept_encoding: bytes) -> str:
    """The coding to use, or "" for none."""
    taken = _weights(accept_encoding)
    anything = taken.get("*", 0.0)
    liked = [(taken.get(c, anything), -i, c) for i, c in enumerate(CODINGS)]
    weight, _, coding = max(liked)
    return coding if weight > 0 else ""


@functools.lru_cache(maxsize=256)
def media_of(accept: bytes, offered: Sequence[str]) -> str:
    """The media type of `offered` that the client likes most; NotAcceptable if it takes none."""
    if not accept.strip():
        return offered[0]
    taken = _weights(accept)
    best, chosen = 0.0, ""
    for media in offered:
        family = media.partition("/")[0] + "/*"
        weight = taken.get(media, taken.get(family, taken.get("*/*", 0.0)))
        if weight > best:
            best, chosen = weight, media
    if not chosen:
        raise NotAcceptable(f"there is {', '.join(offered)}; the Accept header takes none of them")
    return chosen


def _weights(header: bytes) -> dict[str, float]:
    """`gzip;q=0.5, br` as {"gzip": 0.5, "br": 1.0}; what cannot be read weighs nothing."""
    weights: dict[str, float] = {}
    for item in header.decode("latin-1").lower().split(",")[:32]:
        name, *parameters = (part.strip() for part in item.split(";"))
        weight = 1.0
        for parameter in parameters:
            key, _, value = parameter.partition("=")
            if key.strip() == "q":
                try:
                    weight = float(value)
                except ValueError:
                    weight = 0.0
        if name:
            weights[name] = weight
    return weights
