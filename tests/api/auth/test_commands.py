"""The command line against a server with accounts and TLS, and the tokens it makes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from api import cli, login
from api.auth import web_config
from api.auth.accounts import token_digest
from api.auth.scope_names import READ, WRITE
from api.exits import CommandFailed, Exit
from api.login import Login
from api.remote import Remote


def run(capsys: Any, *arguments: str) -> tuple[int, str, str]:
    code = cli.run(list(arguments))
    told = capsys.readouterr()
    return code, told.out, told.err


def test_a_token_of_the_command_is_one_of_the_file(tmp_path: Path, capsys: Any) -> None:
    code, out, _ = run(capsys, "token", 'agent "7"', "--scope", "read", "-s", "write")
    assert code == 0
    made = out.splitlines()[0].removeprefix("# ")
    file = tmp_path / "web.yml"
    file.write_text(out)
    found = web_config.read(file).tokens[token_digest(made.encode())]
    assert (found.name, found.scopes) == ('agent "7"', READ | WRITE)
    assert made.startswith("sb_")
    assert len(made) > 40


def test_tokens_differ_and_json_has_all(capsys: Any) -> None:
    made = {json.loads(run(capsys, "token", "a", "-s", "read", "--json")[1])["token"] for _ in "ab"}
    assert len(made) == 2


@pytest.mark.parametrize("arguments", [["a"], ["a", "-s", "raed"], ["", "-s", "read"]])
def test_a_wrong_order_for_a_token_is_told(capsys: Any, arguments: list[str]) -> None:
    code, out, err = run(capsys, "token", *arguments)
    assert (code, out) == (Exit.USAGE, "")
    assert err


@pytest.fixture
def secured(certificates: Any, start_with: Any, accounts: str, monkeypatch: Any) -> Any:
    for name in ("SILVERBACK_TOKEN", "SILVERBACK_USER", "SILVERBACK_CA_FILE"):
        monkeypatch.delenv(name, raising=False)
    certificates.issue("server")
    assert certificates.ca_file.exists()
    text = "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n"
    with start_with(text + accounts) as server:
        yield server


def test_import_and_query_over_tls_with_a_login(
    secured: Any, certificates: Any, keys: Any, tmp_path: Path, capsys: Any, monkeypatch: Any
) -> None:
    file = tmp_path / "rooms.csv"
    file.write_text("timestamp,value\n2026-01-31T12:00:00Z,20.5\n")
    url = ["--url", f"https://localhost:{secured.port}"]
    ca = ["--ca-file", str(certificates.ca_file)]

    code, _, err = run(capsys, "import", str(file), *url)
    assert code == Exit.UNAVAILABLE
    assert "--ca-file" in err
    code, _, err = run(capsys, "import", str(file), *url, *ca)
    assert code == Exit.NO_PERMISSION
    assert "--token" in err
    assert run(capsys, "import", str(file), *url, *ca, "--user", "anna:all")[0] == 0

    monkeypatch.setenv("SILVERBACK_TOKEN", keys.reader)
    monkeypatch.setenv("SILVERBACK_CA_FILE", str(certificates.ca_file))
    code, out, _ = run(capsys, "query", "rooms", *url, "--csv")
    assert code == 0
    assert "20.5" in out
    code, _, err = run(capsys, "snapshot", *url)
    assert code == Exit.NO_PERMISSION
    assert "admin" in err
    assert run(capsys, "snapshot", *url, "--token", keys.admin)[0] == 0


def test_options_win_over_the_environment_as_a_whole(monkeypatch: Any) -> None:
    monkeypatch.setenv("SILVERBACK_USER", "anna:all")
    monkeypatch.setenv("SILVERBACK_CA_FILE", "ca.pem")
    assert login.chosen() == Login(user="anna:all", ca_file="ca.pem")
    with login.as_chosen("t", "", ""):
        assert login.chosen() == Login(token="t", ca_file="ca.pem")
    assert login.chosen().user == "anna:all"


@pytest.mark.parametrize(
    "given", [{"token": "a", "user": "b:c"}, {"user": "b"}, {"token": "a\nb"}, {"user": "a:b\r"}]
)
def test_a_wrong_login_is_told(given: dict[str, str]) -> None:
    with pytest.raises(CommandFailed) as failed:
        Login(**given)
    assert failed.value.code is Exit.USAGE


def test_a_ca_file_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("")
    for name, code in (("gone.pem", Exit.NO_INPUT), ("empty.pem", Exit.CONFIG)):
        with pytest.raises(CommandFailed, match=name) as failed:
            Remote("https://localhost", login=Login(ca_file=str(tmp_path / name)))
        assert failed.value.code is code
