"""remote_write bodies against what the protobuf library reads in them."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.remote_write_messages import V1, V2, request_1, request_2
from tsdb import limits
from tsdb.batch import Parsed
from tsdb.codec.resolution import Resolution
from tsdb.errors import InvalidInput, LimitExceeded
from tsdb.index import labels
from tsdb.parse import remote_write
from tsdb.parse.remote_names import RETELL_BODIES, KnownNames
from tsdb.parse.text_buffer import padded

MS = 1_700_000_000_000
INT64 = st.integers(-(1 << 63), (1 << 63) - 1)
STALE = struct.unpack("<d", struct.pack("<Q", 0x7FF0000000000002))[0]
CPU = {"__name__": "cpu", "host": "a"}

texts = st.one_of(
    st.sampled_from([b"", b"__name__", b"a", b"b", b"host", b"x" * 31, b"\xff", "\u20ac".encode()]),
    st.text(max_size=6).map(str.encode),
    st.binary(max_size=3),
)  # fmt: skip
pairs = st.lists(st.tuples(texts, texts), max_size=5)
sorted_pairs = st.dictionaries(texts, texts, max_size=12).map(lambda d: sorted(d.items()))
stamps = st.one_of(st.sampled_from([0, 1, -1, MS, MS + 15_000]), INT64)
values = st.one_of(
    st.sampled_from([0.0, -0.0, 1.0, STALE, float("nan"), float("inf")]),
    st.integers(0, (1 << 64) - 1).map(lambda bits: struct.unpack("<d", struct.pack("<Q", bits))[0]),
)
points = st.lists(st.tuples(stamps, values), max_size=3)
series = st.lists(st.tuples(st.one_of(pairs, sorted_pairs), points, st.booleans()), max_size=6)
resolutions = st.sampled_from(list(Resolution))

known_for_long = KnownNames(bytes_max=1 << 16)  # forgets every now and then


def parse(
    body: bytes, version: int, resolution: Resolution = Resolution.MS, known: Any = None
) -> Parsed:
    read = remote_write.parse_1 if version == 1 else remote_write.parse_2
    return read(padded(body, 0), resolution, known or known_for_long)


def varint(number: int) -> bytes:
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def field(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def bits(value: float) -> int:
    return int(np.float64(value).view(np.uint64))


def ticks(ms: int, resolution: Resolution) -> int | None:
    """None where no tick can be."""
    found = ms * resolution.ticks_per_s
    found = (2 * found + 1000) // 2000
    return found if -(1 << 63) <= found < 1 << 63 else None


def canonical(found: Iterable[tuple[bytes, bytes]]) -> bytes | None:
    try:
        return labels.canonical_pairs(found)
    except InvalidInput:
        return None


def kept(key: bytes | None, samples: Any, resolution: Resolution) -> list[tuple[Any, ...]]:
    run = [(ticks(s.timestamp, resolution), bits(s.value)) for s in samples]
    run = [point for point in run if point[0] is not None]
    return [(key, run)] if run else []


def twin_1(body: bytes, resolution: Resolution) -> list[tuple[Any, ...]]:
    runs = []
    for one in V1.WriteRequest.FromString(body).timeseries:
        key = canonical((label.name, label.value) for label in one.labels)
        runs += kept(key, one.samples, resolution)
    return runs


def twin_2(body: bytes, resolution: Resolution) -> list[tuple[Any, ...]]:
    message = V2.Request.FromString(body)
    runs = []
    for one in message.timeseries:
        refs = list(one.labels_refs)
        if len(refs) % 2 or any(ref >= len(message.symbols) for ref in refs):
            continue
        found = [message.symbols[ref] for ref in refs]
        key = canonical(zip(found[::2], found[1::2], strict=True))
        runs += kept(key, one.samples, resolution)
    return runs


TWINS: dict[int, Callable[[bytes, Resolution], list[tuple[Any, ...]]]] = {1: twin_1, 2: twin_2}


def runs_of(parsed: Parsed) -> list[tuple[Any, ...]]:
    """(canonical key or None, points) of each run; both ways to a key say the same."""
    columns = parsed.columns
    assert parsed.canonical_many is not None
    many, offsets = parsed.canonical_many(np.arange(columns.runs))
    found: list[tuple[Any, ...]] = []
    for i in range(columns.runs):
        raw = parsed.key_bytes[parsed.key_starts[i] : parsed.key_ends[i]].tobytes()
        try:
            key = parsed.canonical(raw)
        except InvalidInput:
            key = None
        fast = many[offsets[i] : offsets[i + 1]].tobytes()
        assert fast in (key, b"")
        run = slice(*columns.offsets[i : i + 2])
        stamps_, values_ = columns.timestamps[run], columns.values[run].view(np.uint64)
        found.append((key, list(zip(stamps_.tolist(), values_.tolist(), strict=True))))
    return found


def body_1(drawn: list[Any], shuffle: random.Random) -> bytes:
    """A WriteRequest; of some series the fields stand in any order."""
    parts = []
    for found, run, mixed in drawn:
        fields = [
            V1.TimeSeries(labels=[V1.Label(name=n, value=v)]).SerializeToString() for n, v in found
        ]
        fields += [
            V1.TimeSeries(samples=[V1.Sample(timestamp=t, value=v)]).SerializeToString()
            for t, v in run
        ]
        if mixed:
            fields += [V1.TimeSeries(unknown=b"?").SerializeToString()]
            shuffle.shuffle(fields)
        parts.append(field(1, b"".join(fields)))
        if mixed:
            parts.append(V1.WriteRequest(unknown=[1, 300]).SerializeToString())
    return b"".join(parts)


def body_2(drawn: list[Any], shuffle: random.Random) -> bytes:
    """A Request; some series have their fields in any order, references alone or wrong."""
    symbols: dict[bytes, int] = {b"": 0}
    parts = []
    for found, run, mixed in drawn:
        refs = [symbols.setdefault(text, len(symbols)) for pair in found for text in pair]
        if mixed and shuffle.random() < 0.2:
            refs.append(shuffle.randrange(3 * len(symbols)))
        fields = [V2.TimeSeries(labels_refs=refs).SerializeToString()]
        fields += [
            V2.TimeSeries(samples=[V2.Sample(timestamp=t, value=v)]).SerializeToString()
            for t, v in run
        ]
        if mixed:
            fields += [V2.TimeSeries(created_timestamp=MS).SerializeToString()]
            fields[:1] = [b"\x08" + varint(ref) for ref in refs[:1]]
            fields += [V2.TimeSeries(labels_refs=refs[1:]).SerializeToString()]
        parts.append(field(5, b"".join(fields)))
    named = [field(4, text) for text in symbols]
    return b"".join([*parts, *named] if shuffle.random() < 0.2 else [*named, *parts])


BODIES = {1: body_1, 2: body_2}


@pytest.mark.parametrize("version", [1, 2])
@given(drawn=series, resolution=resolutions, shuffle=st.randoms(use_true_random=False))
def test_it_is_what_the_library_reads(
    version: int, drawn: list[Any], resolution: Resolution, shuffle: random.Random
) -> None:
    body = BODIES[version](drawn, shuffle)

    for known in (known_for_long, known_for_long, KnownNames()):
        parsed = parse(body, version, resolution, known)
        assert runs_of(parsed) == TWINS[version](body, resolution)


@pytest.mark.parametrize("version", [1, 2])
@given(
    drawn=series,
    shuffle=st.randoms(use_true_random=False),
    cut=st.integers(0, 400),
    flips=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=3),
)
def test_damaged_bodies_are_refused_or_read_as_the_library_does(
    version: int,
    drawn: list[Any],
    shuffle: random.Random,
    cut: int,
    flips: list[tuple[int, int]],
) -> None:
    damaged = bytearray(BODIES[version](drawn, shuffle)[: cut or None])
    for at, byte in flips:
        if damaged:
            damaged[at % len(damaged)] = byte
    body = bytes(damaged)

    try:
        parsed = parse(body, version)
    except InvalidInput:
        return
    try:
        expected = TWINS[version](body, Resolution.MS)
    except DecodeError:  # a label that is no message costs its series here, there the body
        assert len(runs_of(parsed)) == parsed.columns.runs
        return
    assert runs_of(parsed) == expected


@given(st.binary(max_size=200), st.sampled_from([1, 2]))
def test_noise_is_read_or_refused(body: bytes, version: int) -> None:
    try:
        parsed = parse(body, version)
    except InvalidInput:
        return
    assert len(runs_of(parsed)) == parsed.columns.runs


@pytest.mark.parametrize("version", [1, 2])
def test_a_key_lasts_from_body_to_body(version: int) -> None:
    known = KnownNames()
    make = request_1 if version == 1 else request_2
    hosts = [CPU | {"host": str(i)} for i in range(3000)]
    first = parse(
        make(*((h, [(MS, 1.0)]) for h in hosts)).SerializeToString(), version, known=known
    )
    again = parse(
        make(*((h, [(MS + 1, 2.0)]) for h in reversed(hosts))).SerializeToString(),
        version,
        known=known,
    )

    assert first.form == again.form
    assert first.key_bytes.view(np.uint32).tolist() == list(range(3000))
    assert again.key_bytes.view(np.uint32).tolist() == list(reversed(range(3000)))
    assert [key for key, _ in runs_of(again)] == [labels.canonical(h) for h in reversed(hosts)]


@pytest.mark.parametrize("version", [1, 2])
def test_threads_share_names(version: int) -> None:
    """Bodies are parsed at the same time; names grow, and are forgotten, under others' feet."""
    known = KnownNames(bytes_max=1 << 18)
    make = request_1 if version == 1 else request_2
    hosts = [[CPU | {"host": f"{n}-{i}"} for i in range(300)] for n in range(24)]
    made = [make(*((h, [(MS, 1.0)]) for h in some)).SerializeToString() for some in hosts]

    def keys(n: int) -> list[Any]:
        return [key for key, _ in runs_of(parse(made[n], version, known=known))]

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(keys, range(24)))
    assert found == [[labels.canonical(h) for h in some] for some in hosts]


@pytest.mark.parametrize("version", [1, 2])
def test_what_is_forgotten_has_another_form(version: int) -> None:
    known = KnownNames(bytes_max=1)
    body = (request_1 if version == 1 else request_2)((CPU, [(MS, 1.0)])).SerializeToString()
    first = parse(body, version, known=known)
    second = parse(body, version, known=known)

    assert first.form != second.form
    assert runs_of(first) == runs_of(second)


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize(
    ("resolution", "ms", "tick"),
    [
        (Resolution.S, 1_499, 1),
        (Resolution.S, 1_500, 2),
        (Resolution.S, -1_500, -1),
        (Resolution.US, MS, MS * 1000),
        (Resolution.NS, MS, MS * 1_000_000),
    ],
)
def test_times(version: int, resolution: Resolution, ms: int, tick: int) -> None:
    body = (request_1 if version == 1 else request_2)((CPU, [(ms, 1.0)])).SerializeToString()

    assert parse(body, version, resolution).columns.timestamps.tolist() == [tick]


@pytest.mark.parametrize("version", [1, 2])
def test_times_that_no_tick_can_be_are_named(version: int) -> None:
    run = [(1 << 62, 1.0), (MS, 2.0), (-(1 << 62), 3.0)]
    body = (request_1 if version == 1 else request_2)((CPU, run)).SerializeToString()
    parsed = parse(body, version, Resolution.NS)

    assert parsed.columns.values.tolist() == [2.0]
    (sentence,) = parsed.skipped
    assert f'cpu{{host="a"}}: timestamp {1 << 62} ms is outside int64 ticks' in sentence
    assert parsed.skipped_more == 1


@pytest.mark.parametrize(
    ("pairs_", "complaint"),
    [
        ([(b"a", b"1"), (b"a", b"2")], "given twice"),
        ([(b"a", b"1"), (b"b", b"1"), (b"a", b"1")], "given twice"),
        ([(b"", b"1")], "label name is empty"),
        ([(b"a", b"\xff")], "not valid UTF-8"),
        ([(b"a", b"")], "at least one label"),
        ([], "at least one label"),
        ([(b"a", b"x" * 5000)], "LABEL_VALUE_BYTES_MAX"),
        ([(b"a%d" % i, b"1") for i in range(65)], "LABELS_PER_SERIES_MAX"),
    ],
)
def test_label_sets_that_cannot_be_are_named(
    pairs_: list[tuple[bytes, bytes]], complaint: str
) -> None:
    made = V1.TimeSeries(
        labels=[V1.Label(name=n, value=v) for n, v in pairs_], samples=[V1.Sample(timestamp=MS)]
    )
    symbols = [b"", *[text for pair in pairs_ for text in pair]]
    made_2 = V2.TimeSeries(labels_refs=range(1, len(symbols)), samples=[V2.Sample(timestamp=MS)])
    for version, message in (
        (1, V1.WriteRequest(timeseries=[made])),
        (2, V2.Request(symbols=symbols, timeseries=[made_2])),
    ):
        parsed = parse(message.SerializeToString(), version)
        raw = parsed.key_bytes.tobytes()
        with pytest.raises(InvalidInput, match=complaint):
            parsed.canonical(raw)
        assert parsed.canonical_many is not None
        assert parsed.canonical_many(np.zeros(1, np.int64))[1].tolist() == [0, 0]


@pytest.mark.parametrize(
    ("refs", "why"),
    [([1], "without a value"), ([1, 9], "not there"), ([1, 2] * 129, "more than 128 labels")],
)
def test_references_that_lead_nowhere_cost_their_series(refs: list[int], why: str) -> None:
    message = request_2((CPU, [(MS, 1.0)]))
    bad = V2.TimeSeries(labels_refs=refs, samples=[V2.Sample(timestamp=t) for t in (MS, MS + 1)])
    message.timeseries.insert(0, bad)
    parsed = parse(message.SerializeToString(), 2)

    assert parsed.columns.points == 1
    (sentence,) = parsed.skipped
    assert sentence.startswith("series 1 of the body")
    assert why in sentence
    assert parsed.skipped_more == 1


@pytest.mark.parametrize(
    ("body", "version", "complaint"),
    [
        (request_2((CPU, [(MS, 1.0)])).SerializeToString(), 1, "is it io.prometheus.write.v2"),
        (request_1((CPU, [(MS, 1.0)])).SerializeToString(), 2, "is it prometheus.WriteRequest"),
        (V2.Request(symbols=[b"a"]).SerializeToString(), 2, 'first symbol of a body must be ""'),
        (b"\x0b\x0c", 1, "byte 0"),
        (b"\x0a\x05", 1, "byte 0"),
        (field(1, b"") + b"\x00\x00", 1, "byte 2"),
        (field(1, b"\x12\x02\x10"), 1, "byte 0"),
        (b"\xff" * 20, 2, "byte 0"),
    ],
)
def test_what_is_no_such_message(body: bytes, version: int, complaint: str) -> None:
    with pytest.raises(InvalidInput, match=complaint):
        parse(body, version)


def test_metadata_of_1() -> None:
    message = V1.WriteRequest(
        metadata=[
            V1.MetricMetadata(type=1, metric_family_name="up", help="Is it?", unit=""),
            V1.MetricMetadata(type=99, metric_family_name="odd"),
            V1.MetricMetadata(type=2, metric_family_name="up", help="It is.", unit="1"),
        ]
    )
    found = parse(message.SerializeToString(), 1).metadata

    assert [(m.family, m.kind, m.help, m.unit) for m in found] == [
        ("up", "gauge", "It is.", "1"),
        ("odd", "unknown", "", ""),
    ]


def test_metadata_of_2_is_of_families() -> None:
    message = V2.Request(
        symbols=[b"", b"__name__", b"d_bucket", b"d_count", b"Help.", b"s", b"up"],
        timeseries=[
            V2.TimeSeries(
                labels_refs=[1, name],
                samples=[V2.Sample(timestamp=MS)],
                metadata=V2.Metadata(type=kind, help_ref=told, unit_ref=unit),
            )
            for name, kind, told, unit in [(2, 3, 4, 5), (2, 3, 4, 5), (3, 3, 4, 5), (6, 0, 0, 0)]
        ],
    )
    known = KnownNames()
    parsed = parse(message.SerializeToString(), 2, known=known)

    assert [(m.family, m.kind, m.help, m.unit) for m in parsed.metadata] == [
        ("d", "histogram", "Help.", "s")
    ]
    assert parsed.columns.points == 4
    assert parse(message.SerializeToString(), 2, known=known).metadata == ()  # no news
    message.timeseries[0].metadata.type = 2
    changed = parse(message.SerializeToString(), 2, known=known).metadata
    assert [(m.family, m.kind) for m in changed] == [("d_bucket", "gauge"), ("d", "histogram")]
    again = [parse(message.SerializeToString(), 2, known=known) for _ in range(RETELL_BODIES)]
    assert any(one.metadata for one in again)


def test_metadata_that_refers_nowhere_is_told() -> None:
    message = request_2((CPU, [(MS, 1.0)]))
    message.timeseries[0].metadata.help_ref = 99
    parsed = parse(message.SerializeToString(), 2)

    assert parsed.metadata == ()
    assert "refers to symbol 99" in parsed.skipped[0]
    assert parsed.columns.points == 1


@pytest.mark.parametrize("version", [1, 2])
def test_exemplars(version: int) -> None:
    message = (request_1 if version == 1 else request_2)((CPU, [(MS, 1.0)]))
    long = b"x" * 200
    if version == 1:
        for name, value in ((b"trace_id", b"abc"), (b"t", long)):
            message.timeseries[0].exemplars.add(
                labels=[V1.Label(name=name, value=value)], value=0.5, timestamp=MS - 7
            )
    else:
        message.symbols.extend([b"trace_id", b"abc", long])
        first = len(message.symbols) - 3
        for refs in ([first, first + 1], [first, first + 2], [0, 99]):
            message.timeseries[0].exemplars.add(labels_refs=refs, value=0.5, timestamp=MS - 7)
    parsed = parse(message.SerializeToString(), version, Resolution.US)

    (one,) = parsed.exemplars
    assert one.series == labels.canonical(CPU)
    assert one.labels == labels.canonical({"trace_id": "abc"})
    assert (one.timestamp, one.value) == ((MS - 7) * 1000, 0.5)
    assert len(parsed.skipped) == version
    assert "EXEMPLAR_CHARACTERS_MAX" in parsed.skipped[0]


def test_asides_past_the_bound_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "ASIDES_PER_REQUEST_MAX", 2)
    message = request_1((CPU, [(MS, 1.0)]))
    for _ in range(5):
        message.timeseries[0].exemplars.add(value=1.0)
    parsed = parse(message.SerializeToString(), 1, known=KnownNames())

    assert len(parsed.exemplars) == 2
    assert parsed.skipped_more == 2
    assert "ASIDES_PER_REQUEST_MAX" in parsed.skipped[0]


def test_too_many_points(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "POINTS_PER_REQUEST_MAX", 10)
    good = request_1((CPU, [(MS + i, 1.0) for i in range(10)])).SerializeToString()

    assert parse(good, 1, known=KnownNames()).columns.points == 10
    with pytest.raises(LimitExceeded) as caught:
        parse(good + field(1, field(2, b"")), 1, known=KnownNames())
    assert caught.value.limit == "POINTS_PER_REQUEST_MAX"
