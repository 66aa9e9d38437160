"""`silverback cluster`: a cluster on this machine to try it out, and how any cluster is doing."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.commands import cluster_moves, terminal
from api.commands.logins import with_login
from api.commands.warm import ensure_warm
from api.exits import CommandFailed, Exit
from tsdb.errors import Unavailable

if TYPE_CHECKING:
    from types import FrameType

    from api.cluster_dev import DevCluster, DevNode
    from api.demo_cluster import Outcome

WATCH_S = 0.2
DEMO_NODES = 3

_family = typer.Typer(
    help="A cluster: run one on this machine, see how one is doing.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)

Data = Annotated[
    Path, typer.Option("--data", "-d", metavar="DIR", help="Folder of the dev cluster.")
]
Numbers = Annotated[
    list[int], typer.Argument(metavar="N...", help="Which: 2 for node-2.", show_default=False)
]
DATA = Path("cluster-data")


def register(app: typer.Typer) -> None:
    cluster_moves.register(_family)
    app.add_typer(_family, name="cluster")


def _number(name: str, help_: str) -> Any:
    return typer.Option(f"--{name}", metavar="N", help=help_, show_default=False)


@_family.command()
def dev(
    *,
    data: Data = DATA,
    nodes: Annotated[int | None, _number("nodes", "How many.  [default: 3]")] = None,
    base_port: Annotated[
        int | None, _number("base-port", "Node 1 serves here, others above.  [default: 9301]")
    ] = None,
    shards: Annotated[
        int | None, _number("shards", "Fixed for a cluster's life.  [default: 16]")
    ] = None,
    replicas: Annotated[
        int | None, _number("replicas", "Copies of a shard: 1, 3 or 5.  [default: 3]")
    ] = None,
) -> None:
    """Run a whole cluster on this machine, to try it out; Ctrl-C stops all of it.

    Every node is a process of its own, with a folder of its own. A node that dies stays down and
    the others go on, until `silverback cluster start-node` brings it back. The data stays: a
    second run in the same folder goes on with it, and wants no options.

    **Examples**

    - `silverback cluster dev --data ./cluster-data`
    - `silverback cluster dev --nodes 5 --replicas 3 --base-port 9501 --data /tmp/five`
    """
    from api.cluster_dev import DevCluster, held
    from api.cluster_folder import Plan

    ensure_warm(always=True)  # once, not by every node
    stop = _Signals()
    with held(data):
        cluster = DevCluster(data, Plan(nodes, base_port, shards, replicas))
        try:
            _start(cluster, stop)
            if not stop.came():
                _show_doors(cluster)
            _watch(cluster, stop)
        finally:
            _stop(cluster, stop)
    terminal.say(f"Stopped. `silverback cluster dev --data {data}` goes on with its data.")


@_family.command()
def demo(
    *,
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave the cluster running afterwards, until Ctrl-C.")
    ] = False,
    base_port: Annotated[
        int | None, _number("base-port", "Node 1 serves here.  [default: a free one]")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Kill a node of a cluster while points are written, and show that none is missing.

    Three nodes in a temporary folder. The node that leads the most shards is killed with kill -9;
    writers go on; everything acked is read back from the others and compared bit for bit. Then the
    node comes back, catches up, and all copies are compared. Takes about a minute; exits with 0
    only if all of that held.

    **Examples**

    - `silverback cluster demo`
    - `silverback cluster demo --keep`
    """
    import tempfile

    from api.cluster_dev import DevCluster, held
    from api.cluster_folder import Plan, free_base_port
    from api.demo_cluster import prove

    ensure_warm(always=True)
    with tempfile.TemporaryDirectory(prefix="silverback-cluster-") as folder, held(Path(folder)):
        port = free_base_port(DEMO_NODES) if base_port is None else base_port
        cluster = DevCluster(Path(folder), Plan(DEMO_NODES, port))
        # One that is ended, by make or a time-out, stops its nodes as one that is interrupted.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            tell = terminal.note if json else terminal.say
            _start(cluster, None, tell)
            outcome = prove(cluster, tell)
            _show(outcome, json=json)
            if keep:
                stop = _Signals()
                _show_doors(cluster)
                _watch(cluster, stop)
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_IGN)  # the nodes are being stopped
            cluster.stop()
    if not outcome.good:
        raise CommandFailed("not everything that was acknowledged is there", Exit.DIFFERENT)


@_family.command("start-node")
def start_node(numbers: Numbers, *, data: Data = DATA) -> None:
    """Start nodes of a dev cluster that are down, and wait until they are ready.

    They belong to the cluster as before: what stops it stops them. It needs no `cluster dev` that
    runs; then a cluster wants a majority of its nodes started.

    **Examples**

    - `silverback cluster start-node 2 --data ./cluster-data`
    - `silverback cluster start-node 1 2 3 --data ./cluster-data`
    """
    from api.cluster_dev import DevCluster, settled

    cluster = DevCluster(data)
    chosen = [cluster.node(number) for number in dict.fromkeys(numbers)]
    began = time.monotonic()
    for node in chosen:
        node.start()
    with terminal.stderr().status(f"waiting for {_names(chosen)}"):
        for node, ready in settled(chosen):
            if not ready:
                raise CommandFailed(f"{node.name} {node.ended()}", Exit.UNAVAILABLE)
            took_s = time.monotonic() - began
            terminal.say(f"{node.name} is ready at {node.url}, pid {node.pid()} ({took_s:.1f} s)")


@_family.command("stop-node")
def stop_node(numbers: Numbers, *, data: Data = DATA) -> None:
    """Stop nodes of a dev cluster in order, as SIGTERM does; the others go on.

    **Examples**

    - `silverback cluster stop-node 2 --data ./cluster-data`
    """
    from api.cluster_dev import STOP_S, DevCluster

    cluster = DevCluster(data)
    chosen = [cluster.node(number) for number in dict.fromkeys(numbers)]
    if idle := [node for node in chosen if node.pid() is None]:
        raise CommandFailed(f"{_names(idle)} does not run", Exit.UNAVAILABLE)
    for node in chosen:
        node.signal(signal.SIGTERM)
    deadline = time.monotonic() + STOP_S
    for node in chosen:
        while node.pid() is not None:
            if time.monotonic() > deadline:
                raise CommandFailed(
                    f"{node.name}, pid {node.pid()}, still runs after {STOP_S:.0f} s; its log is "
                    f"{node.log}",
                    Exit.UNAVAILABLE,
                )
            time.sleep(0.05)
        terminal.say(f"{node.name} was stopped")


@_family.command()
@with_login
def status(
    *,
    url: Annotated[
        str, typer.Option("--url", "-u", metavar="URL", help="Any node.", show_default=False)
    ] = "",
    data: Annotated[
        Path | None,
        typer.Option("--data", "-d", metavar="DIR", help="Or the folder of a dev cluster."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Show nodes and shards: who is alive, who leads, how far copies are, whether they are equal.

    Any node can answer; positions and digests are what the nodes said last. Exits with 1 if copies
    of a shard differ.

    **Examples**

    - `silverback cluster status --url http://127.0.0.1:9301`
    - `silverback cluster status --data ./cluster-data --json`
    """
    from api import cluster_status

    document = _asked(url, data)
    if json:
        terminal.show_json(document)
    else:
        found = cluster_status.summary(document)
        terminal.say(
            f"Cluster {document['cluster']}, epoch {document['epoch']}: "
            f"{found.alive} of {found.nodes} nodes alive, {found.led} of {found.shards} shards led"
        )
        nodes = cluster_status.node_rows(document)
        terminal.show_table(cluster_status.NODE_HEADINGS, nodes)
        shards = cluster_status.shard_rows(document)
        terminal.show_table(cluster_status.SHARD_HEADINGS, shards)
    different = [
        one["shard"]
        for one in document["shards"]
        if cluster_status.copies(one) is cluster_status.Copies.DIFFERENT
    ]
    if different:
        raise CommandFailed(
            f"copies differ in shards {', '.join(map(str, different))}", Exit.DIFFERENT
        )


def _asked(url: str, data: Path | None) -> Any:
    """The document of the first node that answers."""
    from api.cluster_status import fetch

    *others, last = chosen_urls(url, data)
    for one in others:
        with contextlib.suppress(CommandFailed, Unavailable):
            return fetch(one)
    return fetch(last)


def chosen_urls(url: str, data: Path | None) -> list[str]:
    """Of nodes that may be asked."""
    if bool(url) == (data is not None):
        raise CommandFailed("--url of a node, or --data of a dev cluster: one of them", Exit.USAGE)
    return [url] if url else _urls(data or DATA)


def _urls(data: Path) -> list[str]:
    """Of the nodes that run."""
    from api.cluster_dev import DevCluster

    running = [node.url for node in DevCluster(data).nodes if node.pid() is not None]
    if not running:
        raise CommandFailed(
            f"no node of {data} runs: `silverback cluster dev --data {data}` starts them",
            Exit.UNAVAILABLE,
        )
    return running


class _Signals:
    """The signals that end `dev`, counted from now on instead of raised."""

    def __init__(self) -> None:
        self.count = 0
        self._came = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._hear)

    def came(self) -> bool:
        return self.count > 0

    def wait(self, seconds: float) -> bool:
        return self._came.wait(seconds)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        self.count += 1
        self._came.set()


def _start(
    cluster: DevCluster, stop: _Signals | None, tell: Callable[[str], None] = terminal.say
) -> None:
    from api.cluster_dev import settled

    def asked() -> bool:
        return stop is not None and stop.came()

    began = time.monotonic()
    started = cluster.start()
    for node in cluster.nodes:
        if node not in started:
            tell(f"{node.name} runs already, pid {node.pid()}")
    ready = 0
    with terminal.stderr().status(f"waiting for {_names(cluster.nodes)}"):
        for node, good in settled(cluster.nodes, asked):
            if not good:
                terminal.warn(f"{node.name} {node.ended()}")
                continue
            ready += 1
            took_s = time.monotonic() - began
            tell(f"{node.name} is ready ({took_s:.1f} s), {ready} of {len(cluster.nodes)}")
    if not ready and not asked():
        raise CommandFailed(
            f"no node could start; the logs are {cluster.root}/node-*/log", Exit.UNAVAILABLE
        )


def _show_doors(cluster: DevCluster) -> None:
    settings = cluster.settings
    terminal.say(
        f"Cluster of {len(cluster.nodes)} nodes, {settings.shards} shards, "
        f"{settings.replicas} {'copy' if settings.replicas == 1 else 'copies'} of each:"
    )
    terminal.say()
    for node in cluster.nodes:
        terminal.say(f"  {node.name}  {node.url}  pid {node.pid()}  log {node.log}")
    first, last = cluster.nodes[0], cluster.nodes[-1]
    victim = cluster.nodes[min(1, len(cluster.nodes) - 1)]
    for line in (
        "",
        f"Open {first.url}/ in a browser, or paste in another terminal:",
        "",
        f"  curl -X PUT -d 21.5 {first.url}/kv/sensors/kitchen/temp",
        f"  curl {last.url}/kv/sensors/kitchen/temp",
        f"  silverback cluster status --data {cluster.root}",
        f"  kill -9 {victim.pid()}    # {victim.name}: the others go on",
        f"  silverback cluster start-node {victim.number} --data {cluster.root}",
        "",
        "Ctrl-C stops all nodes.",
        "",
    ):
        terminal.say(line)


def _watch(cluster: DevCluster, stop: _Signals) -> None:
    while not stop.wait(WATCH_S):
        for line in cluster.changes():
            terminal.say(line)


def _show(outcome: Outcome, *, json: bool) -> None:
    if json:
        from dataclasses import asdict

        terminal.show_json(asdict(outcome) | {"good": outcome.good})
        return
    worst = max(outcome.readings, key=lambda one: one.missing + one.differing + one.strangers)
    terminal.say()
    terminal.show_table(
        ("what", ">how much"),
        [
            ("points acked", f"{outcome.acked:,}"),
            (f"of them while {outcome.victim} was down", f"{outcome.acked_down:,}"),
            ("longest that a writer waited for an ack then", f"{outcome.longest_s:.1f} s"),
            (f"{outcome.victim} was ready again after", f"{outcome.back_s:.1f} s"),
            ("acked points missing, of any node", f"{worst.missing:,}"),
            ("points that differ in any bit", f"{worst.differing:,}"),
            ("points that nobody sent", f"{worst.strangers:,}"),
            ("shards whose copies are all equal", f"{outcome.shards_equal} of {outcome.shards}"),
        ],
    )
    if outcome.good:
        terminal.say("A node was killed; every acknowledged point is on every node, bit for bit.")


def _stop(cluster: DevCluster, stop: _Signals) -> None:
    terminal.say("Stopping the nodes...")
    heard = stop.count
    for node in cluster.stop(lambda: stop.count > heard):
        terminal.warn(f"{node.name} did not stop and was killed; its log is {node.log}")


def _names(nodes: list[DevNode]) -> str:
    return ", ".join(node.name for node in nodes)
