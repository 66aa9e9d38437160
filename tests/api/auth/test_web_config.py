"""api.auth.web_config: operators' files are read as they are; every complaint has a line."""

from __future__ import annotations

import re
import ssl
from pathlib import Path
from typing import Any

import bcrypt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.auth import web_config
from api.auth.scope_names import ADMIN, ALL, READ, WRITE
from api.auth.web_config import WebConfig
from tsdb.errors import InvalidInput

HASH = "$2y$10$mDwo.lAisC94iLAyP81MCesa29IzH37oigHC/42V2pdJlUprsJPze"  # of the toolkit's example
DIGEST = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
# As https://github.com/prometheus/exporter-toolkit/blob/master/docs/web-configuration.md has it.
EXAMPLE = f"""
tls_server_config:
  cert_file: server.crt
  key_file: server.key
  client_auth_type: RequireAndVerifyClientCert
  client_ca_file: ca.crt
  min_version: TLS12
  max_version: "TLS13"
  cipher_suites:
    - TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
    - TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256
  prefer_server_cipher_suites: true
  curve_preferences: [CurveP256]
http_server_config:
  http2: true
  headers:
    X-Frame-Options: deny
    Strict-Transport-Security: max-age=31536000
basic_auth_users:
  alice: {HASH}
  bob: "{HASH}"
"""


def read(tmp_path: Path, text: str) -> WebConfig:
    file = tmp_path / "web.yml"
    file.write_text(text)
    return web_config.read(file)


def test_the_toolkits_example_is_read(tmp_path: Path) -> None:
    found = read(tmp_path, EXAMPLE)

    assert found.tls is not None
    assert found.tls.cert_file == tmp_path / "server.crt"
    assert found.tls.client_auth is ssl.CERT_REQUIRED
    assert found.tls.ciphers == "ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305"
    assert found.tls.curve == "prime256v1"
    assert found.headers["X-Frame-Options"] == "deny"
    assert {n: u.account.scopes for n, u in found.users.items()} == {"alice": ALL, "bob": ALL}
    assert found.keeps_strangers_out


@pytest.mark.parametrize("page", ["how-to/secure-a-server.md", "reference/web-config.md"])
def test_the_files_of_the_documentation_are_read(tmp_path: Path, page: str) -> None:
    text = (Path(__file__).parents[3] / "docs" / page).read_text("utf-8")
    examples = re.findall(r"^```yaml\n(.*?)^```", text, re.M | re.S)
    assert examples
    for example in examples:
        found = read(tmp_path, example)
        assert found.keeps_strangers_out or found.tls is not None


def test_every_cipher_name_is_one_of_openssl(tmp_path: Path) -> None:
    for kind in ("RSA", "ECDSA"):
        for cipher in ("AES_128_GCM_SHA256", "AES_256_GCM_SHA384", "CHACHA20_POLY1305_SHA256"):
            text = (
                "tls_server_config: {cert_file: a, key_file: b, cipher_suites: "
                f"[TLS_ECDHE_{kind}_WITH_{cipher}]}}"
            )
            tls = read(tmp_path, text).tls
            assert tls is not None
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).set_ciphers(tls.ciphers)


@given(st.from_regex(web_config._BCRYPT, fullmatch=True))
@settings(max_examples=30, deadline=None)
def test_bcrypt_takes_every_hash_that_is_read(text: str) -> None:
    cheap = text[:4] + "04" + text[6:]
    assert bcrypt.checkpw(b"x", cheap.encode()) in (True, False)


def test_scopes_of_users_and_tokens(tmp_path: Path) -> None:
    text = f"""
basic_auth_users: {{anna: "{HASH}", ben: "{HASH}"}}
basic_auth_scopes: {{ben: [read]}}
bearer_tokens:
  agent: {{sha256: "{DIGEST.upper()}", scopes: [read, write]}}
  123: {{sha256: "{DIGEST[::-1]}", scopes: [admin]}}
"""
    found = read(tmp_path, text)

    assert found.users["anna"].account.scopes == ALL
    assert found.users["ben"].account.scopes == READ
    assert found.tokens[bytes.fromhex(DIGEST)].scopes == READ | WRITE
    assert found.tokens[bytes.fromhex(DIGEST[::-1])].name == "123"
    assert found.tokens[bytes.fromhex(DIGEST[::-1])].scopes == ADMIN


@pytest.mark.parametrize("text", ["", "\n", "# nothing\n", "basic_auth_users:\n", "{}"])
def test_an_empty_file_lets_anybody_in(tmp_path: Path, text: str) -> None:
    found = read(tmp_path, text)
    assert not found.keeps_strangers_out
    assert not found.has_accounts


TLS = "tls_server_config:\n  cert_file: a\n  key_file: b\n"


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("basic_auth_usres:\n  a: b", 1, ["basic_auth_usres"]),
        (TLS + "  client_alowed_sans: [a]", 4, ["client_alowed_sans"]),
        (TLS + "  client_allowed_sans: [a]", 4, ["client_allowed_sans", "RequireAnd"]),
        (TLS + "  min_version: TLS10", 4, ["min_version", "TLS10", "TLS12"]),
        (TLS + "  client_auth_type: RequireAnyClientCert", 4, ["client_auth_type", "Verify"]),
        (TLS + "  client_auth_type: RequireAndVerifyClientCert", 4, ["client_ca_file"]),
        (TLS + "  client_ca_file: ca", 4, ["client_auth_type"]),
        (TLS + "  cipher_suites: [TLS_RSA_WITH_RC4_128_SHA]", 4, ["TLS_RSA_WITH_RC4_128_SHA"]),
        (TLS + "  curve_preferences: [CurveP256, X25519]", 4, ["one curve"]),
        (TLS + "  min_version: TLS13\n  max_version: TLS12", None, ["above"]),
        (TLS + "  prefer_server_cipher_suites: maybe", 4, ["true or false"]),
        ("tls_server_config:\n  cert_file: a", None, ["key_file"]),
        ("http_server_config:\n  headers:\n    X-Powered-By: us", 3, ["X-Powered-By"]),
        ('http_server_config:\n  headers:\n    X-Frame-Options: "a\\nb"', 3, ["one line"]),
        ("basic_auth_users:\n  anna: secret", 2, ["anna", "bcrypt"]),
        (f"basic_auth_users:\n  anna: {HASH}\n  anna: {HASH}", 3, ["anna", "twice"]),
        (f"basic_auth_users:\n  'a:b': {HASH}", 2, ["colon"]),
        (f"basic_auth_users:\n  anna: {HASH.replace('$10$', '$31$')}", 2, ["BCRYPT_COST_MAX"]),
        ("basic_auth_users: [anna]", 1, ["basic_auth_users"]),
        (f"basic_auth_users: {{a: {HASH}}}\nbasic_auth_scopes: {{b: [read]}}", 2, ["no such"]),
        (f"basic_auth_users: {{a: {HASH}}}\nbasic_auth_scopes:\n  a: [raed]", 3, ["raed", "read"]),
        (f"basic_auth_users: {{a: {HASH}}}\nbasic_auth_scopes:\n  a: []", 3, ["read"]),
        ("bearer_tokens:\n  a: {sha256: abc, scopes: [read]}", 2, ["64"]),
        (f"bearer_tokens:\n  a: {{sha256: {DIGEST}}}", 2, ["scopes"]),
        (f"bearer_tokens:\n  a:\n    sha256: {DIGEST}\n    scope: read", None, ["scope"]),
        ("basic_auth_users:\n\tanna: b", 2, []),
        ("a: [", 2, []),
        ("- a\n- b", 1, ["keys"]),
        ("a: *b", 1, []),
    ],
)  # fmt: skip
def test_a_complaint_has_file_line_and_key(
    tmp_path: Path, text: str, line: int | None, words: list[str]
) -> None:
    with pytest.raises(InvalidInput) as raised:
        read(tmp_path, text)

    told = str(raised.value)
    assert "web.yml" in told
    assert all(word in told for word in words), told
    assert ", line " in told
    assert line is None or f", line {line}:" in told, told


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: Any) -> None:
    with pytest.raises(InvalidInput, match=r"gone\.yml: no such file"):
        web_config.read(tmp_path / "gone.yml")
    with pytest.raises(InvalidInput, match="directory"):
        web_config.read(tmp_path)
    (tmp_path / "bytes.yml").write_bytes(b"a: \xff\xfe")
    with pytest.raises(InvalidInput, match=r"bytes\.yml"):
        web_config.read(tmp_path / "bytes.yml")
    (tmp_path / "big.yml").write_bytes(b"#" * ((1 << 20) + 1))
    with pytest.raises(InvalidInput, match="WEB_CONFIG_BYTES_MAX"):
        web_config.read(tmp_path / "big.yml")


def test_bombs_of_aliases_are_only_wrong(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x]"] + [
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)
    ]
    with pytest.raises(InvalidInput, match="a0"):
        read(tmp_path, "\n".join(lines))


def test_deep_nesting_is_only_wrong(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput):
        read(tmp_path, "a: " + "[" * 5000)


ODD = st.text("basic_auth_users: \n[]{}-&*!|>'\"%@#\t$2y", max_size=60)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ODD)
def test_any_text_is_read_or_refused(tmp_path: Path, text: str) -> None:
    try:
        assert isinstance(read(tmp_path, text), WebConfig)
    except InvalidInput as error:
        if "web.yml" not in str(error):
            raise AssertionError("it does not name the file") from error
