"""tsdb.codec.bits: every intrinsic equals the Python expression it stands for."""

import os
import subprocess
import sys

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numba import types

from tsdb.codec import bits
from tsdb.jit import kernel

words = st.integers(0, 2**64 - 1)
MEMORY = types.Array(types.uint8, 1, "C")
RESULTS = types.Array(types.uint64, 1, "C")


@kernel(types.void(types.uint64, types.uint64, RESULTS))
def count_all(a, b, out):
    out[0] = bits.clz64(a)
    out[1] = bits.ctz64(a)
    out[2] = bits.popcount64(a)
    out[3] = bits.bswap64(a)
    out[4] = bits.mulhi64(a, b)
    out[5] = bits.float_bits(bits.bits_float(a))


@kernel(types.void(MEMORY, types.int64, types.uint64, RESULTS))
def store_and_load_all(memory, offset, word, out):
    bits.prefetch_read(memory, offset)
    bits.prefetch_write(memory, np.uint64(offset))
    bits.store64(memory, offset, word)
    out[0] = bits.load8(memory, offset)
    out[1] = bits.load16(memory, offset)
    out[2] = bits.load32(memory, np.uint64(offset))
    out[3] = bits.load64(memory, offset)
    bits.store8(memory, offset + 8, word)
    bits.store16(memory, offset + 9, word)
    bits.store32(memory, np.uint64(offset) + np.uint64(11), word)


@given(words, words)
def test_counts_are_those_of_python(a, b):
    out = np.zeros(6, np.uint64)

    count_all(np.uint64(a), np.uint64(b), out)

    assert out.tolist() == [
        64 - a.bit_length(),
        (a & -a).bit_length() - 1 if a else 64,
        a.bit_count(),
        int.from_bytes(a.to_bytes(8, "little"), "big"),
        a * b >> 64,
        a,
    ]


@given(words, st.integers(0, 9))
def test_memory_is_little_endian_at_any_byte(word, offset):
    memory, out = np.zeros(24, np.uint8), np.zeros(4, np.uint64)
    low = [word.to_bytes(8, "little")[:size] for size in (1, 2, 4, 8)]

    store_and_load_all(memory, offset, np.uint64(word), out)

    assert out.tolist() == [int.from_bytes(part, "little") for part in low]
    assert memory[offset : offset + 15].tobytes() == low[3] + low[0] + low[1] + low[2]
    assert not memory[:offset].any()
    assert not memory[offset + 15 :].any()


CHECKED = """
import numba
import numpy as np
from tsdb.codec.bits import load64, store8

@numba.njit("void(u1[::1], i8)")
def touch(memory, offset):
    store8(memory, offset, load64(memory, offset))

for offset in (-1, 9, 2**62):
    try:
        touch(np.zeros(16, np.uint8), offset)
    except IndexError:
        print("refused", offset)
touch(np.zeros(16, np.uint8), 8)
"""


def test_checked_builds_refuse_bytes_outside():
    """NUMBA_BOUNDSCHECK=1 must see our loads too, or the checked test run proves nothing."""
    environment = os.environ | {
        "NUMBA_BOUNDSCHECK": "1",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }

    done = subprocess.run(
        [sys.executable, "-c", CHECKED], env=environment, capture_output=True, text=True, check=True
    )

    assert done.stdout.split() == ["refused", "-1", "refused", "9", "refused", str(2**62)]
