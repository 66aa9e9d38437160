"""What a listener's lines mean and what is said to them.

    in   a block of whole lines, the database
    out  Block: points, what was left out; bytes to answer with

`parse` runs on the pipeline's first thread.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Protocol

from api.listeners.framing import Framing, LineFraming, MessageFraming

if TYPE_CHECKING:
    from tsdb.batch import Parsed
    from tsdb.database.database import Database

__all__ = ["Block", "Dialect", "Graphite", "GraphitePickle", "OpenTSDB"]

OPENTSDB_VERSION = "2.4.0"  # whose protocol it is


@dataclass(frozen=True, slots=True)
class Block:
    points: Parsed
    dropped: int = 0  # lines whose value is nan
    commands: tuple[str, ...] = ()

    @property
    def lines(self) -> int:
        """Points and what was refused while reading."""
        return self.points.columns.points + len(self.points.skipped) + self.points.skipped_more


class Dialect(Protocol):
    @property
    def name(self) -> str: ...

    def framing(self) -> Framing: ...

    def count(self, block: bytes) -> int:
        """Lines, or what is counted as one, of a block that nobody reads."""
        ...

    def parse(self, block: bytes, database: Database) -> Block: ...

    def reply(self, refused: tuple[str, ...], commands: tuple[str, ...]) -> bytes:
        """What the sender hears; most protocols have no words for it."""
        ...

    def leaves(self, commands: tuple[str, ...]) -> bool:
        """Whether the sender asked to be hung up on."""
        ...


class _Lines:
    """What protocols of lines have in common."""

    def framing(self) -> Framing:
        return LineFraming()

    def count(self, block: bytes) -> int:
        return block.count(b"\n")

    def reply(self, refused: tuple[str, ...], commands: tuple[str, ...]) -> bytes:
        return b""

    def leaves(self, commands: tuple[str, ...]) -> bool:
        return False


class Graphite(_Lines):
    name = "graphite"

    def parse(self, block: bytes, database: Database) -> Block:
        from tsdb.parse import graphite

        return Block(*graphite.parse(block, database.resolution, database.now_ticks()))


class GraphitePickle(_Lines):
    name = "graphite_pickle"

    def framing(self) -> Framing:
        return MessageFraming()

    def count(self, block: bytes) -> int:
        from tsdb.parse import graphite_pickle

        return len(graphite_pickle.messages(block))

    def parse(self, block: bytes, database: Database) -> Block:
        from tsdb.parse import graphite_pickle

        return Block(*graphite_pickle.parse(block, database.resolution, database.now_ticks()))


class OpenTSDB(_Lines):
    name = "opentsdb"

    def parse(self, block: bytes, database: Database) -> Block:
        from tsdb.parse import opentsdb_lines

        found = opentsdb_lines.parse(block, database.resolution)
        return Block(found.points, found.dropped, found.commands)

    def reply(self, refused: tuple[str, ...], commands: tuple[str, ...]) -> bytes:
        lines = [f"put: {sentence}" for sentence in refused]
        lines += [text for text in map(_answer, commands) if text]
        return "".join(f"{line}\n" for line in lines).encode(errors="replace")

    def leaves(self, commands: tuple[str, ...]) -> bool:
        return "exit" in commands or "quit" in commands


def _answer(command: str) -> str:
    if command == "version":
        ours = version("silverback-tsdb")
        return f"net.opentsdb.tools {OPENTSDB_VERSION} built by silverback {ours}"
    if command == "help":
        return "available commands: put version help exit"
    return "" if command in ("exit", "quit") else f"{command}: not available here"
