"""Fuzz the chunk decoders: any bytes are damage or exactly the points asked for, and both
decoders say the same.

    in   byte 0: resolution (mod 4); byte 1: count of points (mod 64); the rest: a chunk
    out  AssertionError, or a crash of the kernel, is a finding

The kernel cannot be instrumented; its twin `tsdb.codec.reference` is, and leads the fuzzer into
every code. tests/fuzz/test_fuzz_codec.py replays the kept corpus in the ordinary test run.

Run      python tests/fuzz/fuzz_codec.py -max_total_time=10 tests/fuzz/corpus/codec
         NUMBA_BOUNDSCHECK=1 in front of it checks every byte the kernels touch
"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    import atheris

    with atheris.instrument_imports(include=["tsdb.codec.reference"]):
        import tsdb.codec.reference  # noqa: F401  (first here, so that it is instrumented)

import numpy as np

from tsdb.codec import gorilla, reference
from tsdb.codec.resolution import Resolution
from tsdb.errors import CorruptionError

RESOLUTIONS = list(Resolution)
COUNT_MAX = 64


def check(data: bytes) -> bool:
    """Whether the input held a sound chunk."""
    if len(data) < 2:
        return False
    resolution, count, chunk = RESOLUTIONS[data[0] % 4], data[1] % COUNT_MAX, data[2:]
    try:
        timestamps, values = gorilla.decode(chunk, count, resolution)
    except CorruptionError:
        timestamps = None
    try:
        slowly = reference.decode(chunk, count, resolution)
    except CorruptionError:
        assert timestamps is None, "the kernel reads what the reference calls damage"
        return False
    assert timestamps is not None, "the kernel calls damage what the reference reads"
    bits = values.view(np.uint64).tolist()
    assert (timestamps.tolist(), bits) == slowly
    assert len(bits) == count
    again = gorilla.encode(timestamps, values, resolution)
    assert again == reference.encode(*slowly, resolution)
    assert reference.decode(again, count, resolution) == slowly
    return True


if __name__ == "__main__":
    atheris.Setup(sys.argv, check)
    atheris.Fuzz()
