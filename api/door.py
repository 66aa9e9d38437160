"""Who may come in: the checks that need nothing but a request's header.

    in   method, headers
    out  nothing, or Forbidden naming what was wrong

Accounts are the business of api.auth. On loopback without them two strangers remain. A web page
can point its own name at 127.0.0.1 (DNS rebinding): so the Host header must name this machine. And
it can send requests here that it cannot read the answers of: so what changes anything is refused
when the browser says that it comes from another site. Programs send neither Origin nor
Sec-Fetch-Site.
"""

from __future__ import annotations

import ipaddress
import re

from api.errors import Forbidden
from tsdb.errors import InvalidInput

__all__ = ["Door"]

SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}
KNOWN_HOSTS_MAX = 64
_HOST = re.compile(r"(\[[0-9A-Fa-f:.%a-z]+\]|[A-Za-z0-9._-]+)(?::\d{1,5})?")


class Door:
    """One server's. `loopback`: only this machine can connect. `accounts`: each request has one."""

    def __init__(self, *, loopback: bool, accounts: bool = False) -> None:
        # A page that reaches us by a name of its own has no account, so any name may be ours.
        self._check_hosts = loopback and not accounts
        self._admin = loopback or accounts
        self._known_hosts: set[bytes] = set()

    def check(self, method: str, headers: dict[bytes, bytes]) -> None:
        host = headers.get(b"host", b"")
        if self._check_hosts and host not in self._known_hosts:
            self._check_host(host)
        if method not in SAFE_METHODS and (b"origin" in headers or b"sec-fetch-site" in headers):
            _check_site(host, headers)

    def check_admin(self) -> None:
        """With accounts the scope of the caller was checked already."""
        if not self._admin:
            raise Forbidden(
                "admin calls are answered only by a server that listens on loopback (--host) "
                "or has accounts (--web-config)"
            )

    def _check_host(self, host: bytes) -> None:
        text = host.decode("latin-1")
        match = _HOST.fullmatch(text)
        if text and match is None:  # HTTP/1.0 may come without
            raise InvalidInput("the Host header is not a host")
        if match is not None and not _is_loopback(match[1]):
            raise Forbidden(
                f"Host {text[:100]!r} is not this machine: use 127.0.0.1, [::1] or localhost, "
                "or start the server with another --host"
            )
        if len(self._known_hosts) < KNOWN_HOSTS_MAX:
            self._known_hosts.add(host)


def _is_loopback(name: str) -> bool:
    name = name.lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False


def _check_site(host: bytes, headers: dict[bytes, bytes]) -> None:
    site = headers.get(b"sec-fetch-site", b"same-origin")
    if site not in (b"same-origin", b"none"):
        raise Forbidden("a page of another site may not change anything here (Sec-Fetch-Site)")
    origin = headers.get(b"origin")
    if origin is not None and origin.lower().partition(b"://")[2] != host.lower():
        text = origin.decode("latin-1")[:100]
        raise Forbidden(f"a page of {text!r} may not change anything here (Origin)")
