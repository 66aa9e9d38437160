"""YAML read with its line numbers, so that every complaint can say where.

    in   text of a YAML file
    out  Section: a mapping whose keys are taken one by one, by type; what nobody took is refused

Scalars keep the text they were written as: `job_name: 010` is "010", as in Prometheus, whose
fields say what they are. Anchors and merge keys (`<<`) work. A key given twice is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NoReturn

import yaml

from api import times
from tsdb.errors import InvalidInput

__all__ = ["Entry", "Section", "read"]

DOCUMENT_BYTES_MAX = 16 << 20
DEPTH_MAX = 32
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml where it is: 8x as fast
_NULL = "tag:yaml.org,2002:null"
_MERGE = "tag:yaml.org,2002:merge"
_TRUE = {"true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON", "y", "Y"}
_FALSE = {"false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF", "n", "N"}
_SIZE = re.compile(r"(\d+)\s*([KMGTPE]?)i?B?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Entry:
    """One value and where it stands."""

    file: str
    name: str  # of the key it belongs to
    node: yaml.Node

    @property
    def line(self) -> int:
        return int(self.node.start_mark.line) + 1

    def fail(self, why: str) -> NoReturn:
        raise InvalidInput(f"{self.file}, line {self.line}: {self.name}: {why}")

    def text(self) -> str:
        if not isinstance(self.node, yaml.ScalarNode):
            self.fail("a text is expected")
        return str(self.node.value)

    def flag(self) -> bool:
        text = self.text()
        if text not in _TRUE | _FALSE:
            self.fail(f"true or false is expected, not {text!r}")
        return text in _TRUE

    def number(self) -> int:
        text = self.text()
        if not (text.isascii() and text.isdigit() and len(text) <= 18):
            self.fail(f"a whole number is expected, not {text!r}")
        return int(text)

    def milliseconds(self) -> int:
        text = self.text()
        try:
            return times.duration_ticks(text, ticks_per_s=1_000)
        except InvalidInput as error:
            self.fail(str(error))

    def size_bytes(self) -> int:
        """`10MB` as Prometheus means it: steps of 1,024."""
        match = _SIZE.fullmatch(self.text())
        if match is None:
            self.fail(f"a size such as 10MB is expected, not {self.text()!r}")
        return int(match[1]) << (10 * " KMGTPE".index(match[2] or " "))

    def section(self) -> Section:
        if not isinstance(self.node, yaml.MappingNode):
            self.fail("a mapping of keys to values is expected")
        return Section(self)

    def items(self) -> list[Entry]:
        if not isinstance(self.node, yaml.SequenceNode):
            self.fail("a list is expected")
        return [Entry(self.file, self.name, node) for node in self.node.value]

    def texts(self) -> tuple[str, ...]:
        return tuple(item.text() for item in self.items())


@dataclass(slots=True)
class Section:
    """A mapping. Take what is known, then `end`: whatever is left is refused by name."""

    entry: Entry
    _left: dict[str, tuple[int, Entry]] = field(init=False)

    def __post_init__(self) -> None:
        self._left = {}
        assert isinstance(self.entry.node, yaml.MappingNode)
        for key, value in self.entry.node.value:
            named = Entry(self.entry.file, "key", key)
            name = named.text()
            if name in self._left:
                named.fail(f"{name!r} is given twice")
            self._left[name] = (named.line, Entry(self.entry.file, name, value))

    def take(self, name: str) -> Entry | None:
        """The value of `name`; None where it is missing or null."""
        _, entry = self._left.pop(name, (0, None))
        return None if entry is None or entry.node.tag == _NULL else entry

    def text(self, name: str, default: str = "") -> str:
        entry = self.take(name)
        return default if entry is None else entry.text()

    def flag(self, name: str, default: bool) -> bool:
        entry = self.take(name)
        return default if entry is None else entry.flag()

    def number(self, name: str, default: int = 0) -> int:
        entry = self.take(name)
        return default if entry is None else entry.number()

    def milliseconds(self, name: str, default: int) -> int:
        entry = self.take(name)
        return default if entry is None else entry.milliseconds()

    def size_bytes(self, name: str, default: int = 0) -> int:
        entry = self.take(name)
        return default if entry is None else entry.size_bytes()

    def items(self, name: str) -> list[Entry]:
        entry = self.take(name)
        return [] if entry is None else entry.items()

    def texts(self, name: str) -> tuple[str, ...]:
        entry = self.take(name)
        return () if entry is None else entry.texts()

    def labels(self, name: str) -> dict[str, str]:
        entry = self.take(name)
        return {} if entry is None else dict(entry.section().pairs())

    def pairs(self) -> Iterator[tuple[str, str]]:
        """All keys and values as texts: a mapping whose keys are the user's."""
        for name in list(self._left):
            entry = self.take(name)
            yield name, "" if entry is None else entry.text()

    def entries(self) -> Iterator[tuple[str, Entry]]:
        for name in list(self._left):
            entry = self.take(name)
            if entry is not None:
                yield name, entry

    def fail(self, name: str, why: str) -> NoReturn:
        """A complaint about a key that was taken, or is missing."""
        raise InvalidInput(f"{self.entry.file}, line {self._line_of(name)}: {name}: {why}")

    def refuse(self, names: Iterable[str], why: str) -> None:
        """Keys of Prometheus that we know and cannot do; empty ones ask for nothing."""
        for name in names:
            line, _ = self._left.get(name, (0, None))
            entry = self.take(name)
            if entry is not None and not _says_nothing(entry.node):
                raise InvalidInput(f"{self.entry.file}, line {line}: {name} is not supported{why}")

    def end(self) -> None:
        for name, (line, _) in self._left.items():
            raise InvalidInput(
                f"{self.entry.file}, line {line}: unknown key {name!r} in {self.entry.name}"
            )

    def _line_of(self, name: str) -> int:
        assert isinstance(self.entry.node, yaml.MappingNode)
        for key, _ in self.entry.node.value:
            if key.value == name:
                return int(key.start_mark.line) + 1
        return self.entry.line


def read(text: str, file: str) -> Entry | None:
    """The document; None when it is empty. InvalidInput names the line YAML breaks at."""
    if len(text) > DOCUMENT_BYTES_MAX:
        raise InvalidInput(f"{file}: the file is larger than {DOCUMENT_BYTES_MAX:,} bytes")
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is not None:
            _flatten(loader, node, 0, set())
    except yaml.YAMLError as error:
        raise InvalidInput(f"{file}{_where(error)}") from error
    except RecursionError:
        raise InvalidInput(f"{file}: values are nested too deep") from None
    finally:
        loader.dispose()
    return None if node is None or node.tag == _NULL else Entry(file, "the file", node)


def _flatten(loader: Any, node: yaml.Node, depth: int, seen: set[int]) -> None:
    """Merge keys become plain ones; anchors may not make a value hold itself."""
    if depth > DEPTH_MAX:
        raise RecursionError
    if id(node) in seen:
        return
    if isinstance(node, yaml.MappingNode):
        if any(key.tag == _MERGE for key, _ in node.value):
            loader.flatten_mapping(node)
            node.value = list({key.value: (key, value) for key, value in node.value}.values())
        for key, value in node.value:
            _flatten(loader, key, depth + 1, seen)
            _flatten(loader, value, depth + 1, seen)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _flatten(loader, item, depth + 1, seen)
    seen.add(id(node))


def _says_nothing(node: yaml.Node) -> bool:
    if isinstance(node, yaml.ScalarNode):
        return node.value in ("", "false", "0")
    return not node.value


def _where(error: yaml.YAMLError) -> str:
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        why = error.problem or error.context or "it is not YAML"
        return f", line {mark.line + 1}: {why}" if mark else f": {why}"
    return f": {str(error).splitlines()[0]}"
