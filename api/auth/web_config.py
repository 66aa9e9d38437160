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
from dataclasses import dataclass, field
from pathlib import Path

from api.auth.accounts import Account, User
from api.auth.scope_names import ALL, NAMES
from api.auth.yaml_nodes import Place, Section, document
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
_SUITE = re.compile(r"TLS_(ECDHE)_(RSA|ECDSA)_WITH_(AES_128_GCM|AES_256_GCM|CHACHA20_POLY1305)_\w+")
_BCRYPT = re.compile(r"\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}")
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
_HEADER_VALUE = re.compile(r"[\x20-\x7e]*")


@dataclass(frozen=True, slots=True)
class Tls:
    """tls_server_config."""

    cert_file: Path
    key_file: Path
    client_auth: ssl.VerifyMode = ssl.CERT_NONE
    client_ca_file: Path | None = None
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
    try:
        with file.open("rb") as opened:
            text = opened.read(limits.WEB_CONFIG_BYTES_MAX + 1)
    except OSError as error:
        raise InvalidInput(f"{file}: {(error.strerror or str(error)).lower()}") from error
    if len(text) > limits.WEB_CONFIG_BYTES_MAX:
        raise InvalidInput(
            f"{file}: it is too large (limit WEB_CONFIG_BYTES_MAX = "
            f"{limits.WEB_CONFIG_BYTES_MAX:,})"
        )
    whole = document(file, text)
    tls = whole.take("tls_server_config")
    found = WebConfig(
        tls=None if tls is None else _tls(tls.section()),
        headers=_headers(whole.section("http_server_config")),
        users=_users(whole.section("basic_auth_users"), whole.section("basic_auth_scopes")),
        tokens=_tokens(whole.section("bearer_tokens")),
    )
    whole.end()
    return found


def _tls(section: Section) -> Tls:
    cert, key = section.take("cert_file"), section.take("key_file")
    if cert is None or key is None:
        raise section.place.error("cert_file and key_file are both needed")
    ca = section.take("client_ca_file")
    auth = section.take("client_auth_type")
    mode = ssl.CERT_NONE if auth is None else auth.choice(CLIENT_AUTH)
    if auth is not None and mode is not ssl.CERT_NONE and ca is None:
        raise auth.error("it needs client_ca_file")
    if ca is not None and mode is ssl.CERT_NONE:
        raise ca.error("it needs client_auth_type: RequireAndVerifyClientCert")
    found = Tls(
        cert_file=cert.path(),
        key_file=key.path(),
        client_auth=mode,
        client_ca_file=None if ca is None else ca.path(),
        min_version=section.value("min_version", _version, ssl.TLSVersion.TLSv1_2),
        max_version=section.value("max_version", _version, ssl.TLSVersion.TLSv1_3),
        ciphers=section.value("cipher_suites", _ciphers, ""),
        server_preference=section.value("prefer_server_cipher_suites", Place.truth, True),
        curve=section.value("curve_preferences", _curve, ""),
    )
    section.end()
    if found.min_version > found.max_version:
        raise section.place.error("min_version is above max_version")
    return found


def _version(place: Place) -> ssl.TLSVersion:
    return place.choice(VERSIONS)


def _ciphers(place: Place) -> str:
    """Go's names as OpenSSL's; those of TLS 1.3 are not for choosing, in Go neither."""
    found = []
    for item in place.items():
        match = _SUITE.fullmatch(item.text())
        if match is None:
            raise item.error(f"{item.text()!r} is no cipher suite of TLS 1.2 that is still safe")
        cipher = match[3].replace("AES_128", "AES128").replace("AES_256", "AES256")
        digest = {"AES128_GCM": "-SHA256", "AES256_GCM": "-SHA384"}.get(cipher, "")
        found.append(f"{match[1]}-{match[2]}-{cipher.replace('_', '-')}{digest}")
    return ":".join(found)


def _curve(place: Place) -> str:
    items = place.items()
    if len(items) > 1:
        raise place.error("one curve can be chosen here, or leave it out")
    return items[0].choice(CURVES) if items else ""


def _headers(section: Section) -> dict[str, str]:
    section.value("http2", Place.truth, False)  # HTTP/1.1 is spoken either way; clients agree to it
    wanted = section.section("headers")
    found: dict[str, str] = {}
    for name in HEADERS:
        place = wanted.take(name)
        if place is None:
            continue
        if not _HEADER_VALUE.fullmatch(place.text()):
            raise place.error("a header is one line of plain ASCII")
        found[name] = place.text()
    wanted.end()
    section.end()
    return found


def _users(section: Section, chosen: Section) -> dict[str, User]:
    known = {name: _scopes(place) for name, place in chosen.names()}
    found: dict[str, User] = {}
    for name, place in section.names():
        match = _BCRYPT.fullmatch(place.text())
        if match is None:
            raise place.error("a bcrypt hash is wanted: htpasswd -nBC 10 USER")
        if not 4 <= int(match[1]) <= limits.BCRYPT_COST_MAX:
            raise place.error(
                f"a cost of {int(match[1])} takes too long for a server "
                f"(limit BCRYPT_COST_MAX = {limits.BCRYPT_COST_MAX})"
            )
        if not name or ":" in name:
            raise place.error("a user has a name, without a colon")
        account = Account(name, known.pop(name, ALL))
        found[name] = User(account, place.text().encode())
    for name in known:
        raise chosen.place.error(f"basic_auth_scopes names {name!r}, basic_auth_users does not")
    return found


def _tokens(section: Section) -> dict[bytes, Account]:
    found: dict[bytes, Account] = {}
    for name, place in section.names():
        token = place.section()
        digest, scopes = token.take("sha256"), token.take("scopes")
        token.end()
        if digest is None or scopes is None:
            raise place.error("sha256 and scopes are both needed: silverback token prints them")
        if not _SHA256.fullmatch(digest.text()):
            raise digest.error("64 hexadecimal digits are wanted: silverback token prints them")
        key = bytes.fromhex(digest.text())
        if key in found:
            raise digest.error(f"it is the token of {found[key].name!r} too")
        found[key] = Account(name, _scopes(scopes))
    return found


def _scopes(place: Place) -> int:
    found = 0
    for item in place.items():
        found |= item.choice(NAMES)
    if not found:
        raise place.error(f"at least one of {', '.join(NAMES)} is wanted")
    return found
