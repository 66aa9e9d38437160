"""The real server as a child process, for the demo: start, wait, stop, kill.

    in   a data directory, a port (0: any free one)
    out  a server that answers, its URL, its end in either way

The child gets a session of its own, so that Ctrl-C reaches only the demo, which then stops the
server in order.
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType

from api.exits import CommandFailed, Exit
from api.remote import Remote
from tsdb.errors import Unavailable

__all__ = ["DemoServer"]

READY_S, STOP_S = 120, 60
POLL_S = 0.02
LAST_MOMENTS_S = 1.0  # between a connection that breaks and the process that is gone
LOG_TAIL_LINES = 3


class DemoServer:
    """Use in a `with` block; `stop` is called at its end."""

    def __init__(self, data: Path, *, port: int) -> None:
        self.data = data
        self.starts = 0
        self._port = port
        self._scratch = tempfile.TemporaryDirectory(prefix="silverback-demo-")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> float:
        """Start the process and wait until it answers; returns the seconds that took."""
        assert self._process is None
        self.starts += 1
        port_file = Path(self._scratch.name) / f"port-{self.starts}"
        command = [sys.executable, "-m", "api.cli", "serve"]
        command += ["--data", str(self.data), "--port", str(self._port)]
        command += ["--port-file", str(port_file)]
        began = time.monotonic()
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        while not self._ready(port_file):
            if self._process.poll() is not None or time.monotonic() - began > READY_S:
                raise self._did_not_start()
            time.sleep(POLL_S)
        return time.monotonic() - began

    def _ready(self, port_file: Path) -> bool:
        """The port is known once it listens; it takes writes once the log is replayed."""
        if not port_file.exists() or not (port := port_file.read_text().strip()):
            return False
        self._port = int(port)
        try:
            with Remote(self.url, patience_s=0) as server:
                server.get("/-/ready")
        except (Unavailable, CommandFailed):
            return False
        return True

    def check(self, symptom: Exception) -> None:
        """Raise what is behind a symptom if it is that the server is gone."""
        if self._process is None:
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = self._process.wait(LAST_MOMENTS_S)
            raise CommandFailed(
                f"the server ended with code {code}: {self.last_words()}", Exit.UNAVAILABLE
            ) from symptom

    def stop(self) -> None:
        """SIGTERM, and wait: what is under way is finished."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL: no chance to tidy up anything."""
        self._end(signal.SIGKILL)

    def last_words(self) -> str:
        """The end of the server's log."""
        if not self._log.exists():
            return ""
        lines = self._log.read_text("utf-8", "replace").strip().splitlines()
        return "\n".join(lines[-LOG_TAIL_LINES:])

    @property
    def _log(self) -> Path:
        return Path(self._scratch.name) / "server.log"

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(how)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _did_not_start(self) -> CommandFailed:
        assert self._process is not None
        code = self._process.poll()
        self.kill()
        words = self.last_words() or "it said nothing"
        if code is None:
            return CommandFailed(f"the server was not ready in {READY_S} s: {words}", Exit.BUG)
        known = code in {int(e) for e in Exit}
        return CommandFailed(
            f"the server ended with code {code}: {words}", Exit(code) if known else Exit.BUG
        )

    def __enter__(self) -> DemoServer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
        self._scratch.cleanup()
