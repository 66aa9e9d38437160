"""OpenTSDB's telnet protocol: lines `put metric time value tag=value ...`.

    in   lines; other commands are told apart and handed back, in order
    out  Parsed: a run a line; commands to answer

Times are seconds, or milliseconds where they are more than 2^32 - 1, as in OpenTSDB; decimals are
of seconds. Any number of spaces parts the words, \\r\\n ends a line (collectd sends both). Tags
are labels and may lack; a tag without value is none. nan is no value and counted.

Price: 60 ns a line in the kernel, 5 µs in `slow_line`, which alone refuses.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

from tsdb.batch import Parsed
from tsdb.codec.resolution import Resolution
from tsdb.errors import InvalidInput
from tsdb.index import labels
from tsdb.index.quoting import shown
from tsdb.parse import line_numbers, times
from tsdb.parse.kernels import put_lines as kernels
from tsdb.parse.line_columns import LinePoint, Lines, NoPoint, read_lines

__all__ = ["FORM", "PutLines", "canonical", "parse", "slow_line", "ticks_of"]

FORM = "opentsdb"
NAME = labels.METRIC_NAME.encode()
WORDS_MIN = 4  # put metric time value
COMMANDS_MAX = 100  # that one block is answered


@dataclass(frozen=True, slots=True)
class PutLines:
    points: Parsed
    dropped: int  # lines whose value is nan
    commands: tuple[str, ...]


def parse(body: bytes, resolution: Resolution) -> PutLines:
    commands: list[str] = []
    slow = functools.partial(slow_line, resolution=resolution, commands=commands)
    lines = Lines(FORM, kernels.lines, (resolution.ticks_per_s,), slow, canonical)
    parsed, dropped = read_lines(body, lines)
    return PutLines(parsed, dropped, tuple(commands))


def slow_line(text: bytes, resolution: Resolution, commands: list[str]) -> LinePoint | NoPoint:
    """One line, a word at a time; a command is noted."""
    words = [word for word in text.replace(b"\t", b" ").split(b" ") if word]
    if words[0] != b"put":
        _note(words[0], commands)
        return NoPoint.COMMAND
    if len(words) < WORDS_MIN:
        raise InvalidInput(
            f"not enough arguments: put metric time value tag=value, got {len(words) - 1} words"
        )
    metric, moment, number, *tags = words[1:]
    value = line_numbers.float_of(number)
    ticks = ticks_of(line_numbers.text_of(moment), resolution)
    if value is None:
        return NoPoint.NAN
    return LinePoint(b" ".join((metric, *tags)), ticks, value)


def canonical(raw: bytes) -> bytes:
    """Canonical label bytes of a metric and its tags, parted by spaces."""
    metric, *tags = [word for word in raw.split(b" ") if word]
    pairs = [(NAME, metric)]
    for tag in tags:
        name, equals, value = tag.partition(b"=")
        if not equals or not name:
            raise InvalidInput(f"invalid tag: {shown(line_numbers.text_of(tag))}")
        if value:
            pairs.append((name, value))
    return labels.canonical_pairs(pairs)


def ticks_of(text: str, resolution: Resolution) -> int:
    """Ticks of a time in seconds or milliseconds."""
    if not line_numbers.NUMBER.fullmatch(text):
        raise InvalidInput(f"invalid timestamp: {shown(text)}")
    exponent = times.decimal_exponent(resolution)
    ms = times.ticks_from_decimal(text, 0)
    if ms > kernels.MILLISECONDS_MAX or float(text) <= 0:
        raise InvalidInput(f"invalid timestamp: {shown(text)} is neither seconds nor milliseconds")
    return times.ticks_from_decimal(text, exponent - 3 if ms > kernels.SECONDS_MAX else exponent)


def _note(word: bytes, commands: list[str]) -> None:
    if word not in (b"version", b"help", b"exit", b"quit", b"stats", b"dropcaches", b"diediedie"):
        raise InvalidInput(f"unknown command: {shown(line_numbers.text_of(word))}; there is put")
    if len(commands) >= COMMANDS_MAX:
        raise InvalidInput("too many commands at once")
    commands.append(word.decode())
