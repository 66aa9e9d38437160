"""Prometheus with a token, with a password and with a certificate, over TLS to a real server."""

from __future__ import annotations

import hashlib
import http.client
import json
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import bcrypt
import pytest
import trustme
from clients.binaries import need

WAIT_S = 90
READER, WRITER, PASSWORD = "sb_reader", "sb_writer", "a password"
CONFIGURATION = """
global: {{scrape_interval: 200ms}}
scrape_configs:
  - job_name: itself
    static_configs: [{{targets: ["127.0.0.1:{own_port}"]}}]
remote_write:
  - url: https://localhost:{port}/api/v1/write
    {login}
    tls_config:
      ca_file: {folder}/ca.pem
      cert_file: {folder}/client.pem
      key_file: {folder}/client.key
    queue_config: {{batch_send_deadline: 200ms}}
"""
LOGINS = {
    "token": f"authorization: {{credentials: {WRITER}}}",
    "password": f'basic_auth: {{username: prometheus, password: "{PASSWORD}"}}',
}


def write_files(folder: Path) -> None:
    """Certificates of both sides and the server's file of accounts."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    for name, host in (("server", "localhost"), ("client", "prometheus.example")):
        leaf = authority.issue_cert(host)
        leaf.private_key_pem.write_to_path(str(folder / f"{name}.key"))
        leaf.cert_chain_pems[0].write_to_path(str(folder / f"{name}.pem"))
    hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(10)).decode()
    digests = {token: hashlib.sha256(token.encode()).hexdigest() for token in (READER, WRITER)}
    (folder / "web.yml").write_text(
        "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n"
        "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.pem\n"
        "  client_allowed_sans: [prometheus.example]\n"
        f"basic_auth_users: {{prometheus: {hashed}}}\n"
        "basic_auth_scopes: {prometheus: [write]}\n"
        f'bearer_tokens:\n  reader: {{sha256: "{digests[READER]}", scopes: [read]}}\n'
        f'  writer: {{sha256: "{digests[WRITER]}", scopes: [write]}}\n'
    )


@contextmanager
def serving(folder: Path) -> Iterator[int]:
    """`silverback serve` with these accounts; its port."""
    port_file = folder / "port"
    command = [sys.executable, "-m", "api.cli", "serve", "--data", str(folder / "db")]
    command += ["--port", "0", "--port-file", str(port_file), "--web-config", "web.yml"]
    environment = {"PYTHONPATH": str(Path.cwd()), "PATH": "/usr/bin:/bin", "HOME": str(Path.home())}
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + WAIT_S
        while not port_file.exists():
            assert process.poll() is None, (folder / "server.log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield int(port_file.read_text())
    finally:
        process.terminate()
        assert process.wait(60) == 0


def up_series(folder: Path, port: int) -> list[dict[str, Any]]:
    context = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    context.load_cert_chain(folder / "client.pem", folder / "client.key")
    wire = http.client.HTTPSConnection("localhost", port, context=context, timeout=30)
    wire.request("GET", "/api/v1/export?match[]=up", headers={"Authorization": f"Bearer {READER}"})
    answer = wire.getresponse()
    lines = answer.read().splitlines()
    wire.close()
    assert answer.status in (200, 503), lines
    return [json.loads(line) for line in lines] if answer.status == 200 else []


@pytest.mark.slow
@pytest.mark.parametrize("login", sorted(LOGINS))
def test_prometheus_writes_with_an_account(tmp_path: Path, login: str) -> None:
    program = need("prometheus")
    write_files(tmp_path)
    with serving(tmp_path) as port:
        text = CONFIGURATION.format(port=port, own_port=1, folder=tmp_path, login=LOGINS[login])
        (tmp_path / "prometheus.yml").write_text(text)
        command = [program, f"--config.file={tmp_path}/prometheus.yml"]
        command += [
            f"--storage.tsdb.path={tmp_path}/prometheus",
            "--web.listen-address=127.0.0.1:0",
        ]
        with (tmp_path / "prometheus.log").open("wb") as log:
            sender = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            deadline, found = time.monotonic() + WAIT_S, up_series(tmp_path, port)
            while not found and time.monotonic() < deadline:
                time.sleep(0.1)
                found = up_series(tmp_path, port)
        finally:
            sender.terminate()
            sender.wait(30)
    said = (tmp_path / "prometheus.log").read_text()
    assert found, said[-2000:] + (tmp_path / "server.log").read_text()[-2000:]
    assert found[0]["metric"]["job"] == "itself"
    assert "401" not in said
