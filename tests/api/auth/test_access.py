"""api.auth.access: what stops a start, and what a change of the file does to a running server."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from api.auth.access import LINE_PORTS, Access
from api.exits import CommandFailed, Exit
from api.settings import load


def access(**settings: Any) -> Access:
    return Access(load(settings, environ={}))


@pytest.fixture
def file(tmp_path: Path, accounts: str) -> Path:
    path = tmp_path / "web.yml"
    path.write_text(accounts)
    return path


def test_an_open_server_does_not_start_by_accident(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "api.cli", "serve", "--host", "0.0.0.0", "--port", "0"]
    done = subprocess.run(
        [*command, "--data", str(tmp_path / "db")], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == Exit.CONFIG
    assert "--web-config FILE" in done.stderr.splitlines()[-1]
    assert not (tmp_path / "db").exists()


def test_the_network_needs_accounts_or_a_word(file: Path) -> None:
    with pytest.raises(CommandFailed, match="--web-config") as failed:
        access(host="0.0.0.0")
    assert failed.value.code is Exit.CONFIG
    assert "--allow-open-network" in str(failed.value)

    assert access(host="127.0.0.1").admits_anybody
    assert access(host="0.0.0.0", allow_open_network=True).admits_anybody
    guarded = access(host="0.0.0.0", web_config=file)
    assert not guarded.admits_anybody
    guarded.close()


@pytest.mark.parametrize("port", LINE_PORTS)
def test_ports_without_accounts_need_a_word_of_their_own(file: Path, port: str) -> None:
    network: dict[str, Any] = {"host": "0.0.0.0", "web_config": file, port: 0}
    with pytest.raises(CommandFailed, match=f"--{port.replace('_', '-')}"):
        access(**network)
    guarded = access(**network, allow_open_network=True)
    assert not guarded.admits_anybody
    guarded.close()
    assert access(**{port: 0}).admits_anybody, "this machine is trusted"


def test_tls_alone_keeps_nobody_out(certificates: Any, tmp_path: Path) -> None:
    certificates.issue("server")
    assert certificates.ca_file.exists()
    file = tmp_path / "tls.yml"
    file.write_text("tls_server_config: {cert_file: server.pem, key_file: server.key}")
    with pytest.raises(CommandFailed, match="--allow-open-network"):
        access(host="0.0.0.0", web_config=file)
    file.write_text(
        "tls_server_config: {cert_file: server.pem, key_file: server.key, client_ca_file: ca.pem,"
        " client_auth_type: RequireAndVerifyClientCert}"
    )
    assert access(host="0.0.0.0", web_config=file).scheme == "https"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("basic_auth_usres: {}", "line 1: unknown key 'basic_auth_usres'"),
        ("tls_server_config: {cert_file: no.pem, key_file: no.key}", "no.pem"),
        ("tls_server_config: {cert_file: web.yml, key_file: web.yml}", "web.yml"),
    ],
)
def test_a_wrong_file_stops_the_start(tmp_path: Path, text: str, reason: str) -> None:
    file = tmp_path / "web.yml"
    file.write_text(text)
    with pytest.raises(CommandFailed) as failed:
        access(web_config=file)
    assert failed.value.code is Exit.CONFIG
    assert reason in str(failed.value)


def test_a_key_with_a_passphrase_asks_nobody(certificates: Any, tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization as text

    certificates.issue("server")
    key = text.load_pem_private_key((tmp_path / "server.key").read_bytes(), None)
    locked = key.private_bytes(
        text.Encoding.PEM, text.PrivateFormat.PKCS8, text.BestAvailableEncryption(b"secret")
    )
    (tmp_path / "server.key").write_bytes(locked)
    (tmp_path / "web.yml").write_text(
        "tls_server_config: {cert_file: server.pem, key_file: server.key}"
    )
    with pytest.raises(CommandFailed, match="passphrase"):
        access(web_config=tmp_path / "web.yml")


def test_a_change_is_in_force_at_the_next_request(
    start_with: Any, accounts: str, keys: Any, tmp_path: Path, hash_of: Callable[[str], str]
) -> None:
    with start_with(accounts) as server:
        ben = keys.basic("ben", "look")
        assert server.get("/kv", **ben).status == 200
        file = tmp_path / "web.yml"
        file.write_text(f"basic_auth_users:\n  carl: {hash_of('new')}\n")
        assert server.server.access.refresh()
        assert server.get("/kv", **ben).status == 401
        assert server.get("/kv", **keys.bearer(keys.reader)).status == 401
        assert server.get("/kv", **keys.basic("carl", "new")).status == 200


@pytest.mark.parametrize("text", ["basic_auth_users: {anna: no-hash}", "a: [", "", None])
def test_a_broken_file_keeps_the_old_accounts(
    start_with: Any, accounts: str, keys: Any, tmp_path: Path, text: str | None
) -> None:
    with start_with(accounts) as server:
        file = tmp_path / "web.yml"
        if text is None:
            file.unlink()
        else:
            file.write_text(text)
        assert not server.server.access.refresh()
        assert not server.server.access.refresh(), "and it is looked at once"
        assert server.get("/kv", **keys.bearer(keys.reader)).status == 200
        assert server.get("/kv").status == 401
        file.write_text(accounts + "# again\n")
        assert server.server.access.refresh()


def test_headers_of_the_file_are_on_every_answer(start_with: Any) -> None:
    text = (
        "http_server_config:\n  headers:\n    X-Frame-Options: deny\n"
        "    X-Content-Type-Options: other\n"
    )
    with start_with(text) as server:
        answer = server.get("/kv")
        assert answer.headers["x-frame-options"] == "deny"
        assert answer.headers["x-content-type-options"] == "other"


def test_with_accounts_any_host_name_is_ours(guarded: Any, keys: Any) -> None:
    """A proxy passes the name it has; a strange page has no account."""
    headers = keys.bearer(keys.reader) | {"Host": "db.example"}
    assert guarded.get("/kv", **headers).status == 200
    crossing = keys.bearer(keys.writer) | {"Origin": "https://evil.example"}
    assert guarded("PUT", "/kv/x", [[1, 1]], **crossing).status == 403
