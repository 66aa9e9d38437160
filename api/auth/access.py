"""Who may come in: the file of accounts and certificates, read at start and whenever it changes.

    in   Settings
    out  Access: the guard for requests, the context for the listener, headers for every answer

Without a file everybody may do everything, so such a server listens on loopback only, unless it is
told that the network is meant. A file that cannot be read stops the start; while the server runs
the log says so and what was read before stays.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import TypeAlias

from api.auth.accounts import Accounts
from api.auth.guard import Guard
from api.auth.tls import ListenerContext, context_of, is_named
from api.auth.web_config import WebConfig, read
from api.exits import CommandFailed, Exit
from api.logs import LOG
from api.protocol import CROWD_FACTOR
from api.settings import Settings
from tsdb.errors import InvalidInput

__all__ = ["Access"]

LINE_PORTS = tuple(name for name in Settings.model_fields if name.endswith("_port"))
Stamps: TypeAlias = dict[Path, tuple[int, int, int] | None]


class Access:
    """One server's. Made before it listens; `refresh` is called from any one thread."""

    def __init__(self, settings: Settings) -> None:
        self._file = settings.web_config
        self.guard: Guard | None = None
        self.context: ListenerContext | None = None
        self.config = WebConfig()
        self.fresh = True  # the files as they are now are in force
        self._stamps: Stamps = {}
        if self._file is not None:
            try:
                self._stamps = _stamps([self._file])
                self.config = read(self._file)
                self._stamps |= _stamps(self.config.tls.files if self.config.tls else ())
                if self.config.tls is not None:
                    most = settings.connections_max * CROWD_FACTOR
                    self.context = ListenerContext(context_of(self.config.tls), most)
            except InvalidInput as error:
                raise CommandFailed(f"web configuration {error}", Exit.CONFIG) from error
        if self.config.has_accounts:
            self.guard = Guard(Accounts(self.config.users, self.config.tokens))
        self._check_open(settings)

    @property
    def admits_anybody(self) -> bool:
        return not self.config.keeps_strangers_out

    @property
    def scheme(self) -> str:
        return "http" if self.context is None else "https"

    def admits(self, transport: asyncio.BaseTransport) -> bool:
        """Whether a connection may go on after its handshake (client_allowed_sans)."""
        tls = self.config.tls
        if tls is None or not tls.client_names:
            return True
        return is_named(transport.get_extra_info("peercert"), tls.client_names)

    def refresh(self) -> bool:
        """Read again what changed; whether something did. What is wrong is logged, once."""
        if self._file is None:
            return False
        now = _stamps(self._stamps)
        if now == self._stamps:
            return False
        self._stamps = now
        try:
            config = read(self._file)
            self._stamps |= {p: s for p, s in _stamps(_files(config)).items() if p not in now}
            self._check_change(config)
            context = context_of(config.tls) if config.tls is not None else None
        except InvalidInput as error:
            LOG.error("web_config_refused", error=str(error), action="what was read before stays")
            self.fresh = False
            return False
        self.fresh = True
        self._stamps = {p: s for p, s in self._stamps.items() if p in {self._file, *_files(config)}}
        self.config = config
        if self.context is not None and context is not None:
            self.context.current = context
        if self.guard is not None:
            self.guard.accounts = Accounts(config.users, config.tokens)
        LOG.info("web_config_read", accounts=len(config.users) + len(config.tokens))
        return True

    def close(self) -> None:
        if self.guard is not None:
            self.guard.close()

    def _check_change(self, config: WebConfig) -> None:
        """TLS and accounts are there from the start or not at all: no slip takes them away."""
        if (config.tls is None) != (self.context is None):
            raise InvalidInput(f"{self._file}: TLS is switched on and off by a restart")
        if config.has_accounts != (self.guard is not None):
            raise InvalidInput(f"{self._file}: accounts are switched on and off by a restart")

    def _check_open(self, settings: Settings) -> None:
        if settings.loopback:
            return
        if self.admits_anybody and not settings.allow_open_network:
            raise CommandFailed(
                f"--host {settings.host} opens the database to whoever reaches the port: name "
                "accounts with --web-config FILE (docs/how-to/secure-a-server.md), or pass "
                "--allow-open-network if that is meant",
                Exit.CONFIG,
            )
        lines = [name for name in LINE_PORTS if getattr(settings, name) is not None]
        if lines and not settings.allow_open_network:
            raise CommandFailed(
                f"--{lines[0].replace('_', '-')} on --host {settings.host} takes points from "
                "whoever reaches it: its protocol has no accounts; pass --allow-open-network if "
                "that is meant",
                Exit.CONFIG,
            )
        if self.admits_anybody:
            LOG.warning(
                "open_to_the_network",
                host=settings.host,
                advice="whoever reaches this port reads, writes and deletes (--web-config)",
            )
        elif self.context is None:
            LOG.warning(
                "passwords_in_the_clear",
                host=settings.host,
                advice="use TLS: tls_server_config in the web configuration",
            )


def _files(config: WebConfig) -> tuple[Path, ...]:
    return config.tls.files if config.tls is not None else ()


def _stamps(files: Iterable[Path]) -> Stamps:
    found: Stamps = {}
    for file in files:
        try:
            told = file.stat()
        except OSError:
            found[file] = None
        else:
            found[file] = (told.st_mtime_ns, told.st_size, told.st_ino)
    return found
