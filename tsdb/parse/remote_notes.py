"""Metadata and exemplars of remote_write bodies: what stands beside points.

    in   where the kernel saw them, series by number
    out  one FamilyMetadata a family, Exemplars; a sentence for each exemplar that is not kept

    MetricMetadata  1 type, 2 metric_family_name, 4 help, 5 unit          (1.0)
    Metadata        1 type, 3 help_ref, 4 unit_ref                        (2.0, of a series)
    Exemplar        1 labels or label refs, 2 value, 3 timestamp (ms)

2.0 says it for each series; its family is the series' name, without what histograms and summaries
add to theirs. Price: 3 µs a family, 10 µs an exemplar.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field

from tsdb import limits
from tsdb.batch import Exemplar, FamilyMetadata, I64s, U8s, U32s
from tsdb.codec.resolution import Resolution
from tsdb.errors import InvalidInput, LimitExceeded
from tsdb.index import labels
from tsdb.parse import protobuf, times
from tsdb.parse.kernels import remote_write as kernels
from tsdb.parse.remote_keys import ListKeys, Pairs, RangeKeys, label_pairs

__all__ = ["Notes", "read_notes_1", "read_notes_2"]

KINDS = (
    "unknown", "counter", "gauge", "histogram", "gaugehistogram", "summary", "info", "stateset",
)  # fmt: skip
SUFFIXES = {
    "histogram": ("_bucket", "_count", "_sum"),
    "gaugehistogram": ("_bucket", "_gcount", "_gsum"),
    "summary": ("_count", "_sum"),
}


@dataclass(slots=True)
class Notes:
    metadata: tuple[FamilyMetadata, ...] = ()
    exemplars: tuple[Exemplar, ...] = ()
    refused: list[str] = field(default_factory=list)


def read_notes_1(data: U8s, asides: I64s, keys: RangeKeys, resolution: Resolution) -> Notes:
    """Of a 1.0 body."""
    reading = _Reading(keys, resolution, label_pairs)
    for kind, start, end, number in asides.tolist():
        text = data[start:end].tobytes()
        if kind == kernels.METADATA:
            reading.add_metadata(functools.partial(_metadata_1, text))
        else:
            reading.add_exemplar(text, number)
    return reading.notes()


def read_notes_2(
    data: U8s, asides: I64s, keys: ListKeys, resolution: Resolution, symbols: U32s
) -> Notes:
    """Of a 2.0 body whose symbols have the numbers `symbols`."""

    def symbol(ref: int) -> bytes:
        if ref >= symbols.size:
            raise InvalidInput(f"refers to symbol {ref}; there are {symbols.size:,}")
        return keys.symbol(int(symbols[ref]))

    def exemplar_pairs(message: bytes) -> Pairs:
        refs = [
            ref for number, _, value in protobuf.fields(message) if number == 1
            for ref in protobuf.packed(value)
        ]  # fmt: skip
        if len(refs) % 2:
            raise InvalidInput("has a label name without a value")
        texts = [symbol(ref) for ref in refs]
        return list(zip(texts[::2], texts[1::2], strict=True))

    reading = _Reading(keys, resolution, exemplar_pairs)
    for kind, start, end, number in asides.tolist():
        text = data[start:end].tobytes()
        if kind == kernels.METADATA:
            reading.add_metadata(functools.partial(_metadata_2, text, keys.symbol(number), symbol))
        else:
            reading.add_exemplar(text, number)
    return reading.notes()


class _Reading:
    """Notes in the making."""

    def __init__(
        self,
        keys: RangeKeys | ListKeys,
        resolution: Resolution,
        exemplar_pairs: Callable[[bytes], Pairs],
    ) -> None:
        self._keys = keys
        self._resolution = resolution
        self._exemplar_pairs = exemplar_pairs
        self._families: dict[str, FamilyMetadata] = {}
        self._exemplars: list[Exemplar] = []
        self._refused: list[str] = []
        self._series: dict[int, bytes] = {}

    def notes(self) -> Notes:
        return Notes(tuple(self._families.values()), tuple(self._exemplars), self._refused)

    def add_metadata(self, read: Callable[[], FamilyMetadata | None]) -> None:
        try:
            family = read()
        except InvalidInput as error:
            self._refused.append(f"metadata: {error}")
            return
        if family is not None:
            self._families[family.family] = family

    def add_exemplar(self, message: bytes, number: int) -> None:
        try:
            self._exemplars.append(self._exemplar(message, number))
        except InvalidInput as error:
            self._refused.append(f"exemplar of {self._keys.named(number)}: {error}")

    def _exemplar(self, message: bytes, number: int) -> Exemplar:
        value = ms = 0
        for field_number, wire, found in protobuf.fields(message):
            if field_number == 2 and wire == protobuf.I64:
                value = int(found)
            elif field_number == 3 and wire == protobuf.VARINT:
                ms = protobuf.signed(int(found))
        pairs = self._exemplar_pairs(message)
        characters = sum(len(text.decode(errors="replace")) for pair in pairs for text in pair)
        if characters > limits.EXEMPLAR_CHARACTERS_MAX:
            raise LimitExceeded(
                f"its labels have {characters:,} characters",
                limit="EXEMPLAR_CHARACTERS_MAX",
                value=limits.EXEMPLAR_CHARACTERS_MAX,
            )
        series = self._series.get(number)
        if series is None:
            series = self._series[number] = self._keys.canonical_of(number)
        own = labels.canonical_pairs(pairs) if any(value for _, value in pairs) else b""
        return Exemplar(series, own, _ticks(ms, self._resolution), protobuf.double(value))


def _metadata_1(message: bytes) -> FamilyMetadata | None:
    kind, texts = 0, {2: b"", 4: b"", 5: b""}
    for number, _, value in protobuf.fields(message):
        if number == 1 and isinstance(value, int):
            kind = value
        elif number in texts and isinstance(value, bytes):
            texts[number] = value
    family, told, unit = (text.decode(errors="replace") for text in texts.values())
    return FamilyMetadata(family, _kind(kind), told, unit) if family else None


def _metadata_2(
    message: bytes, name: bytes, symbol: Callable[[int], bytes]
) -> FamilyMetadata | None:
    """None where a sender that knows nothing says so."""
    kind, texts = 0, {3: b"", 4: b""}
    for number, _, value in protobuf.fields(message):
        if number == 1 and isinstance(value, int):
            kind = value
        elif number in texts and isinstance(value, int):
            texts[number] = symbol(value)
    told, unit = (text.decode(errors="replace") for text in texts.values())
    if not (kind or told or unit):
        return None
    family = name.decode(errors="replace")
    for suffix in SUFFIXES.get(_kind(kind), ()):
        if family.endswith(suffix):
            family = family.removesuffix(suffix)
            break
    return FamilyMetadata(family, _kind(kind), told, unit)


def _kind(number: int) -> str:
    return KINDS[number] if number < len(KINDS) else KINDS[0]


def _ticks(ms: int, resolution: Resolution) -> int:
    return times.ticks_from_decimal(str(ms), times.decimal_exponent(resolution) - 3)
