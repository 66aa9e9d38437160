"""replication.nats.connection: who gets in, over what, and what is left when it closes."""

from __future__ import annotations

import asyncio
import dataclasses
import os
from pathlib import Path

import nkeys
import pytest
import trustme
from nats.aio.client import Client
from nats.errors import Error as NatsError

from replication.nats.connection import Nats
from tsdb.errors import InvalidInput, Unavailable


def seed_file(path: Path) -> Path:
    path.write_bytes(nkeys.encode_seed(os.urandom(32), nkeys.PREFIX_BYTE_USER))
    return path


async def no_errors(_: Exception) -> None:
    pass


async def is_refused(url: str, **credentials) -> bool:
    client = Client()
    try:
        await client.connect(url, allow_reconnect=False, error_cb=no_errors, **credentials)
    except NatsError:
        return True
    finally:
        await client.close()
    return False


def test_strangers_are_refused(servers):
    url = servers.nodes[0].child.url

    assert servers.run(is_refused(url))
    assert servers.run(is_refused(url, user="silverback", password="guess"))
    own = servers.nodes[0].child.passwords.account
    assert not servers.run(is_refused(url, user="silverback", password=own))


def secured(settings, ca, folder):
    """The same node with certificates of `ca` and an nkey."""
    certificate = ca.issue_cert("127.0.0.1")
    ca.cert_pem.write_to_path(folder / "ca.pem")
    certificate.cert_chain_pems[0].write_to_path(folder / f"{settings.node}.pem")
    certificate.private_key_pem.write_to_path(folder / f"{settings.node}.key")
    nats = dataclasses.replace(
        settings.nats,
        ca=folder / "ca.pem",
        certificate=folder / f"{settings.node}.pem",
        key=folder / f"{settings.node}.key",
        seed=seed_file(folder / f"{settings.node}.seed"),
    )
    return dataclasses.replace(settings, nats=nats)


def test_nodes_with_certificates_and_keys_make_a_cluster_that_others_cannot_join(
    make_settings, tmp_path
):
    settings = make_settings("secure", 3, replicas=2)
    trusted, other = trustme.CA(), trustme.CA()
    for name in "ab":
        (tmp_path / name).mkdir()

    async def live():
        nodes = [
            await Nats.open(secured(one, trusted, tmp_path / "a"), tmp_path / one.node)
            for one in settings[:2]
        ]
        await nodes[0].ready()
        log = await nodes[0].create_log(0, 1)
        assert await log.append(b"1", "s:1", timeout_s=20) == 1
        refused = await is_refused(nodes[0].child.url, user="silverback", password="guess")

        stranger = await Nats.open(
            secured(settings[2], other, tmp_path / "b"), tmp_path / settings[2].node
        )
        with pytest.raises(Unavailable) as caught:
            await stranger.ready(2)
        for node in (*nodes, stranger):
            await node.close()
        return refused, caught.value.code

    assert asyncio.run(live()) == (True, "starting")


def test_an_operators_own_server_is_used_and_left_running(make_settings, tmp_path, monkeypatch):
    (settings,) = make_settings("own", 1, replicas=1)

    async def live():
        own = await Nats.open(settings, tmp_path)
        url = own.child.url.replace("//", f"//silverback:{own.child.passwords.account}@")
        nats = dataclasses.replace(settings.nats, routes=None, urls=(url,))
        guest = await Nats.open(dataclasses.replace(settings, nats=nats), tmp_path / "guest")
        await guest.ready()
        log = await guest.create_log(0, 1)
        assert await log.append(b"1", "s:1", timeout_s=10) == 1
        with pytest.raises(InvalidInput, match="operator"):
            await guest.system()
        monkeypatch.setattr("replication.nats.connection.VERSION_MIN", (99, 0, 0))
        with pytest.raises(InvalidInput, match=r"needs 99\.0\.0 or later") as caught:
            await Nats.open(guest.settings, tmp_path / "guest")
        assert own.child.passwords.account not in str(caught.value)
        await guest.close()
        assert (await own.log(0, 1).state()).last_seq == 1
        await own.close()

    asyncio.run(live())
    assert not (tmp_path / "guest").exists()


def test_nobody_there_is_said(make_settings, tmp_path, monkeypatch):
    monkeypatch.setattr("replication.nats.connection._CONNECT_S", 0.3)
    (settings,) = make_settings("none", 1, replicas=1)
    nats = dataclasses.replace(settings.nats, routes=None, urls=("nats://127.0.0.1:1",))

    with pytest.raises(Unavailable) as caught:
        asyncio.run(Nats.open(dataclasses.replace(settings, nats=nats), tmp_path))
    assert caught.value.code == "starting"


def test_what_is_no_seed_is_said(make_settings, tmp_path):
    (settings,) = make_settings("none", 1, replicas=1)
    for content in (b"hello", nkeys.encode_seed(os.urandom(32), nkeys.PREFIX_BYTE_ACCOUNT)):
        (tmp_path / "seed").write_bytes(content)
        nats = dataclasses.replace(settings.nats, seed=tmp_path / "seed")
        with pytest.raises(InvalidInput, match=r"nats\.seed"):
            asyncio.run(Nats.open(dataclasses.replace(settings, nats=nats), tmp_path))


def test_a_closed_connection_says_so(make_settings, tmp_path):
    (settings,) = make_settings("closed", 1, replicas=1)

    async def live():
        nats = await Nats.open(settings, tmp_path)
        await nats.ready()
        log = await nats.create_log(0, 1)
        reading = asyncio.create_task(anext(log.tail(1)))
        await asyncio.sleep(0.1)
        await nats.close()
        for step in (log.append(b"1", "s:1", timeout_s=5), log.state(), reading):
            with pytest.raises(Unavailable) as caught:
                await asyncio.wait_for(step, 10)
            assert caught.value.code == "closed"
        return nats.child.pid

    pid = asyncio.run(live())
    assert not Path(f"/proc/{pid}").exists()
