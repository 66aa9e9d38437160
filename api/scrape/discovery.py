"""Lists of targets that others write: files, read again when they change.

    in   FileSource: patterns of file names
    out  groups; a file that cannot be read keeps what it said last, and the log says why

A file is JSON (`[{"targets": ["host:1"], "labels": {"a": "b"}}]`) or YAML of the same shape, as
Prometheus' file_sd. Whoever writes it should write another and rename it. A file that is gone
lists nothing. Blocking: call it in a thread.
"""

from __future__ import annotations

import fnmatch
import threading
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from api.document import read
from api.logs import LOG
from api.scrape.config import FileSource, Group
from api.scrape.reading import group_of
from tsdb.errors import InvalidInput

__all__ = ["FILEPATH", "Files"]

FILEPATH = "__meta_filepath"
FILE_BYTES_MAX = 64 << 20


@dataclass(slots=True)
class _Known:
    signature: tuple[int, int, int]
    groups: tuple[Group, ...]


@dataclass(slots=True)
class Files:
    """What the files of one source say."""

    source: FileSource
    _known: dict[Path, _Known] = field(default_factory=dict)
    _looking: threading.Lock = field(default_factory=threading.Lock)

    def groups(self) -> tuple[Group, ...]:
        """As they were read last."""
        return tuple(g for path in sorted(self._known) for g in self._known[path].groups)

    def look(self, *, all_again: bool = False) -> bool:
        """Read what changed since; whether that says anything new."""
        with self._looking:
            return self._look(all_again)

    def _look(self, all_again: bool) -> bool:
        before = self.groups()
        found = {path: signature for path in self._paths() if (signature := _signature(path))}
        for path in set(self._known) - set(found):
            del self._known[path]
        for path, signature in found.items():
            known = self._known.get(path)
            if known is None or all_again or known.signature != signature:
                groups = _read(path)
                if groups is None:
                    groups = known.groups if known else ()
                self._known[path] = _Known(signature, groups)
        return self.groups() != before

    def _paths(self) -> list[Path]:
        found: set[Path] = set()
        for pattern in self.source.patterns:
            if not set("*?[") & set(pattern.name):
                found.add(pattern)
                continue
            try:
                entries = list(pattern.parent.iterdir())
            except OSError:
                continue  # as a pattern without any file
            found |= {path for path in entries if fnmatch.fnmatchcase(path.name, pattern.name)}
        return sorted(found)


def _signature(path: Path) -> tuple[int, int, int] | None:
    try:
        state = path.stat()
    except OSError:
        return None
    return state.st_mtime_ns, state.st_size, state.st_ino


def _read(path: Path) -> tuple[Group, ...] | None:
    """What the file says; None, and a line in the log, if it says nothing sensible."""
    try:
        text = _text(path)
        return _of_json(text, path) if path.suffix == ".json" else _of_yaml(text, path)
    except (OSError, UnicodeDecodeError, InvalidInput) as error:
        LOG.error("targets_unreadable", file=str(path), error=str(error))
        return None


def _text(path: Path) -> str:
    if path.stat().st_size > FILE_BYTES_MAX:
        raise InvalidInput(f"{path}: the file is larger than {FILE_BYTES_MAX:,} bytes")
    return path.read_text("utf-8")


def _of_yaml(text: str, path: Path) -> tuple[Group, ...]:
    document = read(text, str(path))
    meta = ((FILEPATH, str(path)),)
    items = [] if document is None else document.items()
    return tuple(group_of(item, f"{path}:{i}", meta) for i, item in enumerate(items))


def _of_json(text: str, path: Path) -> tuple[Group, ...]:
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise InvalidInput(f"{path}: {error}") from error
    if not isinstance(document, list):
        raise InvalidInput(f"{path}: a list of groups is expected")
    return tuple(_group(item, path, i) for i, item in enumerate(document))


def _group(item: object, path: Path, i: int) -> Group:
    where = f"{path}, group {i + 1}"
    if not isinstance(item, dict):
        raise InvalidInput(f"{where}: it is not an object")
    unknown = set(item) - {"targets", "labels"}
    if unknown:
        raise InvalidInput(f"{where}: unknown key {min(unknown)!r}")
    targets, labels = item.get("targets") or [], item.get("labels") or {}
    if not isinstance(targets, list) or not all(isinstance(t, str) for t in targets):
        raise InvalidInput(f"{where}: targets is not a list of texts")
    texts = isinstance(labels, dict) and all(isinstance(v, str) for v in labels.values())
    if not texts:
        raise InvalidInput(f"{where}: labels is not an object of texts")
    for address in targets:
        if "/" in address:
            raise InvalidInput(f"{where}: {address!r} is not host:port")
    meta = ((FILEPATH, str(path)),)
    return Group(f"{path}:{i}", tuple(targets), tuple(sorted(labels.items())), meta)
