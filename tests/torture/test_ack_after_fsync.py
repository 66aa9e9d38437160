"""Promise: the fdatasync comes before the 2xx. Watched from outside, system call by system call.

The server runs under strace; requests go one at a time. Before each answer leaves the socket, a
pwrite of the log must have been followed by a completed fdatasync of the same file. The same
check on a build whose fdatasync does nothing must fail, or it would prove nothing.
"""

from __future__ import annotations

import http.client
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from benchmarks import serving

REQUESTS = 12
WITHOUT_FSYNC = "import tsdb.vfs; tsdb.vfs.OsFile.datasync = lambda self: None;"
ANSWER = r"\"durable\":true"  # as strace shows the body of a 2xx
CALL = re.compile(r"^(?P<pid>\d+) +(?P<name>\w+)\((?P<rest>.*)$")
RESUMED = re.compile(r"^(?P<pid>\d+) +<\.\.\. (?P<name>\w+) resumed>(?P<rest>.*)$")


@dataclass(frozen=True)
class Event:
    """One system call as it completed; `begun` is the line on which it started."""

    name: str
    text: str
    begun: int
    done: int


def events(trace: str) -> list[Event]:
    """Completed calls in order of completion; a call strace cut in two is put together."""
    open_calls: dict[tuple[str, str], tuple[int, str]] = {}
    found = []
    for number, line in enumerate(trace.splitlines()):
        if call := CALL.match(line):
            if line.endswith("<unfinished ...>"):
                open_calls[call["pid"], call["name"]] = (number, call["rest"])
            else:
                found.append(Event(call["name"], call["rest"], number, number))
        elif resumed := RESUMED.match(line):
            begun, text = open_calls.pop((resumed["pid"], resumed["name"]), (number, ""))
            found.append(Event(resumed["name"], text + resumed["rest"], begun, number))
    return found


def unsynced_answers(trace: str) -> list[str]:
    """Answers 2xx to a write that left before their bytes were synced."""
    bad = []
    written_at: int | None = None  # completion of the last log write not yet answered
    synced_after_write = False
    for event in sorted(events(trace), key=lambda e: e.done):
        if event.name == "pwrite64" and "/wal/" in event.text:
            written_at, synced_after_write = event.done, False
        elif event.name in ("fdatasync", "fsync") and "/wal/" in event.text:
            if written_at is not None and event.begun > written_at and event.text.endswith("= 0"):
                synced_after_write = True
        elif ANSWER in event.text:
            if written_at is None or not synced_after_write:
                bad.append(event.text[:200])
            written_at, synced_after_write = None, False
    return bad


def traced_run(folder: Path, patch: str) -> str:
    """Run a server under strace, write REQUESTS points, one at a time; the trace."""
    strace = shutil.which("strace")
    assert strace, "strace is needed: apt-get install strace"
    port, trace = serving.free_port(), folder / "trace"
    code = f"{patch}import sys; sys.argv[0] = 'silverback'; from api.cli import main; main()"
    command = [
        strace, "-f", "-y", "-qq", "-s", "400", "-o", str(trace),
        "-e", "trace=pwrite64,fdatasync,fsync,write,writev,sendto,sendmsg",
        sys.executable, "-c", code, "serve", "--data", str(folder / "db"), "--port", str(port),
    ]  # fmt: skip
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    try:
        wait_ready(port, process)
        for n in range(REQUESTS):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            connection.request("PUT", "/kv/traced", f"[[{1_700_000_000 + n}, {n}]]")
            answer = connection.getresponse()
            assert answer.status == 200, answer.read()
            assert b"durable" in answer.read()
            connection.close()
    finally:
        # strace passes no signals on: the server is its child.
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        for child in children:
            os.kill(int(child), signal.SIGTERM)
        process.wait(60)
    return trace.read_text(errors="replace")


def wait_ready(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        assert process.poll() is None, "the traced server ended"
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        try:
            connection.request("GET", "/-/ready")
            if connection.getresponse().status == 200:
                return
        except OSError:
            pass  # not listening yet
        finally:
            connection.close()
        time.sleep(0.2)
    raise AssertionError("the traced server did not become ready")


def test_every_answer_follows_its_fsync(tmp_path: Path) -> None:
    trace = traced_run(tmp_path, patch="")

    answers = sum(ANSWER in e.text for e in events(trace))
    assert answers == REQUESTS, "the trace does not show the answers: the check is blind"
    assert unsynced_answers(trace) == []


def test_the_check_finds_a_build_without_fsync(tmp_path: Path) -> None:
    trace = traced_run(tmp_path, patch=WITHOUT_FSYNC)

    assert len(unsynced_answers(trace)) == REQUESTS


def test_the_parser_of_traces_on_one_by_hand() -> None:
    good = (
        '7 pwrite64(5</d/wal/1.seg>, "..", 2, 0) = 2\n'
        "7 fdatasync(5</d/wal/1.seg> <unfinished ...>\n"
        '8 write(1</x>, "noise", 5) = 5\n'
        "7 <... fdatasync resumed>) = 0\n"
        '8 write(9<socket:[1]>, "{\\"durable\\":true}", 20) = 20\n'
    )
    early = good.replace("7 <... fdatasync resumed>) = 0\n", "")

    assert unsynced_answers(good) == []
    assert len(unsynced_answers(early)) == 1
    with pytest.raises(AssertionError):
        assert unsynced_answers(good.replace("= 0\n8", "= -1 EIO\n8")) == []
