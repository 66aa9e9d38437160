"""All groups of a server, each evaluated on time.

    in   rule files, the database
    out  a task a group; lists for /api/v1/rules and /api/v1/alerts

Moments are multiples of a group's interval, moved by a hash of its name, so that groups do not all
work at once and a restart goes on at the same moments. An evaluation that takes longer than the
interval skips moments and counts them. Reloading reads all files first: what is wrong with them
leaves everything as it is; groups that stay keep their alerts.
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import xxhash

from api.duty import Duty, alone
from api.logs import LOG
from api.rules import reading
from api.rules.alerting import OUTAGE_TOLERANCE_MS
from api.rules.config import Group
from api.rules.group import GroupState, Origin
from api.rules.sender import Sender, payload
from tsdb.errors import InvalidInput, TSDBError

if TYPE_CHECKING:
    from tsdb.database.database import Database

__all__ = ["Plan", "Ruler", "moment_before"]

THREADS = 2
RESEND_MS = 60_000
HERE = Origin()


@dataclass(frozen=True, slots=True)
class Plan:
    """What a server was told about rules."""

    files: tuple[str, ...]
    interval_ms: int = 60_000
    alertmanagers: tuple[str, ...] = ()
    origin: Origin = HERE
    resend_ms: int = RESEND_MS


def moment_before(group: Group, now_ms: int) -> int:
    """The last moment at which a group should have been evaluated."""
    shift = xxhash.xxh3_64_intdigest("\0".join(group.key).encode()) % group.interval_ms
    return (now_ms - shift) // group.interval_ms * group.interval_ms + shift


class Ruler:
    """Lives on the event loop's thread; evaluations run in threads of its own."""

    def __init__(
        self, plan: Plan, now_ms: Callable[[], int] | None = None, *, has_duty: Duty = alone
    ) -> None:
        self._plan = plan
        self._has_duty = has_duty
        self._groups = reading.load(plan.files, plan.interval_ms)  # wrong: heard before waiting
        self._sender = Sender(plan.alertmanagers, has_duty)
        self._now_ms = now_ms or (lambda: time.time_ns() // 1_000_000)
        self._database: Database | None = None
        self._states: dict[tuple[str, str], GroupState] = {}
        self._tasks: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._others: set[asyncio.Task[None]] = set()
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="rules")
        self._reloading = asyncio.Lock()

    @property
    def plan(self) -> Plan:
        return self._plan

    @property
    def sender(self) -> Sender:
        return self._sender

    def states(self) -> Sequence[GroupState]:
        """By file and name. Any thread may ask."""
        known = self._states.copy()
        return [known[key] for key in sorted(known)]

    def start(self, database: Database) -> None:
        """The database is open: begin."""
        self._database = database
        for group in self._groups:
            self._begin(self._fresh(group), new=True)
        LOG.info("rules", groups=len(self._groups), files=len({g.file for g in self._groups}))

    async def reload(self) -> None:
        """Read all files again; InvalidInput says what is wrong with one, and nothing changes."""
        async with self._reloading:
            groups = await asyncio.to_thread(reading.load, self._plan.files, self._plan.interval_ms)
            self._groups = groups
            if self._database is not None:
                await self._replace(groups)
        LOG.info("rules_reloaded", groups=len(groups))

    def reload_soon(self) -> None:
        """On a signal: what is wrong goes to the log."""
        task = asyncio.create_task(self._reload_or_log(), name="rules reload")
        self._others.add(task)
        task.add_done_callback(self._others.discard)

    async def stop(self) -> None:
        """Evaluate no more. Series stay as they are: the server may be back in a moment."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), *self._others, return_exceptions=True)
        await asyncio.to_thread(self._threads.shutdown, wait=True)
        await asyncio.to_thread(self._sender.close)

    async def _reload_or_log(self) -> None:
        try:
            await self.reload()
        except InvalidInput as error:
            LOG.error("rules_refused", error=str(error))

    async def _replace(self, groups: Sequence[Group]) -> None:
        wanted = {group.key: group for group in groups}
        for key, state in list(self._states.items()):
            if wanted.get(key) == state.group:
                continue
            await self._end(key)
            if key in wanted:
                changed = self._fresh(wanted[key])
                changed.inherit(state)
                self._begin(changed, new=False)
            else:
                del self._states[key]
                await self._in_thread(functools.partial(self._retire, state))
        for key, group in wanted.items():
            if key not in self._states:
                self._begin(self._fresh(group), new=True)

    def _retire(self, state: GroupState) -> None:
        assert self._database is not None
        state.retire(self._database, self._now_ms())

    def _fresh(self, group: Group) -> GroupState:
        plan = self._plan
        return GroupState(group, plan.origin, resend_ms=plan.resend_ms, has_duty=self._has_duty)

    def _begin(self, state: GroupState, *, new: bool) -> None:
        key = state.group.key
        self._states[key] = state
        task = asyncio.create_task(self._evaluate_for_ever(state, new), name=f"rules {key[1]}")
        task.add_done_callback(_heard)
        self._tasks[key] = task

    async def _end(self, key: tuple[str, str]) -> None:
        """An evaluation under way finishes first: it must not write after its successor."""
        task = self._tasks.pop(key)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def _evaluate_for_ever(self, state: GroupState, new: bool) -> None:
        """A new group waits for its moment; after its second, pending times are restored."""
        interval = state.group.interval_ms
        moment, evaluations = moment_before(state.group, self._now_ms()), 0
        while True:
            moment += interval
            await asyncio.sleep(max(0, moment - self._now_ms()) / 1000)
            late = (self._now_ms() - moment) // interval
            if late > 0:
                state.missed += late
                moment += late * interval
            await self._in_thread(functools.partial(self._evaluate, state, moment))
            evaluations += 1
            if new and evaluations == 2:
                await self._in_thread(functools.partial(self._restore, state))

    def _evaluate(self, state: GroupState, moment: int) -> None:
        assert self._database is not None
        try:
            alerts = state.evaluate(self._database, moment)
        except TSDBError as error:  # the database takes no writes: closing, or failed
            LOG.error("rules_not_evaluated", group=state.group.name, error=str(error))
            return
        origin = self._plan.origin
        self._sender.send([payload(alert, rule.expression, origin) for rule, alert in alerts])

    def _restore(self, state: GroupState) -> None:
        assert self._database is not None
        state.restore(self._database, self._now_ms(), OUTAGE_TOLERANCE_MS)

    async def _in_thread(self, work: Callable[[], None]) -> None:
        """Work that is not cut off half way when its task is cancelled."""
        running = asyncio.get_running_loop().run_in_executor(self._threads, work)
        try:
            await asyncio.shield(running)
        except asyncio.CancelledError:
            await asyncio.wait([running])
            raise


def _heard(task: asyncio.Task[None]) -> None:
    """A bug must not end a group in silence."""
    if not task.cancelled() and task.exception() is not None:
        LOG.critical("rules_bug", task=task.get_name(), exc_info=task.exception())
