"""The first line of a CSV file: which column holds what.

    in   the line, perhaps the series that the caller names
    out  CsvHeading

    timestamp,value                    one series, named by the caller
    series,timestamp,value             series: a plain name or cpu{host="a"}, as an export writes it
    metric,host,dc,timestamp,value     labels: metric is the label __name__, others their heading
    timestamp,cpu,"mem{host=""a""}"    no column `value`: each column is the series of its heading

Columns in any order. The delimiter is comma, semicolon or tab, whichever the line has most of.
"""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import dataclass

from tsdb import limits
from tsdb.errors import InvalidInput, LimitExceeded
from tsdb.index import labels
from tsdb.index.labels import METRIC_NAME
from tsdb.index.quoting import shown
from tsdb.index.selector import parse_series
from tsdb.parse.kernels.csv_text import NAME, TIME, VALUE

__all__ = ["CsvHeading", "fields_of"]

TIME_HEADINGS = {"timestamp", "time"}
DELIMITERS = ",;\t"


@dataclass(frozen=True, slots=True)
class CsvHeading:
    """`names[i]` is the label of column i; `key` is set when the caller named the one series.

    Wide: `names[i]` is the series of column i, and there is no column of names.
    """

    delimiter: str
    kinds: tuple[int, ...]
    names: tuple[str, ...]
    wide: bool
    key: bytes | None

    @classmethod
    def parse(cls, line: str, series: str | None) -> CsvHeading:
        """InvalidInput says what a heading must have."""
        delimiter = _delimiter(line)
        names = tuple(name.strip() for name in fields_of(line, delimiter))
        kinds = tuple(_kind(name) for name in names)
        if len(names) > limits.CSV_COLUMNS_MAX:
            raise LimitExceeded(
                f"{len(names):,} columns",
                limit="CSV_COLUMNS_MAX",
                value=limits.CSV_COLUMNS_MAX,
            )
        if kinds.count(TIME) != 1 or kinds.count(VALUE) > 1 or len(kinds) < 2:
            raise InvalidInput(
                f"the heading {shown(line)} needs one column timestamp and either one column "
                "value or a column for each series"
            )
        twice = [name for name, count in Counter(names).items() if count > 1 or not name]
        if twice:
            raise InvalidInput(f"the heading has no name or one twice: {shown(twice[0])}")
        wide = VALUE not in kinds
        if wide:
            kinds = tuple(VALUE if kind == NAME else kind for kind in kinds)
        named = wide or NAME in kinds
        if named and series is not None:
            raise InvalidInput(f"the file names its series, so {shown(series)} is one too many")
        if not named and series is None:
            raise InvalidInput("the file names no series: say which one its points are of")
        key = None if series is None else labels.canonical(parse_series(series))
        return cls(delimiter, kinds, names, wide, key)

    @property
    def form(self) -> str:
        """Tells apart what the bytes of a name mean: `Parsed.form`."""
        return "csv" + self.delimiter + self.delimiter.join(map(repr, self.label_names))

    @property
    def label_names(self) -> tuple[str, ...]:
        """Of the columns that name a series, in their order."""
        return tuple(
            name for name, kind in zip(self.names, self.kinds, strict=True) if kind == NAME
        )

    @property
    def adjacent(self) -> bool:
        """Whether the columns of the name stand side by side, so that a range can hold them."""
        places = [i for i, kind in enumerate(self.kinds) if kind == NAME]
        return not places or places[-1] - places[0] + 1 == len(places)

    def column_keys(self) -> list[bytes]:
        """Wide: the canonical key of each value column."""
        return [
            labels.canonical(parse_series(name))
            for name, kind in zip(self.names, self.kinds, strict=True)
            if kind == VALUE
        ]

    def canonical(self, raw: bytes) -> bytes:
        """Canonical label bytes of a name as it stands in the file."""
        try:
            texts = fields_of(raw.decode(), self.delimiter)
        except UnicodeDecodeError as error:
            raise InvalidInput(f"the series is not UTF-8: {error.reason}") from error
        if len(texts) != len(self.label_names):
            raise InvalidInput(f"{len(texts)} names where the heading has {len(self.label_names)}")
        pairs: list[tuple[str, str]] = []
        for name, text in zip(self.label_names, texts, strict=True):
            if name == "series":
                pairs += parse_series(text.strip()).items()
            else:
                pairs.append((METRIC_NAME if name == "metric" else name, text))
        return labels.canonical_pairs((name.encode(), text.encode()) for name, text in pairs)


def fields_of(text: str, delimiter: str) -> list[str]:
    """The fields of one record."""
    try:
        return next(csv.reader([text], delimiter=delimiter), []) or [""]
    except csv.Error as error:
        raise InvalidInput(f"not CSV: {error}") from error


def _delimiter(line: str) -> str:
    outside = "".join(line.split('"')[::2])
    return max(DELIMITERS, key=outside.count)


def _kind(name: str) -> int:
    lowered = name.lower()
    if lowered in TIME_HEADINGS:
        return TIME
    return VALUE if lowered == "value" else NAME
