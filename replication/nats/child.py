"""A node's own `nats-server`: started, watched, started again, stopped with the node.

    in   a place, a program
    out  a URL for this process alone, a new one after each start

The server dies with its parent: the kernel tells it (Linux), and it then hands over what it leads,
which a kill would not. A lock that parent and child hold together keeps a second server away from
the same files, so a node that comes back waits for the old server's end. It is in a session of its
own: Ctrl-C reaches the node first, which still needs its log to stop well.

A server that ends by itself is started again after 0.1 s, twice that after each failure, at most
every 5 s: that is how long a full disk or a damaged file is not hammered.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from replication.nats.config import Passwords, ServerPlace, render
from tsdb.errors import InvalidInput, Unavailable

__all__ = ["Child"]

log = logging.getLogger(__name__)

_START_S = 120.0  # a store of some GB is read at start
_POLL_S = 0.01
_STOP_S = 20.0
_LOCK_S = 10.0
_AGAIN_S, _AGAIN_S_MAX, _STEADY_S = 0.1, 5.0, 60.0
_LAUNCH = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(1, 15, 0, 0, 0)
if os.getppid() == int(sys.argv[1]):
    os.execv(sys.argv[2], sys.argv[2:])
"""
"""Asks for SIGTERM at the parent's end (PR_SET_PDEATHSIG), then becomes the server. Code between
fork and exec would do it 40 ms sooner, but is not safe in a process of many threads."""


class Child:
    """`started` is called with each new URL, in the event loop."""

    def __init__(
        self,
        place: ServerPlace,
        binary: Path,
        *,
        nkey: str | None = None,
        started: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.place = place
        self.passwords = Passwords()
        self.restarts = 0
        self.url = ""
        self._binary = binary
        self._nkey = nkey
        self._started = started
        self._process: subprocess.Popen[bytes] | None = None
        self._ended = asyncio.Event()
        self._watching: asyncio.Task[None] | None = None
        self._resting = asyncio.Lock()
        self._lock_fd = -1

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    @property
    def store(self) -> Path:
        """Where the server keeps its streams and Raft logs."""
        return self.place.directory / "store" / "jetstream"

    async def start(self) -> None:
        """Raises InvalidInput when the server ends at once (its own words are in the message)."""
        assert self._watching is None, "started already"
        self.place.directory.mkdir(parents=True, exist_ok=True)
        await self._lock()
        try:
            await self._launch()
            self._watching = asyncio.create_task(self._watch(), name="nats-server")
        finally:
            if self._watching is None:
                await self._end()
                self._unlock()

    async def stop(self) -> None:
        """Returns when the server has handed over and ended."""
        if self._watching is not None:
            self._watching.cancel()
            with suppress(asyncio.CancelledError):
                await self._watching
            self._watching = None
        await self._end()
        self._unlock()

    @asynccontextmanager
    async def rest(self) -> AsyncIterator[None]:
        """The server is down inside of it, and up again after: for work on its files."""
        async with self._resting:
            await self._end()
            try:
                yield
            finally:
                await self._launch()

    def kill(self) -> None:
        """As a crash would."""
        if self._process is not None:
            self._process.kill()

    async def _launch(self) -> None:
        place = self.place
        for old in place.directory.glob("*.ports"):
            old.unlink(missing_ok=True)
        path = place.directory / "nats.conf"
        path.unlink(missing_ok=True)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(render(place, self.passwords, self._nkey))
        with (place.directory / "nats.err").open("wb") as errors:
            self._process = subprocess.Popen(
                _dies_with_us(self._binary, "-c", path),
                stdin=subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
                start_new_session=True,
                pass_fds=(self._lock_fd,),
            )
        self._ended = asyncio.Event()
        threading.Thread(
            target=_tell_end,
            args=(self._process, asyncio.get_running_loop(), self._ended),
            name="nats-server-end",
            daemon=True,
        ).start()
        self.url = await self._ready(self._process)
        log.info("nats-server %d of node %s is at %s", self._process.pid, place.node, self.url)
        self._started(self.url)

    async def _ready(self, process: subprocess.Popen[bytes]) -> str:
        ports = self.place.directory / f"{self._binary.name}_{process.pid}.ports"
        until = time.monotonic() + _START_S
        while not self._ended.is_set():
            with suppress(FileNotFoundError, ValueError, KeyError, IndexError):
                return str(json.loads(ports.read_text())["nats"][0])
            if time.monotonic() > until:
                process.kill()
                raise Unavailable(f"nats-server did not come up in {_START_S:g} s", code="starting")
            await asyncio.sleep(_POLL_S)
        raise InvalidInput(
            f"nats-server of node {self.place.node} ended at once with status "
            f"{process.returncode}: {self._last_words()}"
        )

    def _last_words(self) -> str:
        said = ""
        for name in ("nats.err", "nats.log"):
            with suppress(FileNotFoundError):
                said += (self.place.directory / name).read_text(errors="replace")[-4096:]
        wrong = [line for line in said.splitlines() if "[FTL]" in line or "[ERR]" in line]
        return " | ".join(wrong[-3:] or said.splitlines()[-3:] or ["it said nothing"])

    async def _watch(self) -> None:
        pause = _AGAIN_S
        while True:
            began = time.monotonic()
            await self._ended.wait()
            async with self._resting:
                if not self._ended.is_set():
                    continue  # it rested, and is up again
                if time.monotonic() - began > _STEADY_S:
                    pause = _AGAIN_S
                log.warning(
                    "nats-server of node %s ended, again in %g s: %s",
                    self.place.node,
                    pause,
                    self._last_words(),
                )
                await asyncio.sleep(pause)
                pause = min(pause * 2, _AGAIN_S_MAX)
                self.restarts += 1
                with suppress(InvalidInput, Unavailable, OSError):
                    await self._launch()

    async def _end(self) -> None:
        process = self._process
        if process is None:
            return
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(self._ended.wait(), _STOP_S)
        except TimeoutError:
            log.warning("nats-server %d did not end in %g s: killed", process.pid, _STOP_S)
            process.kill()
            await self._ended.wait()

    async def _lock(self) -> None:
        path = self.place.directory / "LOCK"
        self._lock_fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        until = time.monotonic() + _LOCK_S
        while True:
            try:
                fcntl.flock(self._lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > until:
                    self._unlock()
                    raise Unavailable(
                        f"{path} is held by another node or by its nats-server", code="locked"
                    ) from None
                await asyncio.sleep(_POLL_S * 5)
            else:
                return

    def _unlock(self) -> None:
        if self._lock_fd >= 0:
            os.close(self._lock_fd)
            self._lock_fd = -1


def _dies_with_us(*command: Path | str) -> list[Path | str]:
    """The thread that starts it is meant: the kernel counts its end as the parent's."""
    if sys.platform != "linux" or not sys.executable:
        return [*command]
    return [sys.executable, "-I", "-S", "-c", _LAUNCH, str(os.getpid()), *command]


def _tell_end(
    process: subprocess.Popen[bytes], loop: asyncio.AbstractEventLoop, ended: asyncio.Event
) -> None:
    process.wait()
    with suppress(RuntimeError):  # the loop is closed: nobody waits
        loop.call_soon_threadsafe(ended.set)
