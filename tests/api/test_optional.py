"""What is installed without an extra runs without it, and says which one is missing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from api.exits import Exit

ROOT = Path(__file__).resolve().parent.parent.parent
WITHOUT = """
import sys
for name in ("nats", "nkeys", "arro3", "pandas", "polars", "matplotlib", "psutil"):
    sys.modules[name] = None
"""
EVERY = """
import importlib, json, pkgutil, api.commands, api.routes, api.auth, api.server
found = []
for package in (api.commands, api.routes, api.auth, api):
    for module in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
        if not module.name.endswith("__main__"):
            found.append(importlib.import_module(module.name).__name__)
print(json.dumps(found))
"""
CLUSTER = """
cluster = "alone"
node = "one"
shards = 1
replicas = 1
http = "127.0.0.1:9"
[nats]
routes = "127.0.0.1:9301"
[[peers]]
node = "one"
http = "127.0.0.1:9"
routes = "127.0.0.1:9301"
"""


def python(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", WITHOUT + code, *map(str, arguments)]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )


def test_the_server_needs_no_extra() -> None:
    """A wheel of its own could not serve: the lease brought the cluster's client in."""
    done = python(EVERY)
    assert done.returncode == 0, done.stderr
    assert {"api.server", "api.routes.cluster", "api.commands.serve"} <= set(
        json.loads(done.stdout)
    )


def test_a_node_of_a_cluster_says_which_extra_it_needs(tmp_path: Path) -> None:
    file = tmp_path / "cluster.toml"
    file.write_text(CLUSTER)
    arguments = ("serve", "--cluster", file, "--data", tmp_path / "data", "--port", 0)
    done = python("from api.cli import main; main()", *arguments)
    assert done.returncode != Exit.OK
    assert "pip install 'silverback-tsdb[cluster]'" in done.stdout + done.stderr
    assert "this is a bug" not in done.stderr
