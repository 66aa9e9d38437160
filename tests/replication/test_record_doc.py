"""docs/format/record.md says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

from replication.record import Record, decode_record, encode_record

PAGE = Path(__file__).resolve().parents[2] / "docs" / "format" / "record.md"
EXAMPLES = dict(re.findall(r"```hex ([\w-]+)\n(.*?)```", PAGE.read_text(), re.DOTALL))


def test_the_example_is_a_barrier() -> None:
    data = bytes.fromhex(EXAMPLES.pop("record-barrier"))
    assert decode_record(data) == Record(5, 1, 3, ())
    assert encode_record(Record(5, 1, 3, ())) == data
    assert not EXAMPLES
