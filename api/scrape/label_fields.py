"""Canonical label bytes that are known to be right, taken apart and joined, without checks.

    in   canonical label bytes; or names and values
    out  the other one

`tsdb.index.labels` checks what comes from elsewhere. This is for keys it made a moment ago, at a
sixth of the time: a first scrape has thousands.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

__all__ = ["fields", "joined"]

LENGTH_BYTES = 2


def fields(key: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Names and values."""
    at = 0
    while at < len(key):
        name = at + LENGTH_BYTES
        middle = name + int.from_bytes(key[at:name], "little")
        value = middle + LENGTH_BYTES
        at = value + int.from_bytes(key[middle:value], "little")
        yield key[name:middle], key[value:at]


def joined(labels: Mapping[bytes, bytes]) -> bytes:
    return b"".join([_sized(name) + _sized(labels[name]) for name in sorted(labels)])


def _sized(text: bytes) -> bytes:
    return len(text).to_bytes(LENGTH_BYTES, "little") + text
