"""replication.nats.config: what the server is told, and what it makes of it."""

from __future__ import annotations

import json
from pathlib import Path

from replication.nats.config import Passwords, ServerPlace, render
from replication.settings import Address

PLACE = ServerPlace(
    cluster="demo",
    node="n1",
    directory=Path("/data/nats"),
    routes=Address("10.0.0.1", 9401),
    others=(Address("10.0.0.2", 9401), Address("::1", 9402)),
)


def test_what_is_acked_is_fsynced_and_lies_where_it_was_told():
    told = json.loads(render(PLACE, Passwords()))

    assert told["jetstream"]["sync_interval"] == "always"
    assert told["jetstream"]["store_dir"] == "/data/nats/store"
    assert told["server_name"] == "n1"
    assert told["listen"] == "127.0.0.1:-1"


def test_routes_name_the_others_and_this_node():
    told = json.loads(render(PLACE, Passwords()))["cluster"]

    assert told["listen"] == "10.0.0.1:9401"
    assert told["routes"] == ["nats-route://10.0.0.2:9401", "nats-route://[::1]:9402"]
    assert "tls" not in told


def test_a_node_alone_has_no_routes():
    assert "cluster" not in json.loads(
        render(ServerPlace("demo", "n1", Path("/d"), None), Passwords())
    )


def test_with_certificates_routes_are_verified():
    tls = {name: Path(f"/{name}.pem") for name in ("ca", "certificate", "key")}
    place = ServerPlace("demo", "n1", Path("/d"), PLACE.routes, PLACE.others, **tls)

    told = json.loads(render(place, Passwords()))["cluster"]["tls"]
    assert told["verify"] is True
    assert (told["ca_file"], told["cert_file"], told["key_file"]) == (
        "/ca.pem",
        "/certificate.pem",
        "/key.pem",
    )


def test_nobody_comes_in_without_password_or_key():
    first, second = Passwords(), Passwords()
    assert first.account != second.account

    told = json.loads(render(PLACE, first))
    users = [user for account in told["accounts"].values() for user in account["users"]]
    assert {user["password"] for user in users} == {first.account, first.system}

    told = json.loads(render(PLACE, first, "UABC"))
    assert told["accounts"]["silverback"]["users"] == [{"nkey": "UABC"}]
