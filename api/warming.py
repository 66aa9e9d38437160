"""Compile every kernel before anybody waits for one.

    in   the modules named `kernels` in tsdb and api
    out  machine code in the cache folder (tsdb.jit), and a stamp that says so

Two processes take the modules one by one, never one whose imports are still being compiled, so
nothing is compiled twice. A stamp in the cache folder holds the hash of our source and of the
compiler's versions: with it there the second run looks at the files and is done.

Price: half a minute to a minute of CPU once a machine and version; then about half a second.
"""

from __future__ import annotations

import hashlib
import importlib
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from queue import SimpleQueue

__all__ = ["Warmed", "kernel_modules", "warm"]

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("tsdb", "api")
PROCESSES = 2
_IMPORT = re.compile(r"^\s*(?:from\s+([\w.]+)\s+import\s+([\w, ]+)|import\s+([\w.]+))", re.M)


@dataclass(frozen=True, slots=True)
class Warmed:
    folder: Path
    modules: int
    took_s: float
    was_warm: bool


def kernel_modules() -> dict[str, Path]:
    """Modules that hold kernels, by name: `kernels.py`, and what lies in a folder `kernels`."""
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            if "kernels" in parts:
                found[".".join(p for p in parts if p != "__init__")] = path
    return found


def warm(
    *,
    force: bool = False,
    on_start: Callable[[int], None] = lambda modules: None,
    on_done: Callable[[str], None] = lambda module: None,
) -> Warmed:
    """Compile what is not compiled yet. RuntimeError carries a failing module's output."""
    from tsdb.jit import cache_folder

    began = time.monotonic()
    modules = kernel_modules()
    folder = cache_folder()
    stamp = folder / f"warm-{_source_key()}"
    if stamp.exists() and not force:
        return Warmed(folder, len(modules), time.monotonic() - began, was_warm=True)
    on_start(len(modules))
    plan = _Plan({name: _needs(name, path, modules) for name, path in modules.items()})
    failures: SimpleQueue[str] = SimpleQueue()
    threads = [
        threading.Thread(target=_drive, args=(plan, on_done, failures)) for _ in range(PROCESSES)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if not failures.empty():
        raise RuntimeError(failures.get())
    stamp.touch()
    return Warmed(folder, len(modules), time.monotonic() - began, was_warm=False)


@dataclass
class _Plan:
    """Modules still to compile, given out when what they import is compiled."""

    waiting: dict[str, set[str]]
    changed: threading.Condition = field(default_factory=threading.Condition)

    def take(self) -> Iterator[str]:
        """One module after another, until none is left. Ask for the next when one is done."""
        while True:
            with self.changed:
                while self.waiting and not self._ready():
                    self.changed.wait()
                if not self.waiting:
                    return
                name = self._ready()[0]
                del self.waiting[name]
            yield name
            with self.changed:
                for needs in self.waiting.values():
                    needs.discard(name)
                self.changed.notify_all()

    def stop(self) -> None:
        with self.changed:
            self.waiting.clear()
            self.changed.notify_all()

    def _ready(self) -> list[str]:
        return [name for name, needs in self.waiting.items() if not needs]


def _drive(plan: _Plan, on_done: Callable[[str], None], failures: SimpleQueue[str]) -> None:
    """One child process, fed with modules by its standard input."""
    command = [sys.executable, "-c", "from api.warming import compile_named; compile_named()"]
    with subprocess.Popen(
        command,
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stderr is not None
        for name in plan.take():
            child.stdin.write(f"{name}\n")
            child.stdin.flush()
            if child.stdout.readline().strip() != name:
                plan.stop()
                failures.put(f"{name} does not compile:\n{child.stderr.read()}")
                return
            on_done(name)
        child.stdin.close()


def compile_named() -> None:
    """In the child: import the modules named on standard input, answer each when it is there."""
    for line in sys.stdin:
        importlib.import_module(line.strip())
        sys.stdout.write(line)
        sys.stdout.flush()


def _needs(name: str, path: Path, modules: dict[str, Path]) -> set[str]:
    """Kernel modules that `name` imports, directly or through modules of ours."""
    seen, waiting = {name}, [path]
    while waiting:
        for match in _IMPORT.finditer(waiting.pop().read_text("utf-8")):
            base = match[1] or match[3]
            for module in (base, *(f"{base}.{n.strip()}" for n in (match[2] or "").split(","))):
                file = _file_of(module)
                if module not in seen and file is not None:
                    seen.add(module)
                    waiting.append(file)
    return (seen - {name}) & modules.keys()


def _file_of(module: str) -> Path | None:
    if module.partition(".")[0] not in PACKAGES:
        return None
    base = ROOT.joinpath(*module.split("."))
    files = (base.with_suffix(".py"), base / "__init__.py")
    return next((file for file in files if file.is_file()), None)


def _source_key() -> str:
    """Hash of all our source: coarse, but a hit is certain and a miss costs two seconds."""
    digest = hashlib.sha256(f"{sys.version} {version('numba')} {version('llvmlite')}".encode())
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]
