"""Every request's check: who it is, whether that account may do this.

    in   a request
    out  nothing, or 401 without an account, 403 without the scope, 429 after too many wrong ones

Known credentials cost a hash and two lookups. Others are verified: tokens at once, passwords in
two threads of their own, each set of credentials once however many requests carry it. Only so many
may wait, and only so many may be wrong a minute from one address; who is known already is not
held up by either.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from api.auth import scopes
from api.auth.accounts import Account, Accounts, fingerprint
from api.auth.attempts import Attempts
from api.auth.credentials import Credentials, parsed, presented
from api.auth.scope_names import ADMIN, names_of
from api.errors import Forbidden, TooManyLogins, Unauthorized
from api.exchange import Exchange
from api.logs import LOG
from tsdb import limits
from tsdb.errors import Unavailable

__all__ = ["Guard"]

THREADS = 2
OUTCOMES = ("right", "wrong", "missing", "malformed", "scope", "too_many", "busy")
HOW = "send Authorization: Basic or Bearer"


class Guard:
    """One server's. `accounts` may be replaced at any time, from any thread."""

    def __init__(self, accounts: Accounts, attempts: Attempts | None = None) -> None:
        self.accounts = accounts
        # Of what was not known already, and of known accounts without the scope.
        self.outcomes: Counter[str] = Counter(dict.fromkeys(OUTCOMES, 0))
        self._attempts = Attempts() if attempts is None else attempts
        self._threads = ThreadPoolExecutor(THREADS, "login")
        # By accounts too: what an older file allowed says nothing about a newer one.
        self._under_way: dict[tuple[Accounts, bytes], asyncio.Future[Account | None]] = {}

    async def check(self, exchange: Exchange) -> None:
        """Raises Unauthorized, Forbidden, TooManyLogins, Unavailable."""
        scope = exchange.scope
        method, path = scope["method"], scope["raw_path"]
        needed = scopes.needed(method, path, scope["query_string"])
        if not needed:
            return
        given = presented(exchange.headers, path, scope["query_string"])
        if given is None:
            self.outcomes["missing"] += 1
            raise Unauthorized(f"this server wants to know who asks: {HOW}")
        mark = fingerprint(given)
        account = self.accounts.known(mark)
        if account is None:
            client = scope.get("client")
            account = await self._login(given, mark, client[0] if client else "")
        scope["account"], scope["account_scopes"] = account.name, account.scopes
        if not account.scopes & needed:
            self.outcomes["scope"] += 1
            want = names_of(needed)
            raise Forbidden(f"account {account.name!r} lacks the scope {want} that this needs")
        if needed == ADMIN:
            LOG.info("admin", account=account.name, method=method, path=scope["path"])

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _login(self, given: bytes, mark: bytes, address: str) -> Account:
        """Verify credentials that are not known yet."""
        accounts, credentials = self.accounts, parsed(given)
        if credentials is None:
            self.outcomes["malformed"] += 1
            raise Unauthorized(f"the credentials cannot be read: {HOW}")
        account = accounts.of_token(credentials)
        if account is None:
            account = await self._verify(accounts, credentials, mark, address)
        self.outcomes["right"] += 1
        accounts.remember(mark, account)
        return account

    async def _verify(
        self, accounts: Accounts, credentials: Credentials, mark: bytes, address: str
    ) -> Account:
        login = (accounts, mark)
        verdict = self._under_way.get(login)
        if verdict is None:
            self._take_attempt(address)
            loop = asyncio.get_running_loop()
            verdict = loop.run_in_executor(self._threads, accounts.of_password, credentials)
            self._under_way[login] = verdict
            verdict.add_done_callback(lambda done: self._verified(login, address, done))
        # Shielded: the client of one request may go, others wait for the same verdict.
        account = await asyncio.shield(verdict)
        if account is None:
            self.outcomes["wrong"] += 1
            raise Unauthorized("there is no such account or token, or the password is another")
        return account

    def _take_attempt(self, address: str) -> None:
        if len(self._under_way) >= limits.LOGINS_WAITING_MAX:
            self.outcomes["busy"] += 1
            raise Unavailable(
                f"too many logins wait (limit LOGINS_WAITING_MAX = {limits.LOGINS_WAITING_MAX})",
                code="busy",
            )
        wait_s = self._attempts.take(address)
        if wait_s:
            self.outcomes["too_many"] += 1
            raise TooManyLogins(retry_after_s=wait_s)

    def _verified(
        self, login: tuple[Accounts, bytes], address: str, done: asyncio.Future[Account | None]
    ) -> None:
        del self._under_way[login]
        if done.cancelled() or done.exception() is not None or done.result() is not None:
            self._attempts.give_back(address)
        else:
            LOG.warning("login_failed", client=address)
