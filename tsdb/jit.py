"""How kernels are compiled and where their machine code is kept.

    kernel("i8(u1[::1])")   decorates an exported kernel: compiled now, or loaded from the cache
    inlined                 decorates a helper that is compiled into the kernels that call it
    forced                  the same for a hot one, which LLVM must not leave as a call

The cache is keyed by content: a kernel's folder name is the hash of its module and of every
module of ours it imports. A second clone of the same source compiles nothing, a changed helper
recompiles exactly its users, and file times do not matter (numba's own key is path, time and
size of the top file only, so it misses both).

Place: $SILVERBACK_CACHE_DIR, else $XDG_CACHE_HOME/silverback, else ~/.cache/silverback, else a
temporary folder when none can be written. Bounds-checked builds (NUMBA_BOUNDSCHECK=1) live in
folders of their own: numba would otherwise silently reuse the unchecked code.

Price: 0.4 to 5 s of compilation a kernel, once a machine; about 15 ms to load.
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import llvmlite
import numba
from numba.core import caching, config

_PACKAGE = Path(__file__).resolve().parent
_IMPORT = re.compile(
    r"^\s*(?:from\s+(tsdb[\w.]*)\s+import\s+(?:\(([^)]*)\)|([\w, ]+))|import\s+(tsdb[\w.]*))", re.M
)


def cache_folder() -> Path:
    """The folder for compiled kernels: the first of the documented places that can be written."""
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    wanted = os.environ.get("SILVERBACK_CACHE_DIR")
    for place in (wanted, os.path.join(home, "silverback")):
        if not place:
            continue
        try:
            Path(place).mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=place):
                return Path(place)
        except OSError:
            continue
    place = os.path.join(tempfile.gettempdir(), f"silverback-{os.getuid()}")
    Path(place).mkdir(parents=True, exist_ok=True)
    return Path(place)


@functools.cache
def _folder() -> Path:
    return cache_folder()


def _module_files(module: str) -> list[Path]:
    base = _PACKAGE.parent.joinpath(*module.split("."))
    return [p for p in (base.with_suffix(".py"), base / "__init__.py") if p.is_file()]


def _sources(path: Path) -> dict[Path, bytes]:
    """Texts of a module and of all modules of ours that it imports, directly or not."""
    seen: dict[Path, bytes] = {}
    waiting = [path]
    while waiting:
        file = waiting.pop()
        if file in seen:
            continue
        seen[file] = file.read_bytes()
        for match in _IMPORT.finditer(seen[file].decode()):
            module = match[1] or match[4]
            waiting += _module_files(module)
            for name in re.findall(r"\w+", match[2] or match[3] or ""):
                waiting += _module_files(f"{module}.{name}")
    return seen


@functools.cache
def _content_key(path: Path) -> str:
    """Hash of all that the kernels of a module are made of."""
    seen = _sources(path)
    digest = hashlib.sha256(f"{numba.__version__} {llvmlite.__version__}".encode())
    for file in sorted(seen):
        digest.update(f"{file.relative_to(_PACKAGE.parent)}\0".encode() + seen[file])
    return digest.hexdigest()[:16]


class _ContentLocator(caching._CacheLocator):  # type: ignore[misc]
    """Tells numba where one kernel's code lives; see the module docstring."""

    def __init__(self, py_file: str) -> None:
        path = Path(py_file).resolve()
        checked = "-checked" if config.BOUNDSCHECK else ""
        self._path = _folder() / f"{path.stem}-{_content_key(path)}{checked}"

    def get_cache_path(self) -> str:
        return str(self._path)

    def get_source_stamp(self) -> str:
        return self._path.name

    def get_disambiguator(self) -> str:
        return "k"

    @classmethod
    def from_function(cls, py_func: Callable[..., Any], py_file: str) -> _ContentLocator:
        self = cls(py_file)
        self.ensure_cache_path()
        return self


class _CacheImpl(caching.CompileResultCacheImpl):  # type: ignore[misc]
    _locator_classes = (_ContentLocator,)


class _KernelCache(caching.FunctionCache):  # type: ignore[misc]
    _impl_class = _CacheImpl


def kernel(*signatures: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Compile a kernel for `signatures`: GIL released, no exceptions, machine code cached.

    No numba runtime either: one that allocates does not compile. With it numba counts references
    to every array of a tuple around every helper, atomically: 17 of 20 ns a name looked up.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        dispatcher = numba.njit(nogil=True, error_model="numpy", _nrt=False)(function)
        dispatcher._cache = _KernelCache(function)
        for signature in signatures:
            dispatcher.compile(signature)
        dispatcher.disable_compile()
        compiled: Callable[..., Any] = dispatcher
        return compiled

    return decorate


inlined: Callable[[Callable[..., Any]], Callable[..., Any]] = numba.njit(
    nogil=True, error_model="numpy", _nrt=False
)

forced: Callable[[Callable[..., Any]], Callable[..., Any]] = numba.njit(
    nogil=True, error_model="numpy", forceinline=True, _nrt=False
)
"""Left to itself LLVM calls larger helpers and passes their state through memory: a point costs 22
ns to encode instead of 6, a label 10 ns more in 14 arguments, and numbers parse at half the speed.
What is not hot is better `inlined`, which keeps kernels small."""
