"""tsdb.parse.compression: a bomb costs its cap, whatever it claims or becomes."""

import gzip
import json
import struct
import subprocess
import sys
import tracemalloc
import zlib

import cramjam
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tsdb import limits
from tsdb.errors import InvalidInput, LimitExceeded
from tsdb.parse.compression import GZIP_MEMBERS_MAX, WINDOW_BYTES_MAX, decode

MIB = 1 << 20
SKIPPABLE = struct.pack("<II", 0x184D2A53, 3) + b"abc"


def deflate_raw(data):
    stream = zlib.compressobj(6, zlib.DEFLATED, -15)
    return stream.compress(data) + stream.flush()


def zstd(data):
    return bytes(cramjam.zstd.compress(data))


def zstd_streamed(data):
    """Without a declared size, as senders that stream write it."""
    stream = cramjam.zstd.Compressor()
    stream.compress(data)
    return bytes(stream.finish())


ENCODERS = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "zstd": zstd,
    "snappy": lambda data: bytes(cramjam.snappy.compress_raw(data)),
    "deflate": zlib.compress,
    "": bytes,
    "identity": bytes,
}
COMPRESSED = ["gzip", "zstd", "snappy", "deflate"]
bodies = st.one_of(
    st.binary(max_size=300),
    st.builds(lambda b, n: b * n, st.binary(max_size=20), st.integers(0, 20_000)),
)


@pytest.mark.parametrize("encoding", ENCODERS)
@given(body=bodies)
@settings(max_examples=40)
def test_what_was_compressed_comes_back(encoding, body):
    assert decode(ENCODERS[encoding](body), encoding) == body


@given(parts=st.lists(bodies, min_size=1, max_size=4))
@settings(max_examples=30)
def test_members_and_frames_are_joined(parts):
    whole = b"".join(parts)

    assert decode(b"".join(map(gzip.compress, parts)), "GZIP ") == whole
    assert decode(SKIPPABLE.join(map(zstd, parts)) + SKIPPABLE, "zstd") == whole
    assert decode(SKIPPABLE + b"".join(map(zstd_streamed, parts)), "zstd") == whole
    assert decode(deflate_raw(whole), "deflate") == whole


@pytest.mark.parametrize("encoding", COMPRESSED)
def test_what_is_cut_off_or_followed_by_more_is_refused(encoding):
    body = ENCODERS[encoding](b"the same again " * 1000)
    for broken in [body[:n] for n in (*range(30), len(body) // 2, len(body) - 1)] + [
        body + b"x",
        body + b"more that is not encoded",
        b"not encoded at all",
    ]:
        with pytest.raises(InvalidInput):
            decode(broken, encoding)


@pytest.mark.parametrize("encoding", COMPRESSED)
@given(
    edits=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=5)
)
@settings(max_examples=150)
def test_damage_is_refused_or_harmless(encoding, edits):
    """gzip, zlib carry checksums; the others may decode to other bytes, within the cap."""
    body = bytearray(ENCODERS[encoding](b"up 1 1700000000\n" * 500 + bytes(range(256))))
    for place, byte in edits:
        body[place % len(body)] = byte
    try:
        decoded = decode(bytes(body), encoding, bytes_max=10_000)
    except InvalidInput:
        return
    assert len(decoded) <= 10_000


@pytest.mark.parametrize("encoding", ENCODERS)
def test_the_cap_is_exact(encoding):
    body = ENCODERS[encoding](b"12345678" * 125)

    assert len(decode(body, encoding, bytes_max=1000)) == 1000
    with pytest.raises(LimitExceeded) as caught:
        decode(body, encoding, bytes_max=999)
    assert (caught.value.limit, caught.value.value) == ("BODY_BYTES_MAX", 999)


@pytest.mark.parametrize("encoding", ["gzip", "zstd", "deflate"])
def test_the_ratio_is_bounded_for_large_bodies_only(encoding):
    small = ENCODERS[encoding](bytes(limits.BODY_RATIO_FLOOR_BYTES))
    large = ENCODERS[encoding](bytes(8 * limits.BODY_RATIO_FLOOR_BYTES))

    assert len(decode(small, encoding)) == limits.BODY_RATIO_FLOOR_BYTES
    with pytest.raises(LimitExceeded) as caught:
        decode(large, encoding)
    assert (caught.value.limit, caught.value.value) == ("BODY_RATIO_MAX", limits.BODY_RATIO_MAX)
    assert len(decode(large, encoding, ratio_max=10_000_000)) == 8 * limits.BODY_RATIO_FLOOR_BYTES


def test_members_share_one_cap():
    member = gzip.compress(b"x" * 600)

    with pytest.raises(LimitExceeded):
        decode(member * 2, "gzip", bytes_max=1000)
    with pytest.raises(LimitExceeded):
        decode(zstd(b"x" * 600) * 2, "zstd", bytes_max=1000)
    with pytest.raises(InvalidInput, match="members"):
        decode(gzip.compress(b"") * (GZIP_MEMBERS_MAX + 1), "gzip")


def test_a_declared_size_is_refused_before_it_is_allocated():
    """Five bytes that claim 4 GiB: nothing of that size may be asked of the system."""
    claims = {
        "snappy": b"\xff\xff\xff\xff\x0f" + b"x" * 20,
        "zstd": b"\x28\xb5\x2f\xfd\xe0" + (1 << 40).to_bytes(8, "little") + b"x" * 20,
    }
    for encoding, body in claims.items():
        tracemalloc.start()
        with pytest.raises(LimitExceeded, match="BODY_BYTES_MAX"):
            decode(body, encoding)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 1 * MIB


def test_a_declared_size_that_lies_is_refused():
    body = bytearray(zstd(bytes(100_000)))
    assert body[4] >> 6 == 2, "this frame declares its size in four bytes"
    at = 5 if body[4] & 0x20 else 6
    body[at : at + 4] = (500).to_bytes(4, "little")

    with pytest.raises(InvalidInput):
        decode(bytes(body), "zstd", bytes_max=1000)
    lie = b"\x0a" + ENCODERS["snappy"](bytes(100))[1:]
    with pytest.raises(InvalidInput):
        decode(lie, "snappy")


def test_a_window_larger_than_the_standard_asks_for_is_refused():
    """The sender chooses how much memory its decoder holds; not above 8 MiB with us."""
    exponent = (2 * WINDOW_BYTES_MAX).bit_length() - 1 - 10
    body = b"\x28\xb5\x2f\xfd\x00" + bytes([exponent << 3]) + b"\x01\x00\x00"

    with pytest.raises(InvalidInput, match="window"):
        decode(body, "zstd")
    assert (
        decode(b"\x28\xb5\x2f\xfd\x00" + bytes([(exponent - 1) << 3]) + b"\x01\x00\x00", "zstd")
        == b""
    )


@pytest.mark.parametrize(
    "encoding", ["br", "compress", "gzip, gzip", "gzip,zstd", "deflate, br", "*"]
)
def test_other_encodings_are_refused_by_name(encoding):
    with pytest.raises(InvalidInput, match="content encoding"):
        decode(b"", encoding)


BOMB = """
import json, pathlib, resource, sys
from tsdb.errors import LimitExceeded
from tsdb.parse.compression import decode
encoding, path, cap = sys.argv[1], sys.argv[2], int(sys.argv[3])
body = open(path, "rb").read()
decode(b"", "")
def peak_kib():
    # ru_maxrss counts the process that started this one as well.
    status = pathlib.Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().partition("VmHWM:")[2].split()[0])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
before = peak_kib()
try:
    decode(body, encoding, bytes_max=cap, ratio_max=10**9)
    limit = None
except LimitExceeded as error:
    limit = error.limit
print(json.dumps([limit, peak_kib() - before]))
"""


@pytest.fixture(scope="module")
def bombs(tmp_path_factory):
    """500 MB of zeros in every encoding that can hold them in little; written piecewise."""
    folder = tmp_path_factory.mktemp("bombs")
    block, blocks = bytes(5_000_000), 100
    gz = zlib.compressobj(9, zlib.DEFLATED, 31)
    zs = cramjam.zstd.Compressor()
    pieces = [gz.compress(block) for _ in range(blocks)]
    for _ in range(blocks):
        zs.compress(block)
    (folder / "gzip").write_bytes(b"".join(pieces) + gz.flush())
    (folder / "zstd").write_bytes(bytes(zs.finish()))
    (folder / "members").write_bytes(gzip.compress(block) * blocks)
    return folder


@pytest.mark.parametrize("name", ["gzip", "zstd", "members"])
def test_a_bomb_of_500_megabytes_costs_its_cap(bombs, name):
    """In a process of its own, so that its peak is nobody else's."""
    cap = 16 * MIB
    encoding = "gzip" if name == "members" else name

    out = subprocess.run(
        [sys.executable, "-c", BOMB, encoding, str(bombs / name), str(cap)],
        capture_output=True,
        check=True,
    )

    limit, grown_kib = json.loads(out.stdout)
    assert limit == "BODY_BYTES_MAX"
    assert grown_kib * 1024 < cap + 8 * MIB


def test_large_bodies_of_real_text_pass():
    rng = np.random.default_rng(7)
    lines = b"".join(
        b'{"metric":{"a":"%d"},"values":[%d],"timestamps":[17000%08d]}\n' % (i, v, i)
        for i, v in enumerate(rng.integers(0, 10**6, 50_000).tolist())
    )
    for encoding in COMPRESSED:
        assert decode(ENCODERS[encoding](lines), encoding) == lines
