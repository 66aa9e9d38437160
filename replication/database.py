"""The database of a node, as its server and its library user see it.

    in   the parts of an open database, a gateway, an applier
    out  a Database whose writes go through the logs of the shards

What this node has acked is visible here at once: a read waits until that is applied, which as a
rule it is. `through` makes a read wait for more: for a token, or for everything acked anywhere.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from replication.applier import Applier
from replication.gateway import Gateway
from replication.shell import Shell
from tsdb.database.database import Database, Parts
from tsdb.errors import InvalidInput, Unavailable

if TYPE_CHECKING:
    from tsdb.engine.engine import Engine

__all__ = ["ClusterDatabase", "parse_token"]

READ_WAIT_S = 20.0


class ClusterDatabase(Database):
    """Use `replication.node.open_node`."""

    def __init__(
        self,
        path: Path,
        parts: Parts,
        now_ticks: Callable[[], int],
        *,
        gateway: Gateway,
        applier: Applier,
        shell: Shell,
    ) -> None:
        super().__init__(path, parts, now_ticks)
        self.gateway = gateway
        self.applier = applier
        self.shell = shell
        self._reads = threading.local()
        self._joined: Unavailable | None = Unavailable("the node is joining", code="starting")

    @property
    def acked(self) -> list[int]:
        """The last position in each shard's log that a write was answered with here."""
        return list(self.gateway.acked)

    def check_joined(self) -> None:
        """Raises Unavailable while this node has not come up to what was acked when it began."""
        self._check_whole()
        if self._joined is not None:
            raise self._joined

    def join(self) -> None:
        """Try until every log has answered and all before is applied; in a thread of its own."""
        threading.Thread(target=self._join, name="joining", daemon=True).start()

    def _join(self) -> None:
        while not self._closed:
            try:
                self.wait_for_all()
            except Unavailable as error:
                if error.code == "closed":
                    return
                self._joined = Unavailable(f"the node is joining: {error}", code="starting")
            else:
                self._joined = None
                return

    def wait_for(self, token: str) -> None:
        """Return once this node has applied what a write's token names.

        Raises InvalidInput for what is no token, Unavailable when it takes too long.
        """
        self.applier.wait(parse_token(token, len(self.gateway.acked)), READ_WAIT_S)

    def wait_for_all(self) -> None:
        """Return once this node has applied everything that was acked anywhere before the call."""
        shards = range(len(self.gateway.acked))
        self.applier.wait(self.shell.barrier(shards), READ_WAIT_S)

    @contextlib.contextmanager
    def stale(self) -> Iterator[None]:
        """Inside, reads of this thread wait for nothing."""
        self._reads.stale = True
        try:
            yield
        finally:
            self._reads.stale = False

    def _wait_for_own(self) -> None:
        if getattr(self._reads, "stale", False):
            return
        self._check_whole()
        self.applier.wait(list(enumerate(self.gateway.acked)), READ_WAIT_S)

    def _check_whole(self) -> None:
        for shard, why in self.applier.stopped.items():
            raise Unavailable(
                f"shard {shard} has stopped on this node ({why}): ask another node, and start "
                "this one again: it will copy the data of another",
                code="damaged",
            )

    def _open_engine(self) -> Engine:
        self._wait_for_own()
        return super()._open_engine()

    @property
    def parts(self) -> Parts:
        self._wait_for_own()
        return super().parts

    def close(self) -> None:
        with contextlib.ExitStack() as leaving:  # last in, first out
            leaving.callback(super().close)
            leaving.callback(self.applier.close)
            leaving.callback(self.shell.close)
            pipeline = self._parts.pipeline
            if pipeline is not None:
                leaving.callback(pipeline.close)


def parse_token(token: str, shards: int) -> list[tuple[int, int]]:
    """Positions of a token: `shard:seq,shard:seq`."""
    return list(_positions(token, shards))


def _positions(token: str, shards: int) -> Iterator[tuple[int, int]]:
    pieces: Sequence[str] = token.split(",") if token else ()
    for piece in pieces:
        shard, _, seq = piece.partition(":")
        if not (shard.isdecimal() and seq.isdecimal() and int(shard) < shards):
            raise InvalidInput(f"{piece[:40]!r} is no position: shard:number of 0 to {shards - 1}")
        yield int(shard), int(seq)
