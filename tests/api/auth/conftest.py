"""Accounts, tokens and certificates made at test time; servers that use them."""

from __future__ import annotations

import base64
import contextlib
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bcrypt
import pytest
import trustme

COST = 4  # bcrypt's least: these tests are not about its time


@dataclass(frozen=True)
class Keys:
    """The accounts of `accounts_text`, as headers."""

    reader: str = "sb_reader"
    writer: str = "sb_writer"
    admin: str = "sb_admin"

    def bearer(self, token: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {token}"}

    def basic(self, user: str, password: str) -> dict[str, str]:
        pair = base64.b64encode(f"{user}:{password}".encode()).decode()
        return {"Authorization": f"Basic {pair}"}


def hashed(password: str) -> str:
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(COST)).decode()


def accounts_text() -> str:
    """anna may do all; ben reads; a token for each scope."""
    keys = Keys()
    lines = ["basic_auth_users:", f"  anna: {hashed('all')}", f"  ben: {hashed('look')}"]
    lines += ["basic_auth_scopes:", "  ben: [read]", "bearer_tokens:"]
    for scope, token in (("read", keys.reader), ("write", keys.writer), ("admin", keys.admin)):
        digest = hashlib.sha256(token.encode()).hexdigest()
        lines.append(f'  {scope}-agent: {{sha256: "{digest}", scopes: [{scope}]}}')
    return "\n".join(lines) + "\n"


@dataclass
class Certificates:
    """An authority and what it signed, as files."""

    folder: Path
    authority: trustme.CA

    @property
    def ca_file(self) -> Path:
        path = self.folder / "ca.pem"
        self.authority.cert_pem.write_to_path(str(path))
        return path

    def issue(self, name: str, *hosts: str) -> Path:
        """Write name.pem and name.key for the hosts; returns name.pem."""
        leaf = self.authority.issue_cert(*(hosts or ("localhost", "127.0.0.1")))
        cert, key = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        leaf.private_key_pem.write_to_path(str(key))
        cert.write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
        return cert


@pytest.fixture(scope="session")
def keys() -> Keys:
    return Keys()


@pytest.fixture(scope="session")
def accounts() -> str:
    return accounts_text()


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return Certificates(tmp_path, trustme.CA())


@pytest.fixture(scope="session")
def guarded(serve: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """One server with accounts for all tests that break nothing of it."""
    folder = tmp_path_factory.mktemp("guarded")
    file = folder / "web.yml"
    file.write_text(accounts_text())
    with serve(folder / "db", web_config=str(file)) as running:
        yield running


@pytest.fixture(scope="session")
def hash_of() -> Callable[[str], str]:
    return hashed


@pytest.fixture
def start_with(serve: Any, tmp_path: Path) -> Callable[..., Any]:
    """`with start_with(text, **settings) as server:` with that web configuration."""

    @contextlib.contextmanager
    def starting(text: str, **settings: Any) -> Iterator[Any]:
        file = tmp_path / "web.yml"
        file.write_text(text)
        with serve(tmp_path / "db", web_config=str(file), **settings) as running:
            yield running

    return starting
