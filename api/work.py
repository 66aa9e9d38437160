"""Between FastAPI and the threads: a response whose content is computed when it is sent.

    in   a function of the open database that makes an Answer
    out  Work, a response FastAPI passes on

The place among the readers is held until the last piece is out, and whatever the function raises
meets the table of errors like everything else.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING

from starlette.responses import Response

from api.exchange import Answer, Exchange, Receive, Scope, Send
from api.node import Node
from api.readers import Readers
from api.turns import asker_of

if TYPE_CHECKING:
    from tsdb.database.database import Database

__all__ = ["Reply", "Work"]


class Reply(Response):
    """An Answer that is there already."""

    def __init__(self, answer: Answer) -> None:
        self.background = None
        self.status_code = answer.status
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange: Exchange = scope["exchange"]
        assert self._answer.rest is None
        await exchange.answer(self._answer)


class Work(Response):
    """An Answer that `readers` will compute."""

    def __init__(
        self,
        node: Node,
        work: Callable[[Database], Answer],
        readers: Readers,
        *,
        settled: bool = True,
    ) -> None:
        """Unless it is `settled`, `work` sees to it itself how new its answer is."""
        self.background = None
        self.status_code = 200
        self._work = functools.partial(work, node.database())
        self._node = node
        self._readers = readers
        self._is_settled = settled

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange: Exchange = scope["exchange"]
        async with self._readers.caller():
            work, asker = functools.partial(self._settled, exchange), asker_of(scope)
            answer = await self._readers.run(work, asker)
            await exchange.answer(answer, functools.partial(self._readers.pull, client=asker))

    def _settled(self, exchange: Exchange) -> Answer:
        """In a reader's thread."""
        if not self._is_settled:
            return self._work()
        with self._node.settled(exchange):
            return self._work()
