"""Programs of others that tests start: found, never fetched.

    in   a program's name; PATH, and the folder named by SILVERBACK_PEERS
    out  its path, or None; `need` skips the test that cannot go on without

docs/how-to/run-real-clients.md says where to get them. A skip is allowed only for the names in
allowed_skips.txt: CI installs the others.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

FOLDERS = ("", "bin", "sbin", "usr/bin", "usr/sbin")  # below the folder or a package's in it
WHERE = "docs/how-to/run-real-clients.md"


def find(name: str) -> Path | None:
    """The program called `name`."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if found:
        return Path(found)
    peers = os.environ.get("SILVERBACK_PEERS")
    if not peers:
        return None
    roots = [Path(peers), *sorted(p for p in Path(peers).glob("*") if p.is_dir())]
    places = [root / folder / name for root in roots for folder in FOLDERS]
    return next((p for p in places if p.is_file() and os.access(p, os.X_OK)), None)


def need(name: str) -> Path:
    """The same; without it the test is skipped by name."""
    found = find(name)
    if found is None:
        pytest.skip(f"no {name} ({WHERE})")
    return found


def need_packages(npm: Path, folder: Path) -> None:
    """Install what package.json in `folder` names; where npm cannot, the test is skipped."""
    done = subprocess.run(
        [npm, "install", "--no-audit", "--no-fund", "--no-package-lock"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
    )
    if done.returncode:
        pytest.skip(f"no npm packages ({WHERE})")
