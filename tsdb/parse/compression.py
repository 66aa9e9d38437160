"""Compressed bodies, decoded without ever holding more than the caller allows.

    in   body as it came, the name of its encoding, bounds on size and ratio
    out  decoded bytes

A thousand bytes can claim to be, or become, gigabytes. Where a format declares its size (snappy,
most zstd frames) the claim is checked before anything is allocated; then decoding itself stops at
the cap, as a declaration may lie and gzip has none that counts. Output goes into one buffer that
the system backs with memory only as it is written.

    gzip      any number of members (RFC 1952); isal
    deflate   zlib (RFC 1950) or, as some clients send it, bare deflate (RFC 1951); isal
    zstd      any number of frames, windows up to WINDOW_BYTES_MAX (RFC 8878); cramjam
    snappy    the block format of remote_write, without framing; cramjam

Broken, cut off or followed by other bytes: InvalidInput. More than one encoding: InvalidInput, as
no sender of points does that and every layer multiplies the ratio.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import cramjam
import numpy as np
from isal import igzip_lib, isal_zlib

from tsdb.batch import U8s
from tsdb.errors import InvalidInput, LimitExceeded
from tsdb.limits import BODY_BYTES_MAX, BODY_RATIO_FLOOR_BYTES, BODY_RATIO_MAX, MIB
from tsdb.parse.body_buffers import BodyBuffers
from tsdb.parse.kernels.decimal import PAD_BYTES
from tsdb.parse.text_buffer import padded

__all__ = ["decode", "decode_padded"]

WINDOW_BYTES_MAX = 8 * MIB
"""The least every zstd decoder must support, by the standard; a window is memory we hold."""
GZIP_MEMBERS_MAX = 10_000
"""Members may be empty: 20 bytes that each cost a decoder."""

PIECE_BYTES = 1 << 16

_IsalError = cast(type[Exception], igzip_lib.IsalError)

_GZIP_WINDOW_BITS, _ZLIB_WINDOW_BITS, _RAW_WINDOW_BITS = 31, 15, -15
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_SKIPPABLE_MAGIC_TAIL = b"\x2a\x4d\x18"
_OUTPUT_FULL = "failed to write whole buffer"  # how cramjam says that the output did not fit
_ALIASES = {"": "identity", "x-gzip": "gzip", "x-snappy": "snappy", "zlib": "deflate"}


def decode(
    body: bytes,
    encoding: str,
    *,
    bytes_max: int = BODY_BYTES_MAX,
    ratio_max: int = BODY_RATIO_MAX,
) -> bytes:
    """The decoded body; LimitExceeded past a bound, InvalidInput if it is broken."""
    name = encoding.strip().lower()
    name = _ALIASES.get(name, name)
    cap = _Cap(len(body), bytes_max, ratio_max)
    if name == "identity":
        cap.check(len(body))
        return body
    if name == "gzip":
        return _gzip(body, cap)
    if name == "deflate":
        return _deflate(body, cap)
    if name == "zstd":
        return _zstd(body, cap)
    if name == "snappy":
        return _snappy(body, cap).tobytes()
    if "," in name:
        raise InvalidInput(f"content encoding {encoding!r}: at most one, not a list")
    raise InvalidInput(f"content encoding {encoding!r} is not one of gzip, zstd, snappy, deflate")


def decode_padded(
    body: bytes, encoding: str, *, bytes_max: int, buffers: BodyBuffers | None = None
) -> U8s:
    """The decoded body followed by PAD_BYTES zeros, as kernels read it; snappy without a copy.

    The caller gives the array back to `buffers` when done with it.
    """
    if encoding.strip().lower() != "snappy":
        return padded(decode(body, encoding, bytes_max=bytes_max), 0)
    cap = _Cap(len(body), bytes_max, BODY_RATIO_MAX)
    return _snappy(body, cap, PAD_BYTES, _fresh if buffers is None else buffers.take)


def _fresh(size: int) -> U8s:
    return np.empty(size, np.uint8)


class _Cap:
    """How many bytes may come out, and which bound says so."""

    def __init__(self, encoded_bytes: int, bytes_max: int, ratio_max: int) -> None:
        self._bytes_max = bytes_max
        self._ratio_max = ratio_max
        self.bytes = min(bytes_max, max(BODY_RATIO_FLOOR_BYTES, encoded_bytes * ratio_max))

    def check(self, decoded_bytes: int) -> None:
        if decoded_bytes <= self.bytes:
            return
        if decoded_bytes > self._bytes_max:
            raise LimitExceeded(
                "the decoded body is too large", limit="BODY_BYTES_MAX", value=self._bytes_max
            )
        raise LimitExceeded(
            "the body decodes to too many times its size",
            limit="BODY_RATIO_MAX",
            value=self._ratio_max,
        )


def _inflate(body: memoryview, window_bits: int, room: int) -> tuple[list[bytes], int]:
    """One deflate stream: (pieces of at most `room` decoded bytes, encoded bytes it took).

    Fed in pieces, because what follows the stream is handed back as a copy each time.
    """
    stream = isal_zlib.decompressobj(window_bits)
    pieces: list[bytes] = []
    at = 0
    while not stream.eof and room > 0:
        if at == len(body):
            raise InvalidInput("the compressed body is cut off")
        piece = body[at : at + PIECE_BYTES]
        at += len(piece)
        try:
            pieces.append(stream.decompress(piece, room))
        except _IsalError as error:
            raise InvalidInput(f"the body is not what its encoding says: {error}") from error
        room -= len(pieces[-1])
    return pieces, at - len(stream.unused_data)


def _gzip(body: bytes, cap: _Cap) -> bytes:
    pieces: list[bytes] = []
    members = size = 0
    rest = memoryview(body)
    while rest or not members:
        member, taken = _inflate(rest, _GZIP_WINDOW_BITS, cap.bytes + 1 - size)
        size += sum(map(len, member))
        cap.check(size)
        pieces += member
        members += 1
        rest = rest[taken:]
        if members > GZIP_MEMBERS_MAX:
            raise InvalidInput(f"the gzip body has more than {GZIP_MEMBERS_MAX:,} members")
    return b"".join(pieces)


def _deflate(body: bytes, cap: _Cap) -> bytes:
    # A zlib header: method 8 and a check that makes two bytes a multiple of 31.
    zlib = len(body) >= 2 and body[0] & 15 == 8 and int.from_bytes(body[:2], "big") % 31 == 0
    window_bits = _ZLIB_WINDOW_BITS if zlib else _RAW_WINDOW_BITS
    pieces, taken = _inflate(memoryview(body), window_bits, cap.bytes + 1)
    cap.check(sum(map(len, pieces)))
    if taken < len(body):
        raise InvalidInput(f"{len(body) - taken:,} bytes follow the deflate stream")
    return b"".join(pieces)


def _zstd(body: bytes, cap: _Cap) -> bytes:
    _check_zstd_header(body, cap)
    output = np.empty(cap.bytes + 1, np.uint8)
    try:
        size: int = cramjam.zstd.decompress_into(body, output.data)
    except cramjam.DecompressionError as error:
        if _OUTPUT_FULL in str(error):
            cap.check(cap.bytes + 1)
        raise InvalidInput(f"the body is not zstd: {error}") from error
    cap.check(size)
    return output[:size].tobytes()


def _check_zstd_header(body: bytes, cap: _Cap) -> None:
    """Check what the first frame declares; later frames meet the cap while decoding."""
    if body[:4] != _ZSTD_MAGIC:
        if body[1:4] == _SKIPPABLE_MAGIC_TAIL and body[0] >> 4 == 5:
            return
        raise InvalidInput("the body is not zstd: it does not start as one")
    if len(body) < 6:
        raise InvalidInput("the compressed body is cut off")
    descriptor = body[4]
    at = 5
    single_segment = descriptor & 0x20
    if not single_segment:
        exponent, mantissa = body[at] >> 3, body[at] & 7
        window_bytes = (1 << (10 + exponent)) * (8 + mantissa) // 8
        if window_bytes > WINDOW_BYTES_MAX:
            raise InvalidInput(
                f"the zstd window of {window_bytes:,} bytes is above {WINDOW_BYTES_MAX:,}"
            )
        at += 1
    at += (0, 1, 2, 4)[descriptor & 3]  # dictionary id
    size_bytes = (single_segment >> 5, 2, 4, 8)[descriptor >> 6]
    if size_bytes:
        declared = int.from_bytes(body[at : at + size_bytes], "little")
        cap.check(declared + (256 if size_bytes == 2 else 0))


def _snappy(body: bytes, cap: _Cap, pad_bytes: int = 0, room: Callable[[int], U8s] = _fresh) -> U8s:
    """The decoded bytes, then `pad_bytes` zeros."""
    try:
        declared: int = cramjam.snappy.decompress_raw_len(body) if body else 0
        cap.check(declared)
        output = room(declared + pad_bytes)
        size: int = cramjam.snappy.decompress_raw_into(body, output[:declared].data)
    except cramjam.DecompressionError as error:
        raise InvalidInput(f"the body is not snappy: {error}") from error
    output[size:] = 0
    return output[: size + pad_bytes]
