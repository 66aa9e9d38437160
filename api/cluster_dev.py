"""A cluster on one machine: every node a process of its own, started, watched and stopped.

    in   the folder of the cluster (api.cluster_folder)
    out  nodes that run; what became of them, a line each; their end

A node's process holds a lock on `running` in its folder, from before it starts until it is gone,
however it goes: the lock is taken by whoever starts it, and inherited. So every command sees who
runs and who does not, and a node that `start-node` brought back belongs to the cluster like one
that `dev` started. The file holds the pid, which is good for as long as the lock is held.

Nodes have sessions of their own: Ctrl-C reaches only `dev`, which then stops them in order.
"""

from __future__ import annotations

import contextlib
import fcntl
import http.client
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from api.cluster_folder import Folder, Plan, is_free
from api.exits import CommandFailed, Exit
from replication.settings import ClusterSettings
from tsdb.errors import Unavailable
from tsdb.vfs import OsFiles

__all__ = ["DevCluster", "DevNode", "held", "settled"]

READY_S, STOP_S = 180.0, 60.0
PORTS_S = 5.0  # a killed node's children go a moment after it
LOOK_S = 0.1
CONTENDED_S = 0.5  # others take the lock for an instant, to see whether it is held
ASK_S = 2.0
LOG_TAIL_BYTES, LOG_TAIL_LINES = 8_192, 3


def program() -> list[str]:
    """`silverback` as this process would find it."""
    script = Path(sys.executable).with_name("silverback")
    return [str(script)] if script.exists() else [sys.executable, "-m", "api.cli"]


class DevNode:
    """One node. Several processes may look at the same one."""

    def __init__(self, number: int, folder: Path, settings: ClusterSettings) -> None:
        self.number = number
        self.folder = folder
        self.settings = settings
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def name(self) -> str:
        return self.settings.node

    @property
    def url(self) -> str:
        return f"http://{self.settings.http}"

    @property
    def log(self) -> Path:
        return self.folder / "log"

    def pid(self) -> int | None:
        """Of its process; None if there is none, 0 while it is being started."""
        try:
            fd = os.open(self._running, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return int(os.pread(fd, 32, 0).strip() or 0)
        else:
            return None
        finally:
            os.close(fd)

    def start(self) -> None:
        """Start its process; does not wait. Raises CommandFailed if it runs, or cannot."""
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = self._locked()
        try:
            self._await_ports()
            os.ftruncate(lock, 0)
            with self.log.open("ab") as log:
                self._process = subprocess.Popen(
                    self._command(),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    pass_fds=(lock,),
                )
            os.pwrite(lock, b"%d\n" % self._process.pid, 0)
        finally:
            os.close(lock)  # the process holds it on

    def unready(self) -> str | None:
        """Why it takes no requests yet; None if it does."""
        address = self.settings.http
        asked = http.client.HTTPConnection(address.host, address.port, timeout=ASK_S)
        try:
            asked.request("GET", "/-/ready")
            answer = asked.getresponse()
            said = answer.read().decode("utf-8", "replace").strip()
        except (http.client.HTTPException, OSError) as error:
            return f"does not answer: {error}"
        finally:
            asked.close()
        return None if answer.status == 200 else f"answers {answer.status}: {said}"

    def signal(self, number: signal.Signals) -> None:
        if pid := self.pid():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
                if number == signal.SIGTERM:
                    os.kill(pid, signal.SIGCONT)  # one that was stopped would never hear it

    def reap(self) -> int | None:
        """The exit code of its last process, if that was started here and has ended."""
        process = self._process
        if process is None or process.poll() is None:
            return None
        self._process = None
        return process.returncode

    def ended(self) -> str:
        """How its last process ended, after it has."""
        if self._process is not None:
            self._process.wait()  # the lock goes an instant before the process
        code = self.reap()
        if code is None:
            return "is down"
        if code == 0:
            return "was stopped"
        if code < 0:
            return f"was killed by {signal.Signals(-code).name}"
        return f"ended with code {code}: {self.last_words()}"

    def last_words(self) -> str:
        if not self.log.exists():
            return "it said nothing"
        with self.log.open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            log.seek(max(0, size - LOG_TAIL_BYTES))
            lines = log.read().decode("utf-8", "replace").strip().splitlines()
        return "\n".join(lines[-LOG_TAIL_LINES:]) or "it said nothing"

    @property
    def _running(self) -> Path:
        return self.folder / "running"

    def _locked(self) -> int:
        """A descriptor that holds the lock."""
        fd = os.open(self._running, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        deadline = time.monotonic() + CONTENDED_S
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    pid = os.pread(fd, 32, 0).decode().strip() or "unknown yet"
                    os.close(fd)
                    raise CommandFailed(
                        f"{self.name} runs already, pid {pid}, at {self.url}", Exit.LOCKED
                    ) from None
                time.sleep(0.02)
            else:
                return fd

    def _await_ports(self) -> None:
        deadline = time.monotonic() + PORTS_S
        for what, address in (("http", self.settings.http), ("routes", self.settings.nats.routes)):
            while address is not None and not is_free(address):
                if time.monotonic() > deadline:
                    raise CommandFailed(
                        f"port {address.port} of {self.name} ({what} in "
                        f"{self.settings.path}) is taken by another process",
                        Exit.UNAVAILABLE,
                    )
                time.sleep(LOOK_S)

    def _command(self) -> list[str]:
        return [
            *program(),
            "serve",
            "--cluster",
            str(self.settings.path),
            "--data",
            str(self.folder / "data"),
            "--port",
            str(self.settings.http.port),
        ]


class DevCluster:
    """All nodes of a folder."""

    def __init__(self, root: Path, plan: Plan | None = None) -> None:
        """The cluster in `root`; with a plan it is made if there is none."""
        folder = Folder(root)
        found = folder.read() if plan is None else folder.make(plan)
        if not found:
            raise CommandFailed(
                f"there is no cluster in {root}: `silverback cluster dev --data {root}` makes one",
                Exit.NO_INPUT,
            )
        self.root = root
        self.nodes = [DevNode(n, folder.of(n), one) for n, one in found.items()]
        self._seen: dict[int, int | None] = {}

    @property
    def settings(self) -> ClusterSettings:
        return self.nodes[0].settings

    def node(self, number: int) -> DevNode:
        for one in self.nodes:
            if one.number == number:
                return one
        numbers = ", ".join(str(one.number) for one in self.nodes)
        raise CommandFailed(
            f"the cluster in {self.root} has no node {number}, it has {numbers}", Exit.NO_INPUT
        )

    def start(self) -> list[DevNode]:
        """Start those that do not run; returns them. None is started if a port is taken."""
        down = [one for one in self.nodes if one.pid() is None]
        for one in down:
            for address in (one.settings.http, one.settings.nats.routes):
                if address is not None and not is_free(address):
                    raise CommandFailed(
                        f"port {address.port} of {one.name} is taken by another process: free it; "
                        f"the ports are in {one.settings.path} and its like",
                        Exit.UNAVAILABLE,
                    )
        for one in down:
            one.start()
        self._seen = {one.number: one.pid() for one in self.nodes}
        return down

    def changes(self) -> Iterator[str]:
        """What happened to nodes since the last look, a line each."""
        for one in self.nodes:
            before, pid = self._seen.get(one.number), one.pid()
            if pid in {before, 0}:
                continue
            self._seen[one.number] = pid
            if pid is None:
                back = f"silverback cluster start-node {one.number} --data {self.root}"
                yield f"{one.name} {one.ended()}; the others go on. Bring it back: {back}"
            else:
                one.reap()
                yield f"{one.name} is started again, pid {pid}"

    def stop(self, hurried: Callable[[], bool] = lambda: False) -> list[DevNode]:
        """End all nodes, whoever started them; returns those that had to be killed.

        `hurried` says that a second signal came: nodes that get one leave at once.
        """
        told: set[int] = set()
        deadline = time.monotonic() + STOP_S
        again = False
        while running := [(one, pid) for one in self.nodes if (pid := one.pid()) is not None]:
            hurry = not again and hurried()
            again = again or hurry
            for one, pid in running:
                if hurry or pid not in told:
                    one.signal(signal.SIGTERM)
                    told |= {pid} if pid else set()
            if time.monotonic() > deadline:
                for one, _ in running:
                    one.signal(signal.SIGKILL)
                    one.ended()
                return [one for one, _ in running]
            time.sleep(LOOK_S / 4)
        for one in self.nodes:
            one.reap()
        return []


@contextlib.contextmanager
def held(root: Path) -> Iterator[None]:
    """Nobody else runs `cluster dev` on this folder meanwhile."""
    root.mkdir(parents=True, exist_ok=True)
    file = root / "LOCK"
    try:
        lock = OsFiles().lock(file)
    except Unavailable as error:
        owner = file.read_text().strip()
        raise CommandFailed(
            f"the cluster in {root} runs already, under process {owner}: "
            f"`silverback cluster status --data {root}` shows it, Ctrl-C or `kill {owner}` "
            "stops it",
            Exit.LOCKED,
        ) from error
    try:
        yield
    finally:
        lock.release()


def settled(
    nodes: list[DevNode], given_up: Callable[[], bool] = lambda: False
) -> Iterator[tuple[DevNode, bool]]:
    """Nodes as they become ready (True) or end before that (False).

    Stops early when `given_up` says so. Raises CommandFailed after READY_S.
    """
    waiting = list(nodes)
    deadline = time.monotonic() + READY_S
    while waiting and not given_up():
        for one in list(waiting):
            ended = one.pid() is None
            why = None if ended else one.unready()
            if ended or why is None:
                waiting.remove(one)
                yield one, not ended
            elif time.monotonic() > deadline:
                raise CommandFailed(
                    f"{one.name} {why} after {READY_S:.0f} s; its log is {one.log}",
                    Exit.UNAVAILABLE,
                )
        if waiting:
            time.sleep(LOOK_S)
