"""The web configuration file of Prometheus' exporters, as operators have it already.

    in   its path
    out  WebConfig, or InvalidInput naming file, line and key

tls_server_config, http_server_config, basic_auth_users are read as Prometheus reads them
(github.com/prometheus/exporter-toolkit, docs/web-configuration.md); bearer_tokens and
basic_auth_scopes are ours. What cannot be done here is refused by name rather than passed over: a
file that asks for more safety than it gets is worse than none. docs/reference/web-config.md has
every key.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from api.auth.accounts import Account, User
from api.auth.scope_names import ALL, NAMES
from api.document import Entry, Section
from api.document import read as read_yaml
from tsdb import limits
from tsdb.errors import InvalidInput

__all__ = ["Tls", "WebConfig", "read"]

HEADERS = (
    "Content-Security-Policy",
    "Strict-Transport-Security",
    "X-Content-Type-Options",
    "X-Frame-Options",
    "X-XSS-Protection",
)
VERSIONS = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}
# Go can ask for a certificate without verifying it; a certificate that nobody verified proves
# nothing, and OpenSSL has no such mode.
CLIENT_AUTH = {
    "NoClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}
CURVES = {"CurveP256": "prime256v1", "CurveP384": "secp384r1", "CurveP521": "secp521r1"} | {
    "X25519": "X25519"
}
T = TypeVar("T")
_SUITE = re.compile(r"TLS_(ECDHE)_(RSA|ECDSA)_WITH_(AES_128_GCM|AES_256_GCM|CHACHA20_POLY1305)_\w+")
# 16 bytes of salt in 22 characters leave four bits, which bcrypt wants to be zero.
_BCRYPT = re.compile(r"\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{31}")
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
_HEADER_VALUE = re.compile(r"[\x20-\x7e]*")


@dataclass(frozen=True, slots=True)
class Tls:
    """tls_server_config."""

    cert_file: Path
    key_file: Path
    client_auth: ssl.VerifyMode = ssl.CERT_NONE
    client_ca_file: Path | None = None
    client_names: frozenset[str] = frozenset()  # any of them in a client's certificate; or all pass
    min_version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2
    max_version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3
    ciphers: str = ""
    server_preference: bool = True
    curve: str = ""

    @property
    def files(self) -> tuple[Path, ...]:
        named = (self.cert_file, self.key_file, self.client_ca_file)
        return tuple(path for path in named if path is not None)


@dataclass(frozen=True, slots=True)
class WebConfig:
    tls: Tls | None = None
    headers: dict[str, str] = field(default_factory=dict)
    users: dict[str, User] = field(default_factory=dict)
    tokens: dict[bytes, Account] = field(default_factory=dict)

    @property
    def has_accounts(self) -> bool:
        return bool(self.users or self.tokens)

    @property
    def keeps_strangers_out(self) -> bool:
        return self.has_accounts or (
            self.tls is not None and self.tls.client_auth is ssl.CERT_REQUIRED
        )


def read(file: Path) -> WebConfig:
    """Read and check it all; raises InvalidInput."""
    whole = _document(file)
    if whole is None:
        return WebConfig()
    section = whole.section()
    tls = section.take("tls_server_config")
    found = WebConfig(
        tls=None if tls is None else _tls(tls, file.parent),
        headers=_headers(section.take("http_server_config")),
        users=_users(section.take("basic_auth_users"), section.take("basic_auth_scopes")),
        tokens=_tokens(section.take("bearer_tokens")),
    )
    section.end()
    return found


def _document(file: Path) -> Entry | None:
    try:
        with file.open("rb") as opened:
            text = opened.read(limits.WEB_CONFIG_BYTES_MAX + 1)
    except OSError as error:
        raise InvalidInput(f"{file}: {(error.strerror or str(error)).lower()}") from error
    if len(text) > limits.WEB_CONFIG_BYTES_MAX:
        most = f"(limit WEB_CONFIG_BYTES_MAX = {limits.WEB_CONFIG_BYTES_MAX:,})"
        raise InvalidInput(f"{file}: it is too large {most}")
    try:
        return read_yaml(text.decode(), str(file))
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{file}: it is not UTF-8") from error


def _tls(entry: Entry, folder: Path) -> Tls:
    section = entry.section()
    cert, key = section.text("cert_file"), section.text("key_file")
    if not cert or not key:
        entry.fail("cert_file and key_file are both needed")
    ca, mode = section.text("client_ca_file"), _chosen(section, "client_auth_type", CLIENT_AUTH)
    mode = ssl.CERT_NONE if mode is None else mode
    if mode is not ssl.CERT_NONE and not ca:
        section.fail("client_auth_type", "it needs client_ca_file")
    if ca and mode is ssl.CERT_NONE:
        section.fail("client_ca_file", "it needs client_auth_type: RequireAndVerifyClientCert")
    names = frozenset(section.texts("client_allowed_sans"))
    if names and mode is not ssl.CERT_REQUIRED:
        section.fail("client_allowed_sans", "it needs RequireAndVerifyClientCert")
    found = Tls(
        client_names=names,
        cert_file=folder / cert,
        key_file=folder / key,
        client_auth=mode,
        client_ca_file=folder / ca if ca else None,
        min_version=_chosen(section, "min_version", VERSIONS) or ssl.TLSVersion.TLSv1_2,
        max_version=_chosen(section, "max_version", VERSIONS) or ssl.TLSVersion.TLSv1_3,
        ciphers=":".join(map(_cipher, section.items("cipher_suites"))),
        server_preference=section.flag("prefer_server_cipher_suites", True),
        curve=_curve(section.items("curve_preferences")),
    )
    section.end()
    if found.min_version > found.max_version:
        section.fail("min_version", "it is above max_version")
    return found


def _chosen(section: Section, name: str, choices: Mapping[str, T]) -> T | None:
    entry = section.take(name)
    return None if entry is None else _choice(entry, choices)


def _choice(entry: Entry, choices: Mapping[str, T]) -> T:
    text = entry.text()
    if text not in choices:
        entry.fail(f"{text!r} is none of {', '.join(choices)}")
    return choices[text]


def _cipher(entry: Entry) -> str:
    """Go's name as OpenSSL's; those of TLS 1.3 are not for choosing, in Go neither."""
    match = _SUITE.fullmatch(entry.text())
    if match is None:
        entry.fail(f"{entry.text()!r} is no cipher suite of TLS 1.2 that is still safe")
    cipher = match[3].replace("AES_128", "AES128").replace("AES_256", "AES256")
    digest = {"AES128_GCM": "-SHA256", "AES256_GCM": "-SHA384"}.get(cipher, "")
    return f"{match[1]}-{match[2]}-{cipher.replace('_', '-')}{digest}"


def _curve(entries: list[Entry]) -> str:
    if len(entries) > 1:
        entries[1].fail("one curve can be chosen here, or leave it out")
    return _choice(entries[0], CURVES) if entries else ""


def _headers(entry: Entry | None) -> dict[str, str]:
    if entry is None:
        return {}
    section = entry.section()
    section.flag("http2", False)  # HTTP/1.1 is spoken either way; clients agree to it
    wanted = section.take("headers")
    section.end()
    if wanted is None:
        return {}
    names, found = wanted.section(), {}
    for name in HEADERS:
        text = names.take(name)
        if text is None:
            continue
        if not _HEADER_VALUE.fullmatch(text.text()):
            text.fail("a header is one line of plain ASCII")
        found[name] = text.text()
    names.end()
    return found


def _users(entry: Entry | None, chosen: Entry | None) -> dict[str, User]:
    entries = {} if chosen is None else dict(chosen.section().entries())
    found: dict[str, User] = {}
    for name, hashed in [] if entry is None else entry.section().entries():
        match = _BCRYPT.fullmatch(hashed.text())
        if match is None:
            hashed.fail("a bcrypt hash is wanted: htpasswd -nBC 10 USER")
        if not 4 <= int(match[1]) <= limits.BCRYPT_COST_MAX:
            hashed.fail(
                f"a cost of {int(match[1])} takes too long for a server "
                f"(limit BCRYPT_COST_MAX = {limits.BCRYPT_COST_MAX})"
            )
        if not name or ":" in name:
            hashed.fail("a user has a name, without a colon")
        scopes = entries.pop(name, None)
        account = Account(name, ALL if scopes is None else _scopes(scopes))
        found[name] = User(account, hashed.text().encode())
    for scopes in entries.values():
        scopes.fail("basic_auth_users has no such user")
    return found


def _tokens(entry: Entry | None) -> dict[bytes, Account]:
    found: dict[bytes, Account] = {}
    for name, token in [] if entry is None else entry.section().entries():
        section = token.section()
        digest, scopes = section.take("sha256"), section.take("scopes")
        section.end()
        if digest is None or scopes is None:
            token.fail("sha256 and scopes are both needed: silverback token prints them")
        if not _SHA256.fullmatch(digest.text()):
            digest.fail("64 hexadecimal digits are wanted: silverback token prints them")
        key = bytes.fromhex(digest.text())
        if key in found:
            digest.fail(f"it is the token of {found[key].name!r} too")
        found[key] = Account(name, _scopes(scopes))
    return found


def _scopes(entry: Entry) -> int:
    found = 0
    for item in entry.items():
        found |= _choice(item, NAMES)
    if not found:
        entry.fail(f"at least one of {', '.join(NAMES)} is wanted")
    return found
