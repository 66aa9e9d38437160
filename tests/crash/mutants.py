"""Plant a bug in production source and load the result beside the real thing.

    from crash.mutants import mutant

    with mutant("tsdb/log/wal.py", "self._sync(writer)", "pass", module="tsdb.log.wal") as wal:
        ...                                  # wal.Wal has the bug; tsdb.log.wal.Wal has not

A safety test that passes on a program with the safety taken out tests nothing. So each crash
test comes with a list of one-line bugs, and fails if one of them is not found.

The old text must occur exactly once: a mutation that no longer applies is an error, not a pass.
Text of several lines is found at any indentation, and `new` is indented like it.
All modules of the packages named in `reload` are loaded anew, so that they see each other's
mutated versions; classes of other packages stay the same objects.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

REPOSITORY = Path(__file__).resolve().parents[2]


class _MutatingLoader(importlib.machinery.SourceFileLoader):
    def __init__(self, name: str, path: str, source: str) -> None:
        super().__init__(name, path)
        self._source = source

    def get_code(self, fullname):
        return compile(self._source, self.path, "exec", dont_inherit=True)


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, name: str, path: Path, source: str) -> None:
        self._name, self._path, self._source = name, path, source

    def find_spec(self, fullname, path, target=None):
        if fullname != self._name:
            return None
        loader = _MutatingLoader(fullname, str(self._path), self._source)
        return importlib.util.spec_from_file_location(fullname, self._path, loader=loader)


def changed(source: str, old: str, new: str, file: str) -> str:
    if "\n" not in old.strip("\n"):
        old, new = old.strip("\n"), new.strip("\n")
        assert source.count(old) == 1, f"{file}: {source.count(old)} places read {old!r}, need one"
        return source.replace(old, new)
    lines = source.splitlines()
    wanted = textwrap.dedent(old).strip("\n").splitlines()
    deeper = len(wanted[0]) - len(wanted[0].lstrip())
    found = []
    for n, line in enumerate(lines):
        indent = line[: len(line) - len(line.lstrip()) - deeper]
        if lines[n : n + len(wanted)] == [indent + want if want else "" for want in wanted]:
            found.append((n, indent))
    assert len(found) == 1, f"{file}: {len(found)} places read {old!r}, need one"
    n, indent = found[0]
    lines[n : n + len(wanted)] = textwrap.indent(
        textwrap.dedent(new).strip("\n"), indent
    ).splitlines()
    return "\n".join(lines) + "\n"


@contextlib.contextmanager
def mutant(
    file: str, old: str, new: str, *, module: str, reload: tuple[str, ...] = ()
) -> Iterator[ModuleType]:
    """`module`, loaded with `old` replaced by `new` in `file`."""
    path = REPOSITORY / file
    source = changed(path.read_text(), old, new, file)
    name = file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    packages = {*reload, module.rpartition(".")[0], name}
    fresh = {m for m in sys.modules if any(m == p or m.startswith(f"{p}.") for p in packages)}
    fresh -= {"tsdb", "replication", "api"}
    saved = {m: sys.modules.pop(m) for m in fresh}
    finder = _Finder(name, path, source)
    sys.meta_path.insert(0, finder)
    try:
        yield importlib.import_module(module)
    finally:
        sys.meta_path.remove(finder)
        for m in [m for m in sys.modules if any(m == p or m.startswith(f"{p}.") for p in packages)]:
            if m not in {"tsdb", "replication", "api"}:
                del sys.modules[m]
        sys.modules.update(saved)
        for m, loaded in saved.items():  # `import a.b` reads b from a, not from sys.modules
            parent, _, child = m.rpartition(".")
            if parent in sys.modules:
                setattr(sys.modules[parent], child, loaded)
