"""CRC-32C against itself bit by bit, and the check value of its catalogue entry."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tsdb.parse.kernels.crc32c import crc32c


def bit_by_bit(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def test_check_value() -> None:
    assert int(crc32c(np.frombuffer(b"123456789", np.uint8))) == 0xE3069283


@given(st.binary(max_size=40))
def test_any_bytes(data: bytes) -> None:
    assert int(crc32c(np.frombuffer(data, np.uint8))) == bit_by_bit(data)
