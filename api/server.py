"""The composition root: settings, logging, HTTP, database, signals, and the order of their ends.

    in   Settings
    out  a server until a signal comes or storage fails; its exit code (api.exits)

Start: log, bind, answer `/-/healthy`, open the database in a thread, be ready. Stop: take no new
connection, finish what is under way, commit what waits, release the directory. A second signal
leaves at once; what was acked is on disk in any case.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import os
import resource
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import uvicorn
import uvloop
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from api import logs
from api.app import Application
from api.auth.access import Access
from api.duties import Duties
from api.exits import CommandFailed, Exit, verdict
from api.listeners.listeners import Listeners
from api.logs import LOG
from api.node import Node, State
from api.protocol import Bounds, GuardedProtocol, protocol
from api.settings import Settings
from api.sockets import BACKLOG, bound
from tsdb import limits
from tsdb.errors import Unavailable

__all__ = ["Server", "run"]

SWITCH_INTERVAL_S = 0.0005  # p99 of small requests beside busy ones: 7.6 ms, with 5 ms 25 ms
GARBAGE_YOUNG = 50_000  # objects made, beyond those gone, before the collector looks at them
FILES_WANTED = 65_536
ACCESS_LOOK_S = 1.0  # between looks at the files of accounts and certificates
LAST_WORDS_S = 5.0  # reads go on for so long after storage failed, then the process ends
HEADERS = [
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
]


def run(settings: Settings) -> int:
    """Serve until told to stop; returns the exit code. Call it from the main thread."""
    if not __debug__:
        raise CommandFailed(
            "started with python -O: the assertions are part of the program", Exit.USAGE
        )
    logs.configure(settings.log_format, settings.log_level)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    _raise_file_limit()
    _warn(settings)
    return Server(settings, alone=True).run()


class Server(uvicorn.Server):
    """One server. `run` blocks; `stop` may be called from any thread.

    `alone`: the process is this server's, to tune as it likes.
    """

    def __init__(self, settings: Settings, *, alone: bool = False) -> None:
        self._alone = alone
        assert issubclass(GuardedProtocol, HttpToolsProtocol)
        self.settings = settings
        self.access = Access(settings)
        self.node = Node(settings, self._storage_failed, self.access)
        self.duties = Duties(self.node)
        self.listeners = Listeners(self.node)
        self._listener: socket.socket | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._exit = Exit.OK
        self._opening: asyncio.Future[None] | None = None
        bounds = Bounds(
            connections_max=settings.connections_max,
            header_timeout_s=settings.header_timeout_s,
            body_timeout_s=settings.body_timeout_s,
            refusals=self.node.refusals,
            admits=self.access.admits if self.access.context is not None else None,
        )
        super().__init__(
            uvicorn.Config(
                Application(self.node),
                http=protocol(bounds),
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                headers=_headers(self.access),
                backlog=BACKLOG,
                timeout_keep_alive=settings.keep_alive_timeout_s,  # type: ignore[arg-type]
                timeout_graceful_shutdown=settings.shutdown_timeout_s,  # type: ignore[arg-type]
            )
        )

    @property
    def port(self) -> int:
        """The bound port; known as soon as `run` has bound it."""
        assert self._listener is not None
        port: int = self._listener.getsockname()[1]
        return port

    def run(self, sockets: list[socket.socket] | None = None) -> int:  # type: ignore[override]
        """Bind, serve, close; returns the exit code."""
        assert sockets is None, "it binds its own"
        self._listener = bound(self.settings.host, self.settings.port)
        loop = uvloop.new_event_loop()
        try:
            self.listeners.bind()
            loop.run_until_complete(self._live())
        finally:
            loop.close()
            self._listener.close()
            self.listeners.release()
        return self._exit

    def stop(self, code: Exit = Exit.OK) -> None:
        """Begin a graceful shutdown; the first caller's code is the process's."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # closed already
                self._loop.call_soon_threadsafe(self._stop, code)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Ours, on the loop: the first signal stops, the second leaves."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        assert self._loop is not None
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, functools.partial(self._on_signal, number))
        if self.duties.any:
            self._loop.add_signal_handler(signal.SIGHUP, self.duties.reload)
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """uvicorn's, but for the time-outs of TLS: it has none of its own for the handshake."""
        assert self._loop is not None
        assert self._listener is not None
        tls = self.access.context is not None
        listening = await self._loop.create_server(
            self._connection,
            sock=self._listener,
            ssl=self.access.context,
            backlog=BACKLOG,
            ssl_handshake_timeout=self.settings.header_timeout_s if tls else None,
            ssl_shutdown_timeout=limits.WRITE_STALL_S if tls else None,
        )
        self.servers = [listening]
        await self.listeners.open()
        self.started = True
        url = f"{self.access.scheme}://{_bracketed(self.settings.host)}:{self.port}"
        LOG.info("listening", url=url, pid=os.getpid())
        if self.settings.port_file is not None:
            _write_port(self.settings.port_file, self.port)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """uvicorn's, while the other ports write what they have read."""
        closing = asyncio.ensure_future(self.listeners.close(self.settings.shutdown_timeout_s))
        await super().shutdown(sockets)
        await closing

    def _connection(self) -> asyncio.Protocol:
        made: asyncio.Protocol = self.config.http_protocol_class(  # type: ignore[call-arg]
            config=self.config,
            server_state=self.server_state,
            app_state={},
        )
        return made

    async def _watch_access(self) -> None:
        """Read accounts and certificates again when their files change."""
        assert self._loop is not None
        while True:
            await asyncio.sleep(ACCESS_LOOK_S)
            if await self._loop.run_in_executor(None, self.access.refresh):
                found = _headers(self.access)
                self.config.encoded_headers = [(k.encode(), v.encode()) for k, v in found]

    async def _live(self) -> None:
        self._loop = asyncio.get_running_loop()
        assert isinstance(self._loop, uvloop.Loop), "install uvloop: asyncio's loop is 3x slower"
        assert self._listener is not None
        opening = threading.Thread(target=self._open, name="open", daemon=True)
        opening.start()
        watching = self._loop.create_task(self._watch_access())
        try:
            await self.serve(sockets=[self._listener])
        finally:
            await self.duties.stop()
            watching.cancel()
            self.access.close()
            self.node.stop()
            await self._loop.run_in_executor(None, opening.join)
            await self._loop.run_in_executor(None, self.node.close)
            if self.settings.port_file is not None:
                self.settings.port_file.unlink(missing_ok=True)
            LOG.info("closed")

    def _open(self) -> None:
        """In a thread of its own: replay may take minutes."""
        try:
            self.node.open()
        except Unavailable as error:
            if error.code == "closed":
                return
            self._failed_to_open(error)
        except Exception as error:
            self._failed_to_open(error)
        else:
            if self._alone:
                # What is here by now stays. To look through it for garbage took 100 ms each second,
                # and looking at what is young after every 700 objects 15 % of a small write.
                gc.collect()
                gc.freeze()
                gc.set_threshold(GARBAGE_YOUNG, 20, 20)
            stats = self.node.database().stats()
            LOG.info("ready", series=stats.series, points=stats.points, seq=stats.applied_seq)
            if self._loop is not None:
                with contextlib.suppress(RuntimeError):  # it stops already
                    self._loop.call_soon_threadsafe(self._begin)

    def _begin(self) -> None:
        """The database is open: ask targets, evaluate rules."""
        if self.should_exit:
            return
        self.duties.begin()

    def _failed_to_open(self, error: Exception) -> None:
        known = verdict(error)
        self.node.state = State.FAILED
        self.node.failure = error
        if known is None:
            LOG.critical("cannot_open", data=str(self.settings.data), exc_info=error)
        else:
            LOG.critical("cannot_open", data=str(self.settings.data), error=known[1])
        self.stop(known[0] if known else Exit.BUG)

    def _storage_failed(self, error: BaseException) -> None:
        """Called by the engine's threads, at most a few times."""
        LOG.critical("storage_failed", error=str(error), action=f"exit in {LAST_WORDS_S:g} s")
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(
                    self._loop.call_later, LAST_WORDS_S, self._stop, Exit.STORAGE
                )

    def _on_signal(self, number: signal.Signals) -> None:
        if self.should_exit:
            LOG.warning("leaving", signal=number.name)
            os._exit(128 + number)
        LOG.info("stopping", signal=number.name)
        self._stop(Exit.OK)

    def _stop(self, code: Exit) -> None:
        if not self.should_exit:
            self._exit = code
            self.should_exit = True


def _headers(access: Access) -> list[tuple[str, str]]:
    """What every answer carries: ours, and the operator's over them."""
    chosen = {name.lower(): text for name, text in access.config.headers.items()}
    return list((dict(HEADERS) | chosen).items())


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def _write_port(path: Path, port: int) -> None:
    """Whole or not at all: somebody may be waiting for it."""
    unfinished = path.with_name(path.name + ".tmp")
    unfinished.write_text(f"{port}\n")
    unfinished.replace(path)


def _warn(settings: Settings) -> None:
    LOG.info("settings", **settings.shown())
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        LOG.warning("running_as_root", advice="use an account of its own; root is not needed")


def _raise_file_limit() -> None:
    """A connection and a block are a descriptor each; the usual soft limit is 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES_WANTED if hard == resource.RLIM_INFINITY else min(FILES_WANTED, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
