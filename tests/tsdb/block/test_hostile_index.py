"""An index whose checksums hold may still lie: reading it gives points or CorruptionError.

No lie may crash, hang, read out of bounds or ask for absurd memory. (That lies with sound
checksums give wrong points cannot be helped.)
"""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
from blocks.model import BLOCKS, INT64_MAX, INT64_MIN, all_refs, disk, flush, scrapes
from crash.disk import SimulatedDisk
from hypothesis import given, settings
from hypothesis import strategies as st

from tsdb.block.layout import HEADER, HEADER_BYTES, SECTION, SECTION_BYTES, check_of
from tsdb.block.reader import Block, Damage
from tsdb.block.section import padded
from tsdb.block.verify import verify
from tsdb.errors import CorruptionError, NewerFormat

MODEL = scrapes(5, 600)
numbers = st.one_of(
    st.integers(0, 300),
    st.integers(0, 2**64 - 1),
    st.sampled_from([2**62, 2**63, 2**64 - 1, 2**32, 2**31 - 1, 2**40]),
)


def template() -> tuple[Path, bytes, bytes]:
    files = disk()
    (meta,) = flush(files, MODEL)
    path = BLOCKS / meta.name
    index, chunks = files.open_read(path / "index"), files.open_read(path / "chunks")
    return path, index.pread(index.size(), 0), chunks.pread(chunks.size(), 0)


PATH, INDEX_BYTES, CHUNKS_BYTES = template()


def resealed(index: bytearray) -> bytes:
    """`index` with every checksum made to hold again, in both copies of header and table."""
    count = int(np.frombuffer(INDEX_BYTES, HEADER, 1)[0]["sections"])
    table = np.frombuffer(index, SECTION, count, HEADER_BYTES).copy()
    for row in table:
        offset, size = int(row["offset"]), int(row["bytes"])
        if offset + size < len(index):
            row["check"] = check_of(bytes(index[offset : offset + padded(size)]))
    header = np.frombuffer(index, HEADER, 1).copy()
    header["table_check"] = check_of(table.tobytes())
    header["header_check"] = check_of(header.tobytes()[:-8])
    both = header.tobytes() + table.tobytes()
    index[: len(both)] = both
    index[len(index) - len(both) :] = table.tobytes() + header.tobytes()
    return bytes(index)


def check_served(index: bytes) -> None:
    files = SimulatedDisk()
    for folder in (BLOCKS.parent, BLOCKS, PATH):
        files.mkdir(folder)
    for name, data in (("index", index), ("chunks", CHUNKS_BYTES)):
        files.create(PATH / name).pwrite(data, 0)
    wanted = all_refs(MODEL)
    damaged: list[Damage] = []
    with contextlib.suppress(CorruptionError, NewerFormat):
        block = Block.open(files, PATH)
        with contextlib.suppress(CorruptionError):
            found = block.read(wanted, INT64_MIN, INT64_MAX, damaged=damaged)
            assert found.runs == wanted.size
            block.read(wanted, 3_000_000, 4_000_000, damaged=damaged)
        assert isinstance(verify(block, deep=True), list)


@given(
    st.lists(
        st.tuples(
            st.integers(0, 19), st.sampled_from(["kind", "form", "width", "count", "base",
                                                 "first", "offset", "bytes"]), numbers
        ),
        min_size=1,
        max_size=3,
    )
)  # fmt: skip
def test_rows_that_lie(changes: list[tuple[int, str, int]]) -> None:
    index = bytearray(INDEX_BYTES)
    for row, field, value in changes:
        assert SECTION.fields is not None
        kind, offset = SECTION.fields[field]
        at = HEADER_BYTES + row * SECTION_BYTES + offset
        size = kind.itemsize
        index[at : at + size] = (value % (1 << 8 * size)).to_bytes(size, "little")
    check_served(resealed(index))


@given(st.lists(st.tuples(st.integers(0, len(INDEX_BYTES) - 1), st.integers(0, 255)), min_size=1))
def test_bytes_that_lie(changes: list[tuple[int, int]]) -> None:
    index = bytearray(INDEX_BYTES)
    for at, value in changes:
        index[at] = value
    index[:16] = INDEX_BYTES[:16]
    check_served(resealed(index))


@given(st.sampled_from([n for n in HEADER.names or () if "check" not in n]), numbers)
@settings(max_examples=200)
def test_headers_that_lie(field: str, value: int) -> None:
    index = bytearray(INDEX_BYTES)
    assert HEADER.fields is not None
    kind, offset = HEADER.fields[field]
    size = min(kind.itemsize, 8)
    index[offset : offset + size] = (value % (1 << 8 * size)).to_bytes(size, "little")
    check_served(resealed(index))


def test_resealing_alone_changes_nothing() -> None:
    """Otherwise the lies above would all stop at the first checksum."""
    assert resealed(bytearray(INDEX_BYTES)) == INDEX_BYTES
