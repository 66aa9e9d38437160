"""api.listeners over real sockets: every whole line that was read is in the database."""

from __future__ import annotations

import itertools
import pickle
import re
import socket
import struct
import time
from typing import Any

import numpy as np
import pytest

from api.exits import CommandFailed
from api.listeners.framing import LineFraming
from api.server import Server
from api.settings import load
from tsdb import limits
from tsdb.errors import Unavailable

WAIT_S = 30
T = 1_700_000_000


@pytest.fixture(scope="module")
def listening(serve: Any, tmp_path_factory: Any) -> Any:
    folder = tmp_path_factory.mktemp("listening")
    ports = dict.fromkeys(("graphite_port", "graphite_pickle_port", "opentsdb_port"), 0)
    with serve(folder / "db", **ports) as server:
        yield server


def connect(server: Any, name: str = "graphite") -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.server.listeners.port(name)), WAIT_S)


def counts(server: Any, name: str = "graphite") -> Any:
    return server.server.node.intakes[name].counts


def check_soon(what: Any, seconds: float = WAIT_S) -> None:
    deadline = time.monotonic() + seconds
    for pause in itertools.chain([0.001] * 50, itertools.repeat(0.02)):
        if what():
            return
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(pause)


def values(server: Any, selector: str) -> list[float]:
    found: list[float] = server.database.select(selector).columns().values.tolist()
    return found


def send(server: Any, data: bytes, name: str = "graphite") -> bytes:
    """All of it over one connection, then what is answered until the server hangs up."""
    with connect(server, name) as sock:
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := sock.recv(1 << 16):
            answer += piece
        return answer


# --- Graphite over TCP --------------------------------------------------------------------------


def test_lines_are_series(listening: Any) -> None:
    send(listening, b"servers.web-01.cpu 1.5 %d\r\nservers.web-01.cpu;dc=fra  2\t%d\n" % (T, T))

    assert values(listening, '{"servers.web-01.cpu",dc=""}') == [1.5]
    assert values(listening, '{"servers.web-01.cpu",dc="fra"}') == [2.0]


def test_a_line_may_be_cut_anywhere(listening: Any) -> None:
    with connect(listening) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for i in b"cut.up;a=b 7 %d\ncut.up;a=c 8 %d\n" % (T, T):
            sock.send(bytes([i]))
        check_soon(lambda: sorted(values(listening, '{"cut.up"}')) == [7.0, 8.0])


def test_lines_of_a_connection_stay_in_order(listening: Any) -> None:
    """The last one wins: the same time is written over and over."""
    body = b"".join(b"ordered %d %d\n" % (i, T) for i in range(20_000))
    with connect(listening) as sock:
        for at in range(0, len(body), 7_001):
            sock.sendall(body[at : at + 7_001])
    check_soon(lambda: values(listening, "ordered") == [19_999.0])


def test_nan_is_dropped_and_counted_and_minus_one_is_now(listening: Any) -> None:
    before = counts(listening).nan_total
    send(listening, b"nans nan %d\nnans NaN -1\nnans 4 -1\n" % T)

    assert counts(listening).nan_total == before + 2
    selected = listening.database.select("nans").columns()
    assert selected.values.tolist() == [4.0]
    assert abs(selected.timestamps[0] / 1000 - time.time()) < 60


def test_a_wrong_line_costs_itself_and_is_counted(listening: Any) -> None:
    before = counts(listening).refused_total
    send(
        listening,
        b"wrong.a 1 %d\nwrong.b 1\nwrong.c x %d\nwrong.d 1 soon\n\xff\xfe 1 %d\nwrong.e 5 %d\n"
        b"wrong.f 1 %d\n" % (T, T, T, T, T * 1000),
    )

    assert counts(listening).refused_total == before + 5
    assert values(listening, '{__name__=~"wrong.*"}') == [1.0, 5.0]


def test_a_block_of_nothing_good_is_counted_line_by_line(listening: Any) -> None:
    before = counts(listening).refused_total
    send(listening, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")

    assert counts(listening).refused_total == before + 2


def test_a_line_without_its_end_is_not_written(listening: Any) -> None:
    """`17` may be what is left of 1700000000."""
    before = counts(listening).refused_total
    send(listening, b"endless 1 %d\nendless 2 17" % T)

    assert values(listening, "endless") == [1.0]
    assert counts(listening).refused_total == before + 1


def test_a_line_longer_than_any_costs_itself(listening: Any) -> None:
    before = counts(listening).refused_total
    long = b"x" * (limits.LISTENER_LINE_BYTES_MAX * 5)
    with connect(listening) as sock:
        sock.sendall(b"long.before 1 %d\n" % T)
        sock.sendall(long)
        sock.sendall(long + b" 1 %d\nlong.after 2 %d\n" % (T, T))
        check_soon(lambda: values(listening, '{__name__=~"long.*"}') == [2.0, 1.0])
    check_soon(lambda: counts(listening).refused_total == before + 1)


def test_connections_come_and_go(listening: Any) -> None:
    socks = [connect(listening) for _ in range(20)]
    for i, sock in enumerate(socks):
        sock.sendall(b"many;i=%d %d %d\n" % (i, i, T))
    check_soon(lambda: len(values(listening, "many")) == 20)
    for sock in socks:
        sock.close()
    check_soon(lambda: counts(listening).connections == 0)


def test_a_peer_that_resets_leaves_its_lines_behind(listening: Any) -> None:
    sock = connect(listening)
    sock.sendall(b"reset 1 %d\n" % T)
    check_soon(lambda: values(listening, "reset") == [1.0])
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    sock.close()
    check_soon(lambda: counts(listening).connections == 0)


def test_connections_past_the_bound_are_cut(serve: Any, tmp_path: Any) -> None:
    with serve(tmp_path / "db", graphite_port=0, connections_max=2) as server:
        socks = [connect(server) for _ in range(2)]
        check_soon(lambda: counts(server).connections == 2)
        with connect(server) as third:
            assert third.recv(1) == b""
        assert counts(server).connections_refused_total == 1
        for sock in socks:
            sock.close()


def test_idle_connections_are_cut(listening: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LISTENER_IDLE_S", 0.05)
    with connect(listening) as sock:
        assert sock.recv(1) == b""


# --- when the database cannot take it -------------------------------------------------------------


def test_a_full_queue_stops_the_sender_and_loses_nothing(
    serve: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel's buffers and ours are bounded; what is refused for now comes again, in order."""
    monkeypatch.setattr(limits, "LISTENER_PENDING_BYTES_MAX", 100_000)
    with serve(tmp_path / "db", graphite_port=0) as server:
        node = server.server.node
        free = node.ingest.write
        refusing = True
        refused = 0

        async def write(*arguments: Any) -> Any:
            nonlocal refused
            if refusing:
                refused += 1
                raise Unavailable("full", code="busy")
            return await free(*arguments)

        monkeypatch.setattr(node.ingest, "write", write)
        body = b"".join(b"full 1 %d\n" % (T + i) for i in range(2_000_000))
        with connect(server) as sock:
            sock.settimeout(0.5)
            sent = 0
            with pytest.raises(TimeoutError):
                while sent < len(body):
                    sent += sock.send(body[sent : sent + 65_536])
            assert refused > 1
            assert node.intakes["graphite"].pending_bytes < 1_000_000
            refusing = False
            sock.settimeout(WAIT_S)
            sock.sendall(body[sent : len(body) // 2 // 17 * 17 + sent % 17])
        check_soon(lambda: counts(server).connections == 0)
        assert counts(server).lost_total == 0
        stamps = server.database.select("full").columns().timestamps
        assert (np.diff(stamps) == 1000).all()
        assert stamps.size == counts(server).points_total > sent // 20


def test_what_was_read_is_written_before_the_server_ends(start: Any, tmp_path: Any) -> None:
    server = start(tmp_path / "db", graphite_port=0)
    lines = 50_000
    with connect(server) as sock:
        sock.sendall(b"".join(b"graceful 1 %d\n" % (T + i) for i in range(lines)))
        check_soon(
            lambda: counts(server).received_bytes_total == lines * len(b"graceful 1 %d\n" % T)
        )
        assert server.stop() == 0
    again = start(tmp_path / "db")
    try:
        assert len(values(again, "graceful")) == lines
    finally:
        again.stop()


def test_a_stop_waits_only_so_long_and_counts_what_is_lost(
    start: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = start(tmp_path / "db", graphite_port=0, shutdown_timeout_s=0.1)

    async def write(*arguments: Any) -> Any:
        raise Unavailable("full", code="busy")

    monkeypatch.setattr(server.server.node.ingest, "write", write)
    body = b"never 1 1\n" * 3
    with connect(server) as sock:
        sock.sendall(body)
        check_soon(lambda: counts(server).received_bytes_total == len(body))
        assert server.stop() == 0
    assert counts(server).lost_total == 3


def test_lines_that_come_before_the_database_is_open_wait_for_it(
    listening: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = listening.server.node
    opened = node.database
    answers = iter([Unavailable("not yet", code="starting")] * 3)

    def database() -> Any:
        error = next(answers, None)
        if error is not None:
            raise error
        return opened()

    monkeypatch.setattr(node, "database", database)
    send(listening, b"early 1 %d\n" % T)
    monkeypatch.undo()

    assert values(listening, "early") == [1.0]


# --- Graphite over UDP --------------------------------------------------------------------------


def test_datagrams_of_several_lines(listening: Any) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        port = listening.server.listeners.port("graphite")
        for i in range(50):
            lines = [b"udp.%d;i=%d %d %d" % (j, i, i, T) for j in range(3)]
            sock.sendto(b"\n".join(lines) + b"\n" * (i % 2), ("127.0.0.1", port))
    check_soon(lambda: len(values(listening, '{__name__=~"udp.*"}')) == 150)


def test_datagrams_past_the_bound_are_counted(
    listening: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = counts(listening).lost_total
    monkeypatch.setattr(limits, "LISTENER_DATAGRAM_BYTES_MAX", 10)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        port = listening.server.listeners.port("graphite")
        sock.sendto(b"lost 1 %d\nlost 2 %d" % (T, T), ("127.0.0.1", port))
        check_soon(lambda: counts(listening).lost_total == before + 2)


# --- Graphite's pickles ---------------------------------------------------------------------------


def pickled(*points: Any) -> bytes:
    data = pickle.dumps(list(points), 2)
    return struct.pack(">I", len(data)) + data


def test_pickles_cut_anywhere(listening: Any) -> None:
    body = b"".join(
        pickled(*[(f"pickled;m={m};i={i}", (T, float(i))) for i in range(50)]) for m in range(3)
    )
    with connect(listening, "graphite_pickle") as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(0, len(body), 997):
            sock.sendall(body[at : at + 997])
        expected = sorted([float(i) for i in range(50)] * 3)
        check_soon(lambda: sorted(values(listening, "pickled")) == expected)


def test_a_pickle_that_is_code_is_refused_and_the_next_is_read(listening: Any) -> None:
    before = counts(listening, "graphite_pickle").refused_total
    code = pickle.dumps(socket.socket)
    body = struct.pack(">I", len(code)) + code + pickled(("after.code", (T, 1)))
    send(listening, body, "graphite_pickle")

    assert values(listening, '{"after.code"}') == [1.0]
    assert counts(listening, "graphite_pickle").refused_total == before + 1


def test_lines_on_the_port_of_pickles_end_the_connection(listening: Any) -> None:
    before = counts(listening, "graphite_pickle").refused_total
    with connect(listening, "graphite_pickle") as sock:
        sock.sendall(pickled(("before.lines", (T, 1))) + b"a.b 1 %d\n" % T)
        assert sock.recv(1) == b""
    assert values(listening, '{"before.lines"}') == [1.0]
    assert counts(listening, "graphite_pickle").refused_total == before + 1


# --- OpenTSDB -----------------------------------------------------------------------------------


def test_put_lines_as_collectd_sends_them(listening: Any) -> None:
    body = b"put tsdb.cpu %d 1.5  host=a  type=user \r\nput tsdb.cpu %d123 2 host=a type=user\r\n"
    assert send(listening, body % (T, T), "opentsdb") == b""

    found = listening.database.select('{"tsdb.cpu",host="a",type="user"}').columns()
    assert found.timestamps.tolist() == [T * 1000, T * 1000 + 123]
    assert found.values.tolist() == [1.5, 2.0]


def test_wrong_puts_are_answered(listening: Any) -> None:
    answer = send(
        listening,
        b"put tsdb.bad 1700000000\nput tsdb.good %d 1 a=b\nput tsdb.bad %d 1 a\nrollup x\n"
        b"put tsdb.bad %d high a=b\n" % (T, T, T),
        "opentsdb",
    ).decode()

    assert re.findall(r'put: .*, in "(.*)"', answer) == [
        f"put tsdb.bad {T}",
        "rollup x",
        f"put tsdb.bad {T} high a=b",
    ]
    assert 'put: invalid tag: "a"' in answer
    assert answer.count("\n") == 4
    assert values(listening, '{"tsdb.good"}') == [1.0]


def test_commands(listening: Any) -> None:
    answer = send(listening, b"version\nput x 1 1 a=b\nhelp\nstats\n", "opentsdb").decode()

    assert answer.startswith("net.opentsdb.tools 2.4.0")
    assert "available commands: put version" in answer
    assert "stats: not available" in answer


def test_exit_hangs_up(listening: Any) -> None:
    with connect(listening, "opentsdb") as sock:
        sock.sendall(b"put exits %d 1 a=b\nexit\n" % T)
        assert sock.recv(1) == b""
    assert values(listening, "exits") == [1.0]


def test_a_sender_that_never_reads_costs_no_memory(listening: Any) -> None:
    """collectd is one: complaints are dropped, points are not."""
    line = b"put never.reads %d x a=b %s\n" % (T, b"y" * 60)
    address = ("127.0.0.1", listening.server.listeners.port("opentsdb"))
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        sock.connect(address)
        check_soon(lambda: counts(listening, "opentsdb").connections == 1)
        narrow(listening)
        check_soon(lambda: _complained(listening, sock, line))
        sock.sendall(b"put never.reads %d 5 a=b\n" % T)
        check_soon(lambda: values(listening, '{"never.reads"}') == [5.0])


def narrow(server: Any) -> None:
    """Let the system buffer as little as it can of what is said."""
    port = server.server.listeners.ports["opentsdb"]
    for stream in port.streams.open:
        sock = stream.transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2048)


def _complained(server: Any, sock: socket.socket, line: bytes) -> bool:
    sock.sendall(line * 500)
    return counts(server, "opentsdb").answers_unread_total > 0


# --- beside ---------------------------------------------------------------------------------------


def test_counts_are_metrics(listening: Any) -> None:
    send(listening, b"counted 1 %d\n" % T)
    text = listening.get("/metrics").body.decode()

    found = re.search(r'silverback_listener_points_total\{listener="graphite"\} (\S+)', text)
    assert found
    assert float(found[1]) >= 1
    assert 'silverback_listener_refused_total{listener="opentsdb"}' in text


def test_a_port_that_is_taken_is_told(start: Any, tmp_path: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        chosen = {"data": tmp_path / "db", "port": 0, "opentsdb_port": port}
        with pytest.raises(CommandFailed, match=f"port {port}: address already in use"):
            Server(load(chosen, environ={})).run()


def test_no_ports_unless_asked_for(server: Any) -> None:
    assert server.server.node.intakes == {}
    with pytest.raises(KeyError):
        server.server.listeners.port("graphite")


def test_an_error_of_ours_ends_the_connection(
    listening: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    intake = listening.server.node.intakes["graphite"]

    async def write(block: bytes, client: str) -> Any:
        raise AssertionError("planted")

    monkeypatch.setattr(intake, "write", write)
    with connect(listening) as sock:
        sock.sendall(b"planted 1 %d\n" % T)
        assert sock.recv(1) == b""


def test_framing_is_the_same_however_it_is_cut() -> None:
    rng = np.random.default_rng(3)
    data = b"".join(b"x" * int(n) + b"\n" for n in rng.integers(0, 30, 500)) + b"rest"
    for _ in range(50):
        framing, blocks = LineFraming(), b""
        cuts = np.sort(rng.integers(0, len(data), 100)).tolist()
        for a, b in itertools.pairwise([0, *cuts, len(data)]):
            framing.feed(data[a:b])
            if rng.random() < 0.3:
                blocks += framing.take()
        blocks += framing.take()
        assert blocks == data.removesuffix(b"rest")
        assert framing.unfinished
        assert framing.whole_bytes == 0
