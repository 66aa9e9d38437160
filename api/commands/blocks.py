"""`silverback inspect`, `verify` and `snapshot`: a data directory as files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.commands import terminal
from api.commands.logins import with_login
from api.commands.query import DEFAULT_URL
from api.commands.warm import ensure_warm
from api.exits import CommandFailed, Exit

if TYPE_CHECKING:
    from api.inspection import Inspection

Directory = Annotated[Path, typer.Argument(metavar="DIR", help="A data directory, in use or not.")]


def register(app: typer.Typer) -> None:
    app.command("inspect")(inspect)
    app.command("verify")(verify)
    app.command("snapshot")(snapshot)


def inspect(
    directory: Directory,
    *,
    top: Annotated[
        int, typer.Option(min=0, metavar="N", help="Metrics shown, largest first; 0 for all.")
    ] = 15,
    codes: Annotated[
        bool, typer.Option("--codes", help="Also say where the bits go: decodes every point.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Show what a data directory holds: blocks, log, and the metrics that take most.

    Reads the files only: nothing is changed, a server may be running on them.

    **Examples**

    - `silverback inspect demo-data`
    - `silverback inspect /srv/metrics --codes --json`
    """
    from api.inspection import inspect as look

    ensure_warm()
    found = look(directory, codes=codes)
    if json:
        terminal.show_json(_document(found))
        return
    _show(found, top)
    for line in found.damage:
        terminal.warn(f"damaged: {line}")
    if found.damage:
        terminal.warn(f"`silverback verify {directory}` looks at every byte.")


def _document(found: Inspection) -> dict[str, Any]:
    manifest = found.manifest
    return {
        "database_id": manifest.database_id.hex(),
        "resolution": manifest.resolution.name_,
        "generation": manifest.generation,
        "checkpoint_seq": manifest.checkpoint_seq,
        "horizon": manifest.horizon,
        "series": found.series,
        "points": found.block_points,
        "bytes": found.block_bytes,
        "blocks": [
            {
                "name": meta.name,
                "level": meta.level,
                "min_ts": meta.min_ts,
                "max_ts": meta.max_ts,
                "points": meta.points,
                "series": meta.series,
                "chunks": meta.chunks,
                "chunk_bytes": meta.chunk_bytes,
                "index_bytes": meta.index_bytes,
            }
            for meta in manifest.blocks
        ],
        "metrics": [
            {
                "name": use.name,
                "series": use.series,
                "points": use.points,
                "chunk_bytes": use.chunk_bytes,
                "bits_per_point": use.bits_per_point,
            }
            for use in found.metrics
        ],
        "log": {
            "entries": found.log.entries,
            "points": found.log.points,
            "bytes": found.log.size_bytes,
            "first_seq": found.log.first_seq,
            "last_seq": found.log.last_seq,
        },
        "codes": found.figures.document() if found.figures else None,
        "tombstones": len(manifest.tombstones),
        "quarantined_bytes": found.quarantined_bytes,
        "damage": found.damage,
    }


def _show(found: Inspection, top: int) -> None:
    from api.times import time_text

    manifest = found.manifest
    ticks = manifest.resolution.ticks_per_s
    terminal.say(
        f"database {manifest.database_id.hex()[:8]}, resolution {manifest.resolution.name_}, "
        f"generation {manifest.generation}, {found.series:,} series"
    )
    rows = [
        (
            time_text(meta.min_ts, ticks_per_s=ticks),
            time_text(meta.max_ts, ticks_per_s=ticks),
            meta.level,
            f"{meta.series:,}",
            f"{meta.points:,}",
            terminal.size_text(meta.bytes),
            f"{8 * meta.chunk_bytes / meta.points:.2f}",
            f"{meta.bytes / meta.points:.2f}",
        )
        for meta in sorted(manifest.blocks, key=lambda meta: (meta.min_ts, meta.seq_lo))
    ]
    if rows:
        headings = ("first point", "last point", ">level", ">series", ">points", ">size")
        each = found.block_bytes / max(found.block_points, 1)
        total = ("", f"{len(rows)} blocks", "", "", f"{found.block_points:,}")
        terminal.show_table(
            (*headings, ">bits/point", ">bytes/point, index too"),
            rows,
            total=(*total, terminal.size_text(found.block_bytes), "", f"{each:.2f}"),
        )
    _show_metrics(found, top)
    log = found.log
    terminal.say(
        f"Log: {log.points:,} points in {log.entries:,} entries not yet in blocks, "
        f"{terminal.size_text(log.size_bytes)} in all."
    )
    if found.figures is not None:
        from api.commands.compress import show_codes

        show_codes(found.figures)
    if manifest.tombstones:
        terminal.say(f"{len(manifest.tombstones)} deletes are not yet carried out in the blocks.")
    if found.quarantined_bytes:
        size = terminal.size_text(found.quarantined_bytes)
        terminal.say(f"{size} of damaged bytes are kept in quarantine/.")


def _show_metrics(found: Inspection, top: int) -> None:
    uses = found.metrics[: top or None]
    if not found.manifest.blocks:
        terminal.say("No blocks yet: what was written is in the log and in memory.")
        return
    terminal.show_table(
        ("metric", ">series", ">points", ">size", ">bits/point"),
        [
            (
                use.name or "(no name)",
                f"{use.series:,}",
                f"{use.points:,}",
                terminal.size_text(use.chunk_bytes),
                f"{use.bits_per_point:.2f}",
            )
            for use in uses
        ],
    )
    if len(uses) < len(found.metrics):
        terminal.say(f"{len(found.metrics) - len(uses)} more metrics; --top 0 shows all.")


def verify(
    directory: Directory,
    *,
    deep: Annotated[
        bool,
        typer.Option(
            "--deep", help="Also decode every chunk twice, once by the slow reference codec."
        ),
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Check every byte of a data directory against its checksum; name what is damaged.

    Exit code 0: sound. 1: damage, one line each with file, byte and reason. Nothing is changed.

    **Examples**

    - `silverback verify /srv/metrics`
    - `silverback verify backup/ --deep`
    """
    from api.inspection import verify as check

    ensure_warm()
    with terminal.progress("bytes") as bars:
        task = bars.add_task("verifying", total=None, done=0)
        done = 0

        def on_file(name: str, size_bytes: int) -> None:
            nonlocal done
            done += size_bytes
            bars.update(task, description=name[:40], done=done)

        looked_at, findings = check(directory, deep=deep, on_file=on_file)
    if json:
        terminal.show_json(
            {
                "sound": not findings,
                "deep": deep,
                "looked_at": looked_at,
                "findings": [
                    {"path": f.path, "offset_bytes": f.offset_bytes, "reason": f.reason}
                    for f in findings
                ],
            }
        )
    else:
        for finding in findings:
            terminal.say(f"{finding.path} at byte {finding.offset_bytes}: {finding.reason}")
        how = "every checksum holds" + (", both decoders agree on every chunk" if deep else "")
        verdict = f"{len(findings)} things are wrong" if findings else how
        terminal.say(f"{directory}: {verdict} ({looked_at} files and blocks).")
    if findings:
        raise typer.Exit(Exit.DIFFERENT)


@with_login
def snapshot(
    target: Annotated[
        Path | None,
        typer.Argument(
            metavar="[TARGET]", help="With --data: the new directory. A server names it."
        ),
    ] = None,
    *,
    data: Annotated[
        Path | None,
        typer.Option("--data", "-d", metavar="DIR", help="A data directory no server has open."),
    ] = None,
    url: Annotated[
        str, typer.Option("--url", "-u", metavar="URL", help="A running server.")
    ] = DEFAULT_URL,
    json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Make a consistent copy: a data directory of its own, by hard links where possible.

    It takes a moment and hardly any space, since blocks never change; copy it elsewhere at leisure.
    A server puts it into the folder snapshots of its data directory.

    **Examples**

    - `silverback snapshot`
    - `silverback snapshot /backup/monday --data ./data`
    """
    if (data is None) != (target is None):
        raise CommandFailed(
            "--data DIR goes with a TARGET; a running server names its snapshots itself",
            Exit.USAGE,
        )
    if data is None or target is None:
        from api.remote import Remote

        with Remote(url) as server:
            made = server.send("POST", "/api/v1/admin/snapshot", b"")
        place = f"{made['folder']}/{made['name']}"
        said = f"Snapshot in {place}, in the server's data directory"
    else:
        from api.answers import open_directory

        if not data.is_dir():
            raise CommandFailed(f"{data}: no such directory", Exit.NO_INPUT)
        ensure_warm()
        with open_directory(data, read_only=False) as db:
            place = str(db.snapshot(target))
        said = f"Snapshot in {place}"
    if json:
        terminal.show_json({"path": place})
    else:
        terminal.say(said)
