"""A YAML file as a tree that knows its lines, so that an error can name one.

    in   bytes
    out  Section: keys, each once, asked for by name; what nobody asked for is an error

Scalars stay text: a hash made of digits is no number here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import yaml

from tsdb.errors import InvalidInput

__all__ = ["Place", "Section", "document"]

T = TypeVar("T")
TRUTH = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


class Place:
    """A value of the file: its name there, the line of that name, and the node itself."""

    def __init__(self, file: Path, name: str, node: yaml.Node, named: yaml.Node) -> None:
        self.name = name
        self._line = named.start_mark.line + 1
        self._file = file
        self._node = node

    def error(self, reason: str) -> InvalidInput:
        return InvalidInput(f"{self._file}, line {self._line}: {self.name}: {reason}")

    def text(self) -> str:
        if not isinstance(self._node, yaml.ScalarNode) or self._node.tag.endswith(":null"):
            raise self.error("a text is wanted")
        return str(self._node.value)

    def truth(self) -> bool:
        found = TRUTH.get(self.text().lower())
        if found is None:
            raise self.error("true or false is wanted")
        return found

    def choice(self, choices: dict[str, T]) -> T:
        text = self.text()
        if text not in choices:
            raise self.error(f"{text!r} is none of {', '.join(choices)}")
        return choices[text]

    def path(self) -> Path:
        """Relative to the folder of the file."""
        return self._file.parent / self.text()

    def items(self) -> list[Place]:
        if not isinstance(self._node, yaml.SequenceNode):
            raise self.error("a list is wanted")
        return [Place(self._file, self.name, node, node) for node in self._node.value]

    def section(self) -> Section:
        if isinstance(self._node, yaml.ScalarNode) and self._node.tag.endswith(":null"):
            return Section(self._file, self, {})
        if not isinstance(self._node, yaml.MappingNode):
            raise self.error("keys with values are wanted")
        places: dict[str, Place] = {}
        for key, value in self._node.value:
            place = Place(self._file, str(key.value), value, key)
            if not isinstance(key, yaml.ScalarNode):
                raise place.error("a key is a text")
            if place.name in places:
                raise place.error("it is there twice")
            places[place.name] = place
        return Section(self._file, self, places)


class Section:
    """Keys and values; `end` refuses what was not taken."""

    def __init__(self, file: Path, place: Place, places: dict[str, Place]) -> None:
        self.place = place
        self._file = file
        self._left = places
        self._known: list[str] = []

    def take(self, name: str) -> Place | None:
        self._known.append(name)
        return self._left.pop(name, None)

    def value(self, name: str, read: Callable[[Place], T], otherwise: T) -> T:
        place = self.take(name)
        return otherwise if place is None else read(place)

    def section(self, name: str) -> Section:
        """Empty when it is not there."""
        place = self.take(name)
        return Section(self._file, self.place, {}) if place is None else place.section()

    def names(self) -> Iterator[tuple[str, Place]]:
        """All that is left, where the names are the user's."""
        left, self._left = self._left, {}
        yield from left.items()

    def end(self) -> None:
        for place in self._left.values():
            known = ", ".join(self._known)
            raise place.error(f"the key is unknown; there are {known}")


def document(file: Path, text: bytes) -> Section:
    """The whole file; an empty one is an empty section."""
    try:
        node = yaml.compose(text.decode(), yaml.SafeLoader)
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{file}: it is not UTF-8") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = f", line {mark.line + 1}" if mark is not None else ""
        raise InvalidInput(f"{file}{line}: {error.problem}") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise InvalidInput(f"{file}: {str(error).splitlines()[0]}") from error
    if node is None:
        node = yaml.MappingNode("tag:yaml.org,2002:map", [], yaml.Mark("", 0, 0, 0, None, None))
    return Place(file, "the file", node, node).section()
