"""The accounts of one reading of the file, and who was found right since.

    in   credentials
    out  Account, or None: nobody's

Price: bcrypt takes 65 ms of a core at cost 10, by intent. What was right once is remembered under
a keyed hash, so that only a client's first request pays; passwords are not kept.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass

from api.auth.credentials import Credentials
from tsdb import limits

__all__ = ["Account", "Accounts", "User", "fingerprint", "token_digest"]

_KEY = os.urandom(32)  # of this process
PASSWORD_BYTES_MAX = 72  # bcrypt sees no more; cut silently, two passwords could be one
_NOBODY = "$2b$%02d$" + "a" * 21 + "u" + "b" * 31  # a hash nothing has


@dataclass(frozen=True, slots=True)
class Account:
    name: str
    scopes: int


@dataclass(frozen=True, slots=True)
class User:
    """`bcrypt` is the hash as the file has it."""

    account: Account
    bcrypt: bytes

    @property
    def cost(self) -> int:
        return int(self.bcrypt.split(b"$")[2])


def fingerprint(presented: bytes) -> bytes:
    """What stands for credentials in memory."""
    return hashlib.blake2b(presented, key=_KEY, digest_size=16).digest()


def token_digest(token: bytes) -> bytes:
    """What stands for a token in the file: 256 random bits need no slow hash."""
    return hashlib.sha256(token).digest()


class Accounts:
    """Immutable but for what it remembers, which lives on the event loop's thread."""

    def __init__(self, users: Mapping[str, User], tokens: Mapping[bytes, Account]) -> None:
        self._users = {name.encode(): user for name, user in users.items()}
        self._tokens = dict(tokens)
        cost = max((user.cost for user in users.values()), default=0)
        self._nobody = (_NOBODY % cost).encode() if cost else b""
        self._known: dict[bytes, Account] = {}

    def __len__(self) -> int:
        return len(self._users) + len(self._tokens)

    def known(self, mark: bytes) -> Account | None:
        """Who these credentials were found to be before; `mark` is their fingerprint."""
        return self._known.get(mark)

    def remember(self, mark: bytes, account: Account) -> None:
        if len(self._known) >= limits.LOGINS_KNOWN_MAX:
            del self._known[next(iter(self._known))]
        self._known[mark] = account

    def of_token(self, given: Credentials) -> Account | None:
        """Whose token it is. Cheap. A lookup by a hash's bits tells nothing by its time."""
        return self._tokens.get(token_digest(given.secret))

    def of_password(self, given: Credentials) -> Account | None:
        """Whose password it is. Slow: call it in a thread."""
        import bcrypt

        if given.user is None or not self._nobody:
            return None
        user = self._users.get(given.user)
        # A name that is not there takes as long as one that is.
        fits = len(given.secret) <= PASSWORD_BYTES_MAX
        secret = given.secret if fits else b""
        right = bcrypt.checkpw(secret, user.bcrypt if user is not None else self._nobody)
        return user.account if user is not None and right and fits else None
