"""Payload of a POINTS entry: a batch, self-contained and compact.

    in   Batch
    out  bytes, docs/format/points.md; and back, or CorruptionError

Two forms. Rows, for scrapes (a few points a run): refs and times as differences, whose zeros are
counted rather than written, and values without their zero bytes; 4 to 6 bytes a point on a
scrape. Runs, for bulk (many points a run): each run one Gorilla chunk; 1 to 3 bytes a point.

The decoder believes nothing: counts are checked against the bytes there are before memory is
asked for, and leftover bytes are damage. For that check runs without points are left out.

Price: benchmarks/bench_points.py.
"""

from __future__ import annotations

import struct

import numpy as np

from tsdb.batch import Batch, Columns, I64s, SeriesDefinitions, U8s, U32s, U64s
from tsdb.codec.gorilla import DECODE_SLACK_BYTES, decode_chunks, encode_runs
from tsdb.codec.resolution import Resolution
from tsdb.errors import CorruptionError
from tsdb.log import kernels

VERSION = 1
ROWS, RUNS = 0, 1
RUN_POINTS_MIN = 4  # from this many points a run on, a chunk is smaller than rows
_HEADER = struct.Struct("<BBBBIII")  # version, form, codec id, 0; definitions, runs, points
POINTS_PER_BYTE_MAX = 4  # a point of a chunk takes two bits, a row a byte for its value
_CODECS = {resolution.codec_id: resolution for resolution in Resolution}


def encode_points(batch: Batch, resolution: Resolution) -> bytes:
    """The payload of `batch`. Its refs may come in any order, its points too."""
    batch = _without_empty_runs(batch)
    columns, definitions = batch.columns, batch.definitions
    assert (np.diff(definitions.offsets) > 0).all(), "a series has a label"
    form = RUNS if columns.points >= RUN_POINTS_MIN * max(columns.runs, 1) else ROWS
    chunks, sizes = np.empty(0, np.uint8), np.zeros(0, np.int64)
    if form == RUNS:
        chunks, ends = encode_runs(columns, resolution)
        sizes = np.diff(ends)
    numbers = 2 * definitions.count + 3 * columns.runs + columns.points
    room = _HEADER.size + len(definitions.keys) + kernels.NUMBER_BYTES_MAX * numbers
    out = np.empty(room + kernels.VALUE_BYTES_MAX * (columns.points + 1), np.uint8)
    header = _HEADER.pack(
        VERSION, form, resolution.codec_id, 0, definitions.count, columns.runs, columns.points
    )
    out[: _HEADER.size] = np.frombuffer(header, np.uint8)
    pos = np.uint64(_HEADER.size)
    pos = kernels.put_numbers(_ref_steps(definitions.refs), out, pos)
    pos = kernels.put_numbers(np.diff(definitions.offsets).view(np.uint64), out, pos)
    pos = _put_bytes(np.frombuffer(definitions.keys, np.uint8), out, pos)
    pos = kernels.put_numbers(_ref_steps(batch.refs), out, pos)
    pos = kernels.put_numbers(_steps(np.diff(columns.offsets), 1), out, pos)
    if form == RUNS:
        pos = kernels.put_numbers(sizes.view(np.uint64), out, pos)
        return out[:pos].tobytes() + chunks.tobytes()
    pos = kernels.put_numbers(_steps(columns.timestamps, 0), out, pos)
    pos = kernels.put_values(columns.offsets, columns.values.view(np.uint64), out, pos)
    return out[:pos].tobytes()


def decode_points(payload: bytes) -> Batch:
    """Inverse of `encode_points`; CorruptionError on any other bytes."""
    return _Payload(payload).batch()


class _Payload:
    """Bytes and how far they have been read."""

    def __init__(self, payload: bytes) -> None:
        if len(payload) < _HEADER.size:
            raise CorruptionError(None, 0, f"points entry of {len(payload)} bytes")
        version, self._form, codec, zero, self._definitions, self._runs, self._points = (
            _HEADER.unpack_from(payload)
        )
        if version != VERSION or self._form not in (ROWS, RUNS) or codec not in _CODECS or zero:
            raise CorruptionError(
                None, 0, f"points entry of version {version}, form {self._form}, codec {codec}"
            )
        self._resolution = _CODECS[codec]
        self._data: U8s = np.frombuffer(payload, np.uint8)
        self._pos = _HEADER.size
        self._check_header()

    def _check_header(self) -> None:
        """A zero byte may stand for any number of zeros: only points and keys take room."""
        left = self._data.size - self._pos
        most = left * (POINTS_PER_BYTE_MAX if self._form == RUNS else 1)
        if self._points > most or self._runs > self._points or self._definitions > left:
            raise self._damage(
                f"{self._definitions} definitions, {self._runs} runs and {self._points} points "
                f"in {left} bytes"
            )

    def batch(self) -> Batch:
        definitions = self._read_definitions()
        refs = self._refs(self._runs, "refs")
        counts = _unstep(self._numbers(self._runs, "counts"), 1)
        self._check_counts(counts)
        offsets = np.zeros(self._runs + 1, np.int64)
        np.cumsum(counts, out=offsets[1:])
        if offsets[-1] != self._points:
            raise self._damage(f"runs of {offsets[-1]} points, header says {self._points}")
        columns = self._chunks(counts) if self._form == RUNS else self._rows(offsets)
        if self._pos != self._data.size:
            raise self._damage(f"{self._data.size - self._pos} bytes left over")
        return Batch(refs, columns, definitions)

    def _read_definitions(self) -> SeriesDefinitions:
        refs = self._refs(self._definitions, "defined refs")
        sizes = self._numbers(self._definitions, "key sizes")
        left = self._data.size - self._pos
        if sizes.size and (int(sizes.max()) > left or int(sizes.sum()) > left):
            raise self._damage("keys are longer than the entry")
        if not sizes.all():
            raise self._damage("a key is empty")
        offsets = np.zeros(sizes.size + 1, np.int64)
        np.cumsum(sizes.view(np.int64), out=offsets[1:])
        keys = self._data[self._pos : self._pos + int(offsets[-1])].tobytes()
        self._pos += len(keys)
        return SeriesDefinitions(refs, offsets, keys)

    def _rows(self, offsets: I64s) -> Columns:
        stamps = _unstep(self._numbers(self._points, "timestamps"), 0)
        bits = np.empty(self._points, np.uint64)
        self._moved(
            kernels.get_values(self._data, self._pos, self._data.size, offsets, bits), "values"
        )
        return Columns(offsets, stamps, bits.view(np.float64))

    def _chunks(self, counts: I64s) -> Columns:
        sizes = self._numbers(self._runs, "chunk sizes")
        left = self._data.size - self._pos
        if sizes.size and (int(sizes.max()) > left or int(sizes.sum()) != left):
            raise self._damage("chunk sizes do not add up to the entry")
        ends = np.cumsum(sizes.view(np.int64))
        padded = np.zeros(left + DECODE_SLACK_BYTES, np.uint8)
        padded[:left] = self._data[self._pos :]
        try:
            columns = decode_chunks(
                padded, ends - sizes.view(np.int64), ends, counts, self._resolution
            )
        except CorruptionError as error:
            raise self._damage(error.reason) from error
        self._pos += left
        return columns

    def _numbers(self, count: int, what: str) -> U64s:
        numbers = np.empty(count, np.uint64)
        end = kernels.get_numbers(self._data, self._pos, self._data.size, numbers)
        self._moved(end, what)
        return numbers

    def _refs(self, count: int, what: str) -> U32s:
        refs = _unstep(self._numbers(count, what), -1) + np.arange(1, count + 1)
        if refs.size and not (int(refs.min()) >= 0 and int(refs.max()) < 1 << 32):
            raise self._damage(f"{what} are not u32")
        return refs.astype(np.uint32)

    def _check_counts(self, counts: I64s) -> None:
        if counts.size and (int(counts.min()) < 1 or int(counts.max()) > self._points):
            raise self._damage("a run's count is not sound")

    def _moved(self, end: int, what: str) -> None:
        if end == 0:
            raise self._damage(f"{what} are cut off or not sound")
        self._pos = int(end)

    def _damage(self, reason: str) -> CorruptionError:
        return CorruptionError(None, self._pos, f"points entry: {reason}")


def _without_empty_runs(batch: Batch) -> Batch:
    columns = batch.columns
    held = np.diff(columns.offsets) > 0
    if held.all():
        return batch
    offsets = np.append(columns.offsets[:-1][held], columns.offsets[-1])
    columns = Columns(offsets, columns.timestamps, columns.values)
    return Batch(batch.refs[held], columns, batch.definitions)


def _put_bytes(data: U8s, out: U8s, pos: np.uint64) -> np.uint64:
    out[int(pos) : int(pos) + data.size] = data
    return pos + np.uint64(data.size)


def _zigzag(steps: I64s) -> U64s:
    return ((steps << 1) ^ (steps >> 63)).view(np.uint64)


def _steps(numbers: I64s, before: int) -> U64s:
    """Differences to the number before, wrapping, zigzagged."""
    with np.errstate(over="ignore"):
        return _zigzag(numbers - np.concatenate((np.array([before]), numbers[:-1])))


def _unstep(steps: U64s, before: int) -> I64s:
    one = np.uint64(1)
    moved = ((steps >> one) ^ (np.uint64(0) - (steps & one))).view(np.int64)
    with np.errstate(over="ignore"):
        return np.cumsum(moved) + np.int64(before)


def _ref_steps(refs: U32s) -> U64s:
    """Refs that follow one another become zeros."""
    wide = refs.astype(np.int64)
    return _zigzag(wide - np.concatenate((np.array([-1]), wide[:-1])) - 1)
