"""Prometheus' remote_read, answered in chunks: a stream of frames, a series or a part of one each.

    in   selections whose series come in the order of their label sets, the number of their query
    out  frames: varint length, CRC-32C (big-endian), then a ChunkedReadResponse

    ChunkedReadResponse  1 chunked_series { 1 labels { 1 name, 2 value },
                                            2 chunks { 1 min_ms, 2 max_ms, 3 encoding, 4 data } }
                         2 query_index

A chunk is Prometheus' XOR chunk: two bytes of count, then the bits that docs/format/chunk.md
describes at milliseconds. Points are encoded anew: chunks of blocks are longer than clients of
Prometheus expect, and end where no query does. Price: 60 to 85 ns a point, reading included.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from api.remote_read import field, in_milliseconds, labels_of, varint
from tsdb.batch import Columns
from tsdb.codec import gorilla
from tsdb.codec.resolution import Resolution
from tsdb.parse.kernels.crc32c import crc32c

if TYPE_CHECKING:
    from tsdb.query.selection import Selection

__all__ = ["FRAME_BYTES_MAX", "frames"]

CHUNK_POINTS = 120  # as Prometheus cuts its own
FRAME_BYTES_MAX = 1 << 20  # Prometheus' default; its clients refuse frames above 50 MB
XOR = b"\x18\x01"  # field 3 of a chunk: its encoding


def frames(selections: Iterable[Selection], query: int) -> Iterator[bytes]:
    """A frame holds one series at most; a long series goes on in the next."""
    number = b"" if query == 0 else b"\x10" + varint(query)
    for selection in selections:
        columns = in_milliseconds(selection.columns(), selection.resolution)
        chunks = _Chunks(columns)
        for run, labels in enumerate(selection.labels()):
            named = labels_of(labels)
            room = FRAME_BYTES_MAX - len(named) - len(number)
            for held in chunks.of_run(run, room):
                yield _framed(field(1, named + held) + number)


def _framed(message: bytes) -> bytes:
    checksum = int(crc32c(np.frombuffer(message, np.uint8)))
    return varint(len(message)) + checksum.to_bytes(4, "big") + message


class _Chunks:
    """Runs cut into chunks, all encoded at once."""

    def __init__(self, columns: Columns) -> None:
        counts = np.diff(columns.offsets)
        per_run = -(-counts // CHUNK_POINTS)
        self._bounds = np.concatenate(([0], np.cumsum(per_run))).tolist()
        within = np.arange(self._bounds[-1]) - np.repeat(self._bounds[:-1], per_run)
        firsts = np.repeat(columns.offsets[:-1], per_run) + within * CHUNK_POINTS
        offsets = np.append(firsts, columns.points).astype(np.int64)
        cut = Columns(offsets, columns.timestamps, columns.values)
        data, ends = gorilla.encode_runs(cut, Resolution.MS)
        self._data, self._ends = data.tobytes(), ends.tolist()
        self._counts = np.diff(offsets).tolist()
        self._first_ms = columns.timestamps[offsets[:-1]].tolist()
        self._last_ms = columns.timestamps[offsets[1:] - 1].tolist()

    def of_run(self, run: int, room_bytes: int) -> Iterator[bytes]:
        """Chunks of a run as fields of their series, joined up to `room_bytes`."""
        held: list[bytes] = []
        size = 0
        for chunk in range(self._bounds[run], self._bounds[run + 1]):
            one = self._chunk(chunk)
            if held and size + len(one) > room_bytes:
                yield b"".join(held)
                held.clear()
                size = 0
            held.append(one)
            size += len(one)
        if held:
            yield b"".join(held)

    def _chunk(self, chunk: int) -> bytes:
        first, last = self._first_ms[chunk], self._last_ms[chunk]
        data = self._counts[chunk].to_bytes(2, "big")
        data += self._data[self._ends[chunk] : self._ends[chunk + 1]]
        return field(2, b"\x08%b\x10%b%b%b" % (varint(first), varint(last), XOR, field(4, data)))
