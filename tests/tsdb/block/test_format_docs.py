"""docs/format/{block,manifest}.md: every table is the layout in force, every example parses."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from blocks.model import BLOCKS, STALE, disk, flush

from tsdb.block import manifest as manifests
from tsdb.block import section
from tsdb.block.layout import HEADER, SECTION, Form, Kind, decode_header
from tsdb.codec.resolution import Resolution

DOCS = Path(__file__).resolve().parents[3] / "docs" / "format"
BLOCK, MANIFEST = (DOCS / "block.md").read_text(), (DOCS / "manifest.md").read_text()
TABLE = re.compile(r"\| offset \| size \| field \| meaning \|\n\|[-:|]+\|\n((?:\|.*\|\n)+)")
SECTIONS = re.findall(r"```hex block-section ([\d ]+)\n(.*?)```", BLOCK, re.DOTALL)


def layout_of(dtype: np.dtype) -> list[tuple[int, int, str]]:
    assert dtype.fields is not None
    return [(offset, kind.itemsize, name) for name, (kind, offset) in dtype.fields.items()]


@pytest.mark.parametrize(
    ("page", "dtypes"), [(BLOCK, [HEADER, SECTION]), (MANIFEST, [manifests.COPY])]
)
def test_byte_tables_are_the_layout_in_force(page: str, dtypes: list[np.dtype]) -> None:
    tables = [
        [
            (int(offset), int(size), field)
            for offset, size, field in re.findall(r"^\| (\d+) \| (\d+) \| (\w+) \|", rows, re.M)
        ]
        for rows in TABLE.findall(page)
    ]

    assert tables == [layout_of(dtype) for dtype in dtypes]


def test_kinds_and_forms_are_those_in_force() -> None:
    kinds = {
        name: int(number) for number, name in re.findall(r"^\| (\d+) \| ([A-Z_]+) \|", BLOCK, re.M)
    }

    assert kinds == {kind.name: kind.value for kind in Kind}
    assert "0 offsets, 1 differences, 2 planes" in BLOCK
    assert [form.value for form in Form] == [0, 1, 2]


def test_the_block_header_is_what_the_page_says() -> None:
    (text,) = re.findall(r"```hex block-header\n(.*?)```", BLOCK, re.DOTALL)

    header = decode_header(bytes.fromhex(text), None, 0)

    meta = header.meta
    assert (meta.min_ts, meta.max_ts) == (1_700_035_200_000, 1_700_035_210_000)
    assert (meta.seq_lo, meta.seq_hi, meta.resolution) == (5, 17, Resolution.MS)
    assert (meta.series, meta.points, meta.ref_min, meta.ref_max) == (2, 3, 3, 8)
    assert header.maker.siblings == 1


@pytest.mark.parametrize(("numbers", "text"), SECTIONS)
def test_a_section_is_what_the_page_says(numbers: str, text: str) -> None:
    data = bytes.fromhex(text)
    row = np.frombuffer(data[: SECTION.itemsize], SECTION)[0]

    decoded = section.decode(row, data[SECTION.itemsize :], len(numbers.split()), None)

    assert decoded.tolist() == [int(n) for n in numbers.split()]


def test_the_manifest_is_what_the_page_says() -> None:
    (text,) = re.findall(r"```hex manifest-header\n(.*?)```", MANIFEST, re.DOTALL)
    (body,) = re.findall(r"```json manifest-body\n(.*?)\n```", MANIFEST, re.DOTALL)
    copy = bytes.fromhex(text) + body.encode()
    copy += bytes(manifests.ALIGN_BYTES - len(copy))

    manifest = manifests.decode(copy, None, 0)

    assert manifest == manifests.Manifest.first(
        database_id=bytes(range(16)), resolution=Resolution.MS
    )
    assert manifests.encode(manifest) == copy * 2


def test_every_example_is_tested() -> None:
    assert len(SECTIONS) == 2
    assert (BLOCK + MANIFEST).count("```hex") == 2 + len(SECTIONS)


def test_the_block_header_is_still_written_like_that() -> None:
    (text,) = re.findall(r"```hex block-header\n(.*?)```", BLOCK, re.DOTALL)
    start, bits = 1_700_035_200_000, np.array([1.5, -2.0]).view(np.uint64).tolist()
    model = {3: {start: bits[0], start + 10_000: bits[1]}, 8: {start + 4: STALE}}
    files = disk()

    (meta,) = flush(files, model, (5, 17))

    written = files.open_read(BLOCKS / meta.name / "index").pread(HEADER.itemsize, 0)
    assert written == bytes.fromhex(text)
