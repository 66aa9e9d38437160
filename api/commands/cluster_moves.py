"""`silverback cluster move|drain|replace|evict|rebalance|verify|release`: who keeps which shard."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from api.commands import terminal
from api.commands.logins import with_login
from api.exits import CommandFailed, Exit

WAIT_S = 0.25
STUCK_S = 600.0

Url = Annotated[
    str, typer.Option("--url", "-u", metavar="URL", help="Any node.", show_default=False)
]
Data = Annotated[
    Path | None, typer.Option("--data", "-d", metavar="DIR", help="Or the folder of a dev cluster.")
]
Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Return when the shards are there.")]
Name = Annotated[str, typer.Argument(metavar="NODE", show_default=False)]


def register(family: typer.Typer) -> None:
    for command in (move, drain, replace, evict, rebalance):
        family.command()(with_login(command))
    family.command()(with_login(verify))
    family.command()(release)


def move(
    shard: Annotated[int, typer.Argument(metavar="SHARD", show_default=False)],
    *,
    to: Annotated[str, typer.Option("--to", metavar="NODE", help="It shall keep the shard.")],
    from_: Annotated[
        str, typer.Option("--from", metavar="NODE", help="It keeps it no more. None: a copy more.")
    ] = "",
    url: Url = "",
    data: Data = None,
    wait: Wait = True,
) -> None:
    """Move a shard to another node; reads and writes go on.

    The node that comes copies the shard, follows its log, and serves once it has everything that
    was acknowledged. Only then does the other one stop to.

    **Examples**

    - `silverback cluster move 3 --from node-1 --to node-4 --url http://127.0.0.1:9301`
    """
    _moved("moves", {"shard": str(shard), "comes": to, "leaves": from_}, url, data, wait=wait)


def drain(node: Name, *, url: Url = "", data: Data = None, wait: Wait = True) -> None:
    """Move all shards of a node to others, so that it can be taken away.

    **Examples**

    - `silverback cluster drain node-2 --url http://127.0.0.1:9301`
    """
    _moved("drain", {"node": node}, url, data, wait=wait)


def replace(
    node: Name,
    new: Annotated[str, typer.Argument(metavar="NEW", show_default=False)],
    *,
    url: Url = "",
    data: Data = None,
    wait: Wait = True,
) -> None:
    """Give all shards of a node, also of one that is gone for ever, to a new one.

    Copies come from the other replicas of each shard.

    **Examples**

    - `silverback cluster replace node-2 node-5 --url http://127.0.0.1:9301`
    """
    _moved("drain", {"node": node, "to": new}, url, data, wait=wait)


def evict(node: Name, *, url: Url = "", data: Data = None) -> None:
    """Make the copies of logs that a stopped node had anew, on others.

    For a node that was drained or replaced and does not come back: its logs have all their copies
    again, and the servers wait for it no more. May be called again. Take the node out of the files
    afterwards.

    **Examples**

    - `silverback cluster evict node-2 --url http://127.0.0.1:9301`
    """
    from api.commands.cluster import chosen_urls
    from api.remote import Remote

    terminal.note(f"making the copies of logs on {node} anew; this ends when they are whole")
    with Remote(chosen_urls(url, data)[-1], timeout_s=STUCK_S) as server:
        path = "/api/v1/cluster/evict"
        found = server.send("POST", path, b"", parameters={"node": node})["data"]
    terminal.say(f"{node} keeps no logs any more; {found['logs']} copies were made on others.")


def rebalance(
    *,
    without: Annotated[
        str, typer.Option("--without", metavar="NODE", help="It shall get none.")
    ] = "",
    url: Url = "",
    data: Data = None,
    wait: Wait = True,
) -> None:
    """Move shards until all nodes that answer keep as many; what is level stays.

    **Examples**

    - `silverback cluster rebalance --url http://127.0.0.1:9301`
    """
    _moved("rebalance", {"without": without}, url, data, wait=wait)


def verify(
    *,
    before: Annotated[
        str, typer.Option("--before", metavar="SECONDS", help="Points up to then; an hour ago.")
    ] = "",
    url: Url = "",
    data: Data = None,
) -> None:
    """Prove that all copies of all shards hold the same points, label by label and bit by bit.

    Every copy is read whole. Exits with 1 if copies differ or one could not be read.

    **Examples**

    - `silverback cluster verify --url http://127.0.0.1:9301`
    """
    from api.commands.cluster import chosen_urls
    from api.remote import Remote

    given = {"before": before} if before else {}
    wrong: list[str] = []
    points = 0
    with Remote(chosen_urls(url, data)[-1], timeout_s=STUCK_S) as server:
        shards = [one["shard"] for one in server.get_json("/api/v1/cluster")["data"]["shards"]]
        with terminal.progress("shards") as bar:
            for shard in bar.track(shards, description="comparing"):
                asked = {"shard": str(shard), **given}
                found = server.get_json("/api/v1/cluster/verify", asked)["data"]
                known = [one for one in found["copies"] if one["digest"] is not None]
                points += max((one["points"] for one in known), default=0)
                if not found["equal"] or len(known) < len(found["copies"]):
                    wrong.append(_difference(found))
    for text in wrong:
        terminal.say(text)
    if wrong:
        raise CommandFailed(f"{len(wrong)} of {len(shards)} shards are not proven", Exit.DIFFERENT)
    terminal.say(f"All copies of {len(shards)} shards are equal: {points:,} points.")


def _difference(found: dict[str, Any]) -> str:
    copies = (
        f"{one['node']} does not answer"
        if one["digest"] is None
        else f"{one['node']} has {one['points']:,} points, digest {one['digest']}"
        for one in found["copies"]
    )
    return f"shard {found['shard']}: " + "; ".join(copies)


def release(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="Data of a node, or a snapshot of it.")
    ],
) -> None:
    """Make the data of a node that of a single server, in place.

    For a way back: from a snapshot of a node that keeps all shards to a server of its own, or, in
    copies on every node before its first start, to a new cluster.

    **Examples**

    - `silverback cluster release /backup/2026-11-24`
    """
    from replication.release import release as released

    shards = released(directory)
    terminal.say(f"{directory} is a single server's now; the cluster had {shards} shards.")


def _moved(path: str, wanted: dict[str, str], url: str, data: Path | None, *, wait: bool) -> None:
    from api.commands.cluster import chosen_urls
    from api.remote import Remote

    given = {name: text for name, text in wanted.items() if text}
    with Remote(chosen_urls(url, data)[-1]) as server:
        document = server.send("POST", f"/api/v1/cluster/{path}", b"", parameters=given)["data"]
        moves = document["moves"]
        if not moves:
            terminal.say("Nothing has to move.")
            return
        for one in moves:
            leaves = f" instead of {one['leaves']}" if one["leaves"] else ""
            terminal.say(f"shard {one['shard']} -> {one['comes']}{leaves}")
        if wait:
            _watch(server, moves)


def _watch(server: Any, moves: list[dict[str, Any]]) -> None:
    """Until all of them are there, or nothing has happened for long."""
    wanted = {(one["shard"], one["comes"]) for one in moves}
    last, since = len(wanted), time.monotonic()
    with terminal.progress("shards") as bar:
        task = bar.add_task("moving", total=len(wanted))
        while True:
            document = server.get_json("/api/v1/cluster")["data"]
            left = wanted & {
                (shard["shard"], one["comes"])
                for shard in document["shards"]
                for one in shard["moves"]
            }
            bar.update(task, completed=len(wanted) - len(left))
            if not left:
                break
            if len(left) != last:
                last, since = len(left), time.monotonic()
            if time.monotonic() - since > STUCK_S:
                shard, node = min(left)
                raise CommandFailed(
                    f"shard {shard} is still on its way to {node}: its log there says why; "
                    "`silverback cluster status` shows how far it is",
                    Exit.UNAVAILABLE,
                )
            time.sleep(WAIT_S)
    terminal.say(f"{len(wanted)} shards have moved.")
