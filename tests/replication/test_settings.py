"""replication.settings: what is written is read back; every refusal names file, key and rule."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replication.settings import REPLICAS, SHARDS_MAX, Address, ClusterSettings, NatsSettings, Peer
from tsdb.errors import InvalidInput

FILE = """
cluster = "demo"
node = "node-2"
shards = 8
replicas = 3
http = "127.0.0.1:9302"
[nats]
routes = "127.0.0.1:9402"
[[peers]]
node = "node-1"
http = "127.0.0.1:9301"
routes = "127.0.0.1:9401"
[[peers]]
node = "node-2"
http = "127.0.0.1:9302"
routes = "127.0.0.1:9402"
[[peers]]
node = "node-3"
http = "127.0.0.1:9303"
routes = "127.0.0.1:9403"
"""


def read(folder: Path, text: str) -> ClusterSettings:
    path = folder / "cluster.toml"
    path.write_text(text)
    return ClusterSettings.read(path)


def test_a_file_is_read(tmp_path: Path) -> None:
    found = read(tmp_path, FILE)

    assert (found.cluster, found.node, found.shards, found.replicas) == ("demo", "node-2", 8, 3)
    assert found.http == Address("127.0.0.1", 9302)
    assert found.nats == NatsSettings(routes=Address("127.0.0.1", 9402))
    assert [peer.node for peer in found.peers] == ["node-1", "node-2", "node-3"]
    assert found.peer("node-3").routes == Address("127.0.0.1", 9403)


def test_shards_and_copies_have_defaults(tmp_path: Path) -> None:
    found = read(tmp_path, FILE.replace("shards = 8\nreplicas = 3\n", ""))

    assert (found.shards, found.replicas) == (16, 3)


NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}", fullmatch=True)
HOSTS = st.sampled_from(["127.0.0.1", "::1", "fe80::1%eth0", "db-7.example.org", "localhost"])


@st.composite
def clusters(draw: st.DrawFn) -> ClusterSettings:
    names = draw(st.lists(NAMES, min_size=1, max_size=7, unique=True))
    host, first = draw(HOSTS), draw(st.integers(1, 60_000))
    urls = draw(st.sampled_from([(), ("nats://10.0.0.1:4222",), ("tls://a:1", "nats://b:2")]))
    peers = [
        Peer(name, Address(host, first + i), None if urls else Address(host, first + 100 + i))
        for i, name in enumerate(names)
    ]
    this = draw(st.sampled_from(peers))
    binary = "" if urls else draw(st.sampled_from(["", '/opt/nats "2.15"\\server']))
    return ClusterSettings(
        path=Path("cluster.toml"),
        cluster=draw(NAMES),
        node=this.node,
        http=this.http,
        nats=NatsSettings(routes=this.routes, binary=binary, urls=urls),
        peers=tuple(sorted(peers, key=lambda peer: peer.node)),
        shards=draw(st.integers(1, SHARDS_MAX)),
        replicas=draw(st.sampled_from([n for n in REPLICAS if n <= len(names)])),
    )


@given(made=clusters())
def test_what_is_written_is_read_back(
    made: ClusterSettings, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "cluster.toml"
    path.write_text(made.text())

    found = ClusterSettings.read(path)

    assert found == ClusterSettings(
        path, made.cluster, made.node, made.http, made.nats, made.peers, made.shards, made.replicas
    )


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("shards = 8", "shards = 0", ["shards is 1 to 256", "it is 0"]),
        ("shards = 8", "shards = 257", ["shards", "257"]),
        ("shards = 8", "shards = true", ["shards is a whole number", "True"]),
        ("shards = 8", 'shards = "8"', ["shards is a whole number", "'8'"]),
        ("replicas = 3", "replicas = 2", ["replicas is one of 1, 3, 5", "it is 2"]),
        ("replicas = 3", "replicas = 5", ["replicas is at most the number of peers, 3"]),
        ("replicas = 3", "replica = 3", ["replica is unknown", "did you mean replicas?"]),
        ('cluster = "demo"', "", ["cluster is a name", "it is not there"]),
        ('cluster = "demo"', 'cluster = "a.b"', ["cluster is a name", "'a.b'", "63 letters"]),
        ('cluster = "demo"', "cluster = 7", ["cluster is one line of text", "it is 7"]),
        ('node = "node-2"\nsh', 'node = "node-9"\nsh', ["node is one of the peers", "node-3"]),
        (':9302"\n[', ':9309"\n[', ["http is what peers says of this node, 127.0.0.1:9302"]),
        (':9302"\n[', '"\n[', ["http is host:port", '"[::1]:9301"']),
        (':9302"\n[', ':0"\n[', ["http ends with a port of 1 to 65535"]),
        (':9302"\n[', ':٣"\n[', ["http ends with a port of 1 to 65535"]),
        ('"127.0.0.1:9302"\n[', '"::1:9302"\n[', ["http is host:port"]),
        ('"127.0.0.1:9302"\n[', '":9302"\n[', ["http is host:port"]),
        ("[nats]", "[nats]\nroute = 1", ["nats.route is unknown", "did you mean routes?"]),
        ('routes = "127.0.0.1:9402"\n[', "[", ["nats.routes is host:port", "it is not there"]),
        (':9402"\n[', ':9499"\n[', ["nats.routes is what peers says of this node"]),
        (':9402"\n[', ':9402"\nca = "ca.pem"\n[', ["nats.certificate belongs to the others"]),
        (':9402"\n[', ':9402"\nseed = "no.nk"\n[', ["nats.seed is a file, but", "no.nk is none"]),
        ('"node-3"', '"node-1"', ["peers[3].node is that of peers[1].node already"]),
        (":9303", ":9301", ["peers[3].http is that of peers[1].http already"]),
        (":9403", ":9301", ["peers[3].routes is that of peers[1].http already"]),
        ("[nats]", 'nats = "x"\n[x]', ["x is unknown"]),
        (FILE[FILE.index("[[peers]]") :], "", ["peers are 1 to 1000 tables", "there are 0"]),
        ("shards = 8", "shards = ", ["Invalid value", "line 4"]),
    ],
)  # fmt: skip
def test_a_wrong_file_is_refused(tmp_path: Path, old: str, new: str, words: list[str]) -> None:
    assert old in FILE

    with pytest.raises(InvalidInput) as raised:
        read(tmp_path, FILE.replace(old, new, 1) if old != "[nats]" else FILE.replace(old, new))

    told = str(raised.value)
    assert told.startswith(f"cluster file {tmp_path / 'cluster.toml'}: ")
    assert all(word in told for word in words), told


def test_an_operators_own_server_has_no_routes_here(tmp_path: Path) -> None:
    own = re.sub(r"routes = .*\n", "", FILE).replace("[nats]", '[nats]\nurl = "nats://n:4222"')

    assert read(tmp_path, own).nats == NatsSettings(urls=("nats://n:4222",))
    with pytest.raises(InvalidInput, match=r"nats\.url is .*it is 'http://n'"):
        read(tmp_path, own.replace("nats://n:4222", "http://n"))
    with pytest.raises(InvalidInput, match=r"nats\.routes is of a server that this node starts"):
        read(tmp_path, FILE.replace("[nats]", '[nats]\nurl = "nats://n:4222"'))
    with pytest.raises(InvalidInput, match=r"peers\[1\]\.routes is of a server"):
        read(tmp_path, own.replace('node = "node-1"', 'node = "node-1"\nroutes = "a:1"'))


def test_files_are_meant_from_the_folder_of_the_file(tmp_path: Path) -> None:
    for name in ("ca.pem", "node.pem", "node.key", "node.nk"):
        (tmp_path / name).write_text("")
    keys = 'ca = "ca.pem"\ncertificate = "node.pem"\nkey = "./node.key"\nseed = "node.nk"\n'

    found = read(tmp_path, FILE.replace("[nats]\n", f"[nats]\n{keys}")).nats

    assert (found.ca, found.certificate) == (tmp_path / "ca.pem", tmp_path / "node.pem")
    assert (found.key, found.seed) == (tmp_path / "node.key", tmp_path / "node.nk")


@pytest.mark.parametrize("content", [None, b"\xff"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "cluster.toml"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(InvalidInput, match=re.escape(f"cluster file {path}: ")):
        ClusterSettings.read(path)
