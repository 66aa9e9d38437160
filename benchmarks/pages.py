"""docs/benchmarks.md is written in sections, each by the benchmark it reports."""

from __future__ import annotations

import os
import platform
import re
from datetime import UTC, datetime
from pathlib import Path


def today() -> str:
    return datetime.now(UTC).date().isoformat()


def machine() -> str:
    """What figures depend on, in one line without a name."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        found = re.search(r"^model name\s*: (.*)$", info.read_text(), re.M)
        cpu = found[1].strip() if found else cpu
    return (
        f"{os.cpu_count()} x {cpu}, {platform.system()} {platform.release().split('-')[0]}, "
        f"Python {platform.python_version()}"
    )


def write_section(page: Path, name: str, text: str) -> None:
    """Replace what stands between the marks of `name`; add the marks at the end if missing."""
    begin, end = f"<!-- begin {name} -->\n", f"<!-- end {name} -->\n"
    old = page.read_text("utf-8") if page.exists() else ""
    head, found, rest = old.partition(begin)
    _, _, tail = rest.partition(end)
    if not found:
        head = head.rstrip("\n") + "\n\n" if head else ""
    page.write_text(f"{head}{begin}{text.rstrip()}\n{end}{tail}", "utf-8")
