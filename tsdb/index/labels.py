"""Label sets: what a series is called, as a mapping and as bytes.

    in   names and values from a caller (`canonical`, `canonical_pairs`) or key bytes (`parse`)
    out  canonical key bytes; `Labels`

Canonical key: for each label, in the order of its UTF-8 name,

    u16le len(name), name, u16le len(value), value

An empty value means that the label is missing (as in Prometheus), so it is dropped. Two label
sets are equal exactly if their keys are: the key is what tables hash, logs carry and shards are
placed by. Bounds are those of `tsdb.limits`; a refusal names the label.

Price: 6 µs for ten labels; paid once a series, not once a point.
"""

from __future__ import annotations

from collections.abc import ItemsView, Iterable, Iterator, Mapping
from itertools import pairwise
from typing import NoReturn, TypeVar, overload

from tsdb import limits
from tsdb.errors import CorruptionError, InvalidInput, LimitExceeded
from tsdb.index.quoting import is_label_name, is_metric_name, quote, shown

__all__ = ["METRIC_NAME", "Labels", "canonical", "canonical_pairs", "check", "parse"]

METRIC_NAME = "__name__"
Default = TypeVar("Default")
LENGTH_BYTES = 2  # u16le before each name and each value


class Labels(Mapping[str, str]):
    """An immutable label set, ordered by name; `str()` is its selector text.

    Not checked against limits: queries make label sets that no series has. `canonical` checks.
    """

    __slots__ = ("_hash", "_items")

    def __init__(self, labels: Mapping[str, str] | Iterable[tuple[str, str]] = ()) -> None:
        pairs = labels.items() if isinstance(labels, Mapping) else labels
        # Code points and UTF-8 bytes sort alike.
        self._items: dict[str, str] = {name: value for name, value in sorted(pairs) if value}
        self._hash: int | None = None

    @classmethod
    def of_sorted(cls, pairs: dict[str, str] | Iterable[tuple[str, str]]) -> Labels:
        """Of pairs that come from a canonical key: sorted, unique, no empty value.

        A dict is kept as it is, so it must be the caller's to give.
        """
        self = cls.__new__(cls)
        self._items = pairs if isinstance(pairs, dict) else dict(pairs)
        self._hash = None
        return self

    @property
    def name(self) -> str:
        """Value of `__name__`; empty when there is none."""
        return self._items.get(METRIC_NAME, "")

    def __getitem__(self, name: str) -> str:
        return self._items[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    # What Mapping would do through __iter__ and __getitem__, a label at a time.
    def items(self) -> ItemsView[str, str]:
        return self._items.items()

    @overload
    def get(self, name: str, /) -> str | None: ...
    @overload
    def get(self, name: str, /, default: str | Default) -> str | Default: ...
    def get(self, name: str, /, default: str | Default | None = None) -> str | Default | None:
        return self._items.get(name, default)

    def without(self, names: Iterable[str]) -> Labels:
        """All labels but those named."""
        kept = self._items.copy()
        for name in names:
            kept.pop(name, None)
        return Labels.of_sorted(kept)

    def only(self, names: Iterable[str]) -> Labels:
        """The labels that are named, where present; `names` are sorted and unique."""
        items = self._items
        return Labels.of_sorted({name: items[name] for name in names if name in items})

    def replaced(self, name: str, value: str) -> Labels:
        """With another value of one label; an empty one takes it away."""
        items = self._items
        if items.get(name, "") == value:
            return self
        if not value:
            return self.without((name,))
        if name in items:
            return Labels.of_sorted(items | {name: value})
        return Labels.of_sorted(sorted([*items.items(), (name, value)]))

    def __hash__(self) -> int:
        if self._hash is None:
            self._hash = hash(tuple(self._items.items()))
        return self._hash

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Labels):
            return self._items == other._items
        return super().__eq__(other)

    def __str__(self) -> str:
        """`cpu{host="a"}`; names PromQL cannot write plainly are quoted inside the braces."""
        name = self.name
        outside = name if is_metric_name(name) else ""
        inside = [quote(name)] if name and not outside else []
        inside += [
            f"{label if is_label_name(label) else quote(label)}={quote(value)}"
            for label, value in self._items.items()
            if label != METRIC_NAME
        ]
        return f"{outside}{{{', '.join(inside)}}}" if inside or not outside else outside

    def __repr__(self) -> str:
        return f"<Labels {self}>"


def canonical(labels: Mapping[str, str]) -> bytes:
    """Key of a label set; InvalidInput or LimitExceeded names the label at fault."""
    return canonical_pairs((_encoded(name), _encoded(value)) for name, value in labels.items())


def canonical_pairs(pairs: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Key of labels in a sender's order and encoding; a name given twice is refused."""
    kept = sorted(pair for pair in pairs if pair[1] or not pair[0])
    for name, value in kept:
        _check_label(name, value)
    for (name, _), (following, _) in pairwise(kept):
        if name == following:
            raise InvalidInput(f"label {_shown(name)} is given twice")
    if not kept:
        raise InvalidInput("a series needs at least one label with a value")
    if len(kept) > limits.LABELS_PER_SERIES_MAX:
        raise LimitExceeded(
            f"series {_culprit(kept)} has {len(kept)} labels",
            limit="LABELS_PER_SERIES_MAX",
            value=limits.LABELS_PER_SERIES_MAX,
        )
    key = b"".join([_length(text) + text for pair in kept for text in pair])
    if len(key) > limits.SERIES_KEY_BYTES_MAX:
        raise LimitExceeded(
            f"labels of series {_culprit(kept)} take {len(key):,} bytes",
            limit="SERIES_KEY_BYTES_MAX",
            value=limits.SERIES_KEY_BYTES_MAX,
        )
    return key


def parse(key: bytes) -> Labels:
    """Labels of canonical bytes; CorruptionError if the bytes are not canonical."""
    pairs: list[tuple[str, str]] = []
    previous = b""
    position = 0
    while position < len(key):
        start = position
        name, position = _field(key, position)
        value, position = _field(key, position)
        if name <= previous:
            _corrupt(start, "label names are not in order" if name else "label name is empty")
        if not value:
            _corrupt(start, "label value is empty")
        if len(name) > limits.LABEL_NAME_BYTES_MAX or len(value) > limits.LABEL_VALUE_BYTES_MAX:
            _corrupt(start, "label is longer than any that was ever accepted")
        previous = name
        try:
            pairs.append((name.decode(), value.decode()))
        except UnicodeDecodeError:
            _corrupt(start, "label is not valid UTF-8")
    if not pairs:
        _corrupt(0, "no labels")
    if len(pairs) > limits.LABELS_PER_SERIES_MAX or len(key) > limits.SERIES_KEY_BYTES_MAX:
        _corrupt(0, "more labels than any series ever accepted")
    return Labels.of_sorted(pairs)


def check(key: bytes) -> None:
    """Raise CorruptionError unless `key` is what `canonical` could have made."""
    parse(key)


def _encoded(text: str) -> bytes:
    if not isinstance(text, str):
        raise InvalidInput(f"label names and values are text, not {type(text).__name__}")
    try:
        return text.encode()
    except UnicodeEncodeError:
        # Half of a surrogate pair: JSON can say it, UTF-8 cannot.
        raise InvalidInput(f"label text {shown(text)} cannot be written as UTF-8") from None


def _check_label(name: bytes, value: bytes) -> None:
    if not name:
        raise InvalidInput(f"a label name is empty (its value is {_shown(value)})")
    for what, text, limit, bound in (
        ("name", name, "LABEL_NAME_BYTES_MAX", limits.LABEL_NAME_BYTES_MAX),
        ("value", value, "LABEL_VALUE_BYTES_MAX", limits.LABEL_VALUE_BYTES_MAX),
    ):
        if len(text) > bound:
            message = f"{what} of label {_shown(name)} takes {len(text):,} bytes"
            raise LimitExceeded(message, limit=limit, value=bound)
        try:
            text.decode()
        except UnicodeDecodeError:
            raise InvalidInput(f"{what} of label {_shown(name)} is not valid UTF-8") from None


def _culprit(pairs: list[tuple[bytes, bytes]]) -> str:
    """What to call a series that has no acceptable key: its metric name, or its first label."""
    named = dict(pairs)
    metric = named.get(METRIC_NAME.encode())
    return _shown(metric) if metric else f"with label {_shown(pairs[0][0])}"


def _shown(text: bytes) -> str:
    return shown(text.decode(errors="replace"))


def _length(text: bytes) -> bytes:
    return len(text).to_bytes(LENGTH_BYTES, "little")


def _field(key: bytes, position: int) -> tuple[bytes, int]:
    start = position + LENGTH_BYTES
    end = start + int.from_bytes(key[position:start], "little")
    if end > len(key) or start > len(key):
        _corrupt(position, "label runs past the end of its key")
    return key[start:end], end


def _corrupt(position: int, reason: str) -> NoReturn:
    raise CorruptionError(None, position, reason)
