"""Prometheus' text 0.0.4 and OpenMetrics 1.0: what exporters expose and scripts push.

    in   name{label="value"} 1.5 1700000000000     times are milliseconds, and may lack
         # TYPE name counter                       in OpenMetrics seconds, and # EOF at the end
    out  Parsed: a run a line; key bytes are the series as it was written; metadata; exemplars

A point without a time gets `now_ticks`; so do all where `timestamps` is False (a scrape that does
not honour them). `strict` is how Prometheus takes a scrape: one wrong line and the whole body is
none. Else a wrong line costs itself. An OpenMetrics body without # EOF at its end is refused
whole: what was cut off may have been half of a number.

Price: see `tsdb.parse.kernels.exposition`; 5 to 10 µs for a line that is left to `read_line`, 10 µs
for an exemplar; a series with ten labels that was never seen before, 0.3 µs by `canonical_many`
and 12 µs by `canonical`.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tsdb import limits
from tsdb.batch import Columns, Exemplar, FamilyMetadata, I64s, Parsed, U8s
from tsdb.codec.resolution import Resolution
from tsdb.errors import InvalidInput, LimitExceeded
from tsdb.index import labels
from tsdb.parse import exposition_text, times
from tsdb.parse.exposition_notes import read_notes
from tsdb.parse.exposition_text import NAME, Format, Line, plain_pairs
from tsdb.parse.kernels import exposition as kernels
from tsdb.parse.kernels import exposition_keys, line_protocol_keys
from tsdb.parse.kernels.decimal import PAD_BYTES
from tsdb.parse.refused import Refused
from tsdb.parse.text_buffer import is_utf8

__all__ = ["FORM", "Extra", "Format", "Reading", "canonical", "parse", "read"]

FORM = "exposition"
NEWLINE = 10
LINE_BYTES_MIN = len("a 1\n")
NOTE_BYTES_MIN = len("# TYPE\n")
END = b"# EOF"
KEY_MORE_BYTES = 16  # what a key may be longer than its text
KEY_BOUNDS = np.array(
    [
        limits.LABELS_PER_SERIES_MAX,
        limits.LABEL_NAME_BYTES_MAX,
        limits.LABEL_VALUE_BYTES_MAX,
        limits.SERIES_KEY_BYTES_MAX,
    ],
    np.int64,
)
_NOTE = re.compile(rb"#[ \t]+(HELP|TYPE|UNIT)(?:[ \t]|$)")

Extra = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class Reading:
    """A body that was read. `stamped`: how many points brought a time."""

    parsed: Parsed
    stamped: int


def parse(
    body: bytes,
    resolution: Resolution,
    *,
    now_ticks: int,
    openmetrics: bool = False,
    timestamps: bool = True,
    strict: bool = False,
) -> Parsed:
    """Every line that can be read; with `strict`, all of them or InvalidInput."""
    form = Format(times.decimal_exponent(resolution), now_ticks, openmetrics, timestamps)
    return read(body, form, strict=strict).parsed


def read(body: bytes, form: Format, *, strict: bool = False, extra: Extra = ()) -> Reading:
    """As `parse`; `extra` are labels that every series gets, in place of its own."""
    reading = _Reading(body, form, strict, bool(extra))
    reading.read_lines()
    reading.read_notes()
    named = canonical if not extra else functools.partial(_canonical_with, extra)
    exemplars = reading.read_exemplars(named)
    runs = int(reading.state[kernels.RUNS])
    columns = Columns(
        np.arange(runs + 1, dtype=np.int64),
        reading.stamps[:runs],
        reading.values[:runs].view(np.float64),
    )
    parsed = Parsed(
        FORM if not extra else f"{FORM} {extra!r}",
        reading.data,
        reading.starts[:runs],
        reading.ends[:runs],
        columns,
        named,
        reading.refused.told(),
        reading.refused.more + reading.unread,
        canonical_many=None if extra else reading.canonical_many,
        metadata=reading.families,
        exemplars=exemplars,
    )
    return Reading(parsed, int(reading.state[kernels.STAMPED]))


def canonical(raw: bytes) -> bytes:
    """Canonical label bytes of a series as it was written."""
    return labels.canonical_pairs(plain_pairs(raw))


def _canonical_with(extra: Extra, raw: bytes) -> bytes:
    names = {name for name, _ in extra}
    own = [pair for pair in plain_pairs(raw) if pair[0] not in names]
    return labels.canonical_pairs([*own, *extra])


class _Reading:
    """Columns in the making, filled by the kernel and by hand in turn."""

    def __init__(self, body: bytes, form: Format, strict: bool, extra: bool) -> None:
        self.form = form
        self.extra = extra
        # Behind the padding stands what canonical_many needs to have in the same bytes.
        self.data: U8s = np.full(len(body) + PAD_BYTES + len(NAME), NEWLINE, np.uint8)
        self.data[: len(body)] = np.frombuffer(body, np.uint8)
        self.data[-len(NAME) :] = np.frombuffer(NAME, np.uint8)
        self.size = len(body)
        self.strict = strict
        self.refused = Refused()
        self.unread = 0
        self.ended = False
        self.families: tuple[FamilyMetadata, ...] = ()
        rows = self.size // LINE_BYTES_MIN + 2
        self.state = np.zeros(kernels.STATE_SIZE, np.int64)
        self.state[kernels.LINE] = 1
        self.starts, self.ends, self.stamps = (np.empty(rows, np.int64) for _ in range(3))
        self.values = np.empty(rows, np.uint64)
        self.notes = np.empty(self.size + 1, np.uint8)
        self.note_lines = np.empty(self.size // NOTE_BYTES_MIN + 2, np.int64)
        self.exemplars = np.empty((rows if form.openmetrics else 1, 4), np.int64)

    def read_lines(self) -> None:
        """Raises InvalidInput for what makes the whole body none."""
        flags = kernels.UTF8 * is_utf8(self.data)
        flags |= kernels.OPENMETRICS * self.form.openmetrics | kernels.STAMPS * self.form.stamps
        while not self.ended:
            status = kernels.lines(
                self.data, self.size, self.form.scale, self.form.now_ticks, flags, self.state,
                self.starts, self.ends, self.stamps, self.values,
                self.notes, self.note_lines, self.exemplars,
            )  # fmt: skip
            if status != kernels.SLOW:
                break
            first, last, line = self.state[kernels.SLOW_AT :][:3].tolist()
            if self.refused.count == limits.LINES_REFUSED_MAX:
                self.unread += 1
                continue
            try:
                self._slow_line(self.data[first:last].tobytes(), first, line)
            except InvalidInput as error:
                self._refuse(line, error)
        if self.form.openmetrics and not self.ended:
            raise InvalidInput("the body does not end with # EOF: it may have been cut off")

    def read_notes(self) -> None:
        """Metadata, once all its lines are together."""
        text = self.notes[: self.state[kernels.NOTE_BYTES]].tobytes()
        if not text:
            return
        found = read_notes(text, openmetrics=self.form.openmetrics)
        self.families = found.families
        for number, why in found.wrong:
            self._refuse(int(self.note_lines[number]), InvalidInput(why))

    def read_exemplars(self, named: Callable[[bytes], bytes]) -> tuple[Exemplar, ...]:
        """A point whose exemplar is wrong is kept without."""
        found = []
        count = int(self.state[kernels.EXEMPLARS])
        most = limits.ASIDES_PER_REQUEST_MAX
        if count > most:
            self.refused.add(
                f"{count - most:,} exemplars are left out (limit ASIDES_PER_REQUEST_MAX = {most:,})"
            )
        rows = self.exemplars[: min(count, most)]
        text, offsets = self.canonical_many(rows[:, kernels.RUN])
        keys = text.tobytes()
        for i, (run, start, end, line) in enumerate(rows.tolist()):
            raw = self.data[self.starts[run] : self.ends[run]].tobytes()
            try:
                key = b"" if self.extra else keys[offsets[i] : offsets[i + 1]]
                found.append(self._exemplar(key or named(raw), run, (start, end)))
            except InvalidInput as error:
                self._refuse(line, InvalidInput(f"exemplar: {error}"))
        return tuple(found)

    def canonical_many(self, runs: I64s) -> tuple[U8s, I64s]:
        """Canonical keys of some runs; an empty one where `canonical` must look."""
        room = int((self.ends[runs] - self.starts[runs]).sum()) + KEY_MORE_BYTES * runs.size
        out, offsets = np.empty(room, np.uint8), np.empty(runs.size + 1, np.int64)
        parts = np.empty((line_protocol_keys.PARTS, limits.LABELS_PER_SERIES_MAX + 1), np.int64)
        runs = np.ascontiguousarray(runs)
        exposition_keys.canonical_many(
            runs, self.data, self.starts, self.ends, self.data.size - len(NAME),
            KEY_BOUNDS, parts, out, offsets,
        )  # fmt: skip
        return out[: offsets[-1]], offsets

    def _exemplar(self, series: bytes, run: int, place: tuple[int, int]) -> Exemplar:
        text = self.data[slice(*place)].tobytes().rstrip()
        point_ticks = int(self.stamps[run])
        pairs, ticks, value = exposition_text.read_exemplar(text, point_ticks, self.form)
        characters = sum(len(word.decode(errors="replace")) for pair in pairs for word in pair)
        if characters > limits.EXEMPLAR_CHARACTERS_MAX:
            raise LimitExceeded(
                f"the exemplar's labels have {characters:,} characters",
                limit="EXEMPLAR_CHARACTERS_MAX",
                value=limits.EXEMPLAR_CHARACTERS_MAX,
            )
        own = labels.canonical_pairs(pairs) if any(text for _, text in pairs) else b""
        return Exemplar(series, own, ticks, value)

    def _slow_line(self, text: bytes, at: int, line: int) -> None:
        if text[:1] == b"#":
            self._slow_comment(text, at, line)
            return
        found = exposition_text.read_line(text.rstrip(exposition_text.BLANK), self.form)
        if found is None:
            return
        self._append(found, at)
        if found.exemplar is not None:
            row = (self._runs - 1, at + found.exemplar, at + len(text), line)
            self.exemplars[self.state[kernels.EXEMPLARS]] = row
            self.state[kernels.EXEMPLARS] += 1

    def _append(self, found: Line, at: int) -> None:
        raw = self.data[at + found.key_start : at + found.key_end].tobytes()
        labels.canonical_pairs(plain_pairs(raw))  # what is wrong with its labels is wrong here
        run = self._runs
        self.starts[run], self.ends[run] = at + found.key_start, at + found.key_end
        self.stamps[run], self.values[run] = found.ticks, found.bits
        self.state[kernels.RUNS] = run + 1
        self.state[kernels.STAMPED] += found.stamped

    def _slow_comment(self, text: bytes, at: int, line: int) -> None:
        openmetrics = self.form.openmetrics
        if openmetrics and text.rstrip(b"\r") == END:
            if at + len(text) + 1 < self.size:
                raise _Whole(f"line {line + 1}: something follows # EOF")
            self.ended = True
            return
        note = _NOTE.match(text)
        if note is None or (not openmetrics and note[1] == b"UNIT"):
            if openmetrics:
                raise InvalidInput("a comment is HELP, TYPE, UNIT or EOF")
            return
        size = int(self.state[kernels.NOTE_BYTES])
        noted = text + b"\n"
        self.notes[size : size + len(noted)] = np.frombuffer(noted, np.uint8)
        self.state[kernels.NOTE_BYTES] = size + len(noted)
        self.note_lines[self.state[kernels.NOTES]] = line
        self.state[kernels.NOTES] += 1

    @property
    def _runs(self) -> int:
        return int(self.state[kernels.RUNS])

    def _refuse(self, line: int, error: InvalidInput) -> None:
        if isinstance(error, _Whole):
            raise InvalidInput(str(error))
        sentence = f"line {line}: {error}"
        if self.strict:
            raise InvalidInput(sentence)
        self.refused.add(sentence)


class _Whole(InvalidInput):
    """Wrong for the whole body."""
