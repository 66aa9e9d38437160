"""The manifest: the one file that says which blocks and index files are the database.

    in   Manifest
    out  MANIFEST-<generation>, atomically replaced; and back, or rebuilt from the blocks

A generation is written whole to a new file, synced, renamed, and its folder synced. The body
stands in the file twice, each copy with its checksum at multiples of 4 KiB, and the generation
before is kept: a damaged sector costs nothing.

If the newest generation cannot be read at all, or none can, the block folders are listed and
asked (`rebuild`): a database with data never starts empty. What only the manifest knew (deletes
not yet carried out, the horizon) is lost then, and a `Hole` says so.
docs/format/manifest.md is the layout.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from tsdb.block.index_file import IndexFile, read_exactly
from tsdb.block.layout import INDEX, BlockMeta, Header, check_of, parse_block_name
from tsdb.codec.resolution import Resolution
from tsdb.errors import CorruptionError, InvalidInput, NewerFormat
from tsdb.vfs import TEMPORARY, Files, write_whole

__all__ = [
    "ANNOTATIONS",
    "COMPANION",
    "Hole",
    "Manifest",
    "Tombstone",
    "check_absent",
    "damage",
    "load",
    "rebuild",
    "store",
]

MAGIC = b"SBKMANIF"
VERSION = 1
ALIGN_BYTES = 4096
BYTES_MAX = 1 << 30
"""Two copies of a body that describes a million blocks; a larger file is none of ours."""
INT64_MIN = -(2**63)
_NAME = re.compile(r"MANIFEST-(\d{20})")
_BLOCKS, _INDEX = "blocks", "index"
ANNOTATIONS = "annotations-"  # how the names of such files in the index folder begin
COMPANION = "companion-"
COPY = np.dtype(
    [
        ("magic", "S8"),
        ("version", "<u4"),
        ("reserved_0", "<u4"),
        ("generation", "<u8"),
        ("body_bytes", "<u8"),
        ("body_check", "<u8"),  # xxh3_64 of the body and the zeros up to the next ALIGN_BYTES
        ("reserved_1", "V16"),
        ("header_check", "<u8"),  # xxh3_64 of the bytes before; same place in every version
    ]
)
COPY_BYTES = 64
assert COPY.itemsize == COPY_BYTES


@dataclass(frozen=True, slots=True)
class Tombstone:
    """A delete that blocks older than `seq` have not carried out. Range inclusive, in ticks."""

    seq: int
    selector: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Hole:
    """Something that was acked and is damaged. Without times: any time may be concerned."""

    first_seq: int
    last_seq: int
    min_ts: int | None
    max_ts: int | None
    file: str
    reason: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What the data directory holds, as of `checkpoint_seq`: the log replays from there."""

    database_id: bytes
    resolution: Resolution
    generation: int
    checkpoint_seq: int
    next_ref: int
    blocks: tuple[BlockMeta, ...]
    index_files: tuple[str, ...]
    tombstones: tuple[Tombstone, ...]
    horizon: int
    holes: tuple[Hole, ...]
    annotations: str | None = None  # file in the index folder: metadata and exemplars
    companion: str | None = None  # file there: what another machine over this log knows

    def __post_init__(self) -> None:
        assert len(self.database_id) == 16
        names = [b.name for b in self.blocks]
        assert len(set(names)) == len(names), "a block is listed twice"
        assert all(b.resolution is self.resolution for b in self.blocks)

    @classmethod
    def first(cls, *, database_id: bytes, resolution: Resolution) -> Manifest:
        """Of a database without data."""
        return cls(database_id, resolution, 1, 0, 0, (), (), (), INT64_MIN, ())

    @property
    def file_name(self) -> str:
        return f"MANIFEST-{self.generation:020d}"


def check_absent(files: Files, directory: Path) -> None:
    """InvalidInput if there is anything at `directory`: a snapshot never overwrites."""
    if files.exists(directory):
        raise InvalidInput(f"{directory} exists already")


# --- storing ----------------------------------------------------------------------------------


def store(files: Files, directory: Path, manifest: Manifest) -> None:
    """Make `manifest` durable as the newest one; keep the generation before, drop older ones."""
    write_whole(files, directory / manifest.file_name, encode(manifest))
    older = [name for name in _names(files, directory) if name < manifest.file_name]
    for name in older[:-1]:
        with contextlib.suppress(OSError):  # the next generation tries again
            files.unlink(directory / name)


def encode(manifest: Manifest) -> bytes:
    """The bytes of the file: the same copy twice."""
    body = orjson.dumps(_plain(manifest), option=orjson.OPT_SORT_KEYS)
    padding = bytes(-(COPY_BYTES + len(body)) % ALIGN_BYTES)
    header = np.zeros((), COPY)
    header["magic"], header["version"] = MAGIC, VERSION
    header["generation"], header["body_bytes"] = manifest.generation, len(body)
    header["body_check"] = check_of(body + padding)
    header["header_check"] = check_of(header.tobytes()[:-8])
    return (header.tobytes() + body + padding) * 2


def _plain(manifest: Manifest) -> dict[str, Any]:
    plain = {f.name: getattr(manifest, f.name) for f in fields(Manifest)}
    plain["database_id"] = manifest.database_id.hex()
    plain["resolution"] = manifest.resolution.name_
    plain["blocks"] = [_plain_block(meta) for meta in manifest.blocks]
    plain["tombstones"] = [asdict(t) for t in manifest.tombstones]
    plain["holes"] = [asdict(h) for h in manifest.holes]
    for optional in ("annotations", "companion"):
        if plain[optional] is None:
            del plain[optional]
    return plain


def _plain_block(meta: BlockMeta) -> dict[str, Any]:
    plain = {f.name: getattr(meta, f.name) for f in fields(BlockMeta)}
    return {**plain, "resolution": meta.resolution.name_, "name": meta.name}


# --- loading ----------------------------------------------------------------------------------


def load(files: Files, directory: Path) -> Manifest | None:
    """The newest manifest, from either copy; None when no generation can be read.

    When only an older generation can be read, its list of blocks is brought up to date from the
    block folders. Raises NewerFormat when a newer version wrote the newest manifest.
    """
    names = _names(files, directory)
    for name in reversed(names):
        try:
            manifest = read(files, directory / name)
        except CorruptionError as error:
            failure = error
            continue
        if name == names[-1]:
            return manifest
        return rebuild(files, directory, older=manifest, why=str(failure))
    return None


def read(files: Files, path: Path) -> Manifest:
    """One generation from whichever copy holds; CorruptionError when neither does."""
    failures: list[CorruptionError] = []
    for offset, copy in _copies(_whole(files, path)):
        try:
            return decode(copy, path, offset)
        except CorruptionError as error:
            failures.append(error)
    raise failures[0] if failures else CorruptionError(path, 0, "no copy of a manifest in it")


def damage(files: Files, directory: Path) -> list[CorruptionError]:
    """Every copy of every generation that does not hold."""
    found: list[CorruptionError] = []
    for name in _names(files, directory):
        path = directory / name
        data = _whole(files, path)
        half = len(data) // 2
        for offset in (0, half):
            try:
                decode(data[offset:], path, offset)
            except CorruptionError as error:
                found.append(error)
        if data[:half] != data[half:]:
            found.append(CorruptionError(path, half, "the two copies differ"))
    return found


def decode(data: bytes, path: Path | None, offset: int) -> Manifest:
    """The copy at the start of `data`, which lies at `offset` of `path`."""
    head = data[:COPY_BYTES]
    if len(head) < COPY_BYTES or head[:8] != MAGIC:
        raise CorruptionError(path, offset, "no manifest here: wrong magic")
    header = np.frombuffer(head, COPY)[0]
    if check_of(head[:-8]) != header["header_check"]:
        raise CorruptionError(path, offset, "header checksum does not hold")
    if header["version"] > VERSION:
        raise NewerFormat(path or "manifest", int(header["version"]), VERSION)
    size = int(header["body_bytes"])
    end = -(-(COPY_BYTES + size) // ALIGN_BYTES) * ALIGN_BYTES
    if check_of(data[COPY_BYTES:end]) != header["body_check"]:
        raise CorruptionError(path, offset + COPY_BYTES, "body checksum does not hold")
    try:
        manifest = _manifest(orjson.loads(data[COPY_BYTES : COPY_BYTES + size]))
    except (ValueError, TypeError, KeyError, AssertionError, InvalidInput) as error:
        reason = f"body is no manifest: {error}"
        raise CorruptionError(path, offset + COPY_BYTES, reason) from error
    if manifest.generation != header["generation"]:
        raise CorruptionError(path, offset, "body and header differ in their generation")
    return manifest


def _manifest(plain: dict[str, Any]) -> Manifest:
    parts = dict(plain)
    parts["database_id"] = bytes.fromhex(plain["database_id"])
    parts["resolution"] = Resolution.parse(plain["resolution"])
    parts["blocks"] = tuple(_block(block) for block in plain["blocks"])
    parts["index_files"] = tuple(str(name) for name in plain["index_files"])
    _whole_numbers(parts, "generation", "checkpoint_seq", "next_ref", "horizon")
    for row in plain["tombstones"]:
        _whole_numbers(row, "seq", "start", "end")
    for row in plain["holes"]:
        _whole_numbers(row, "first_seq", "last_seq")
    parts["tombstones"] = tuple(Tombstone(**t) for t in plain["tombstones"])
    parts["holes"] = tuple(Hole(**h) for h in plain["holes"])
    for optional in ("annotations", "companion"):
        assert isinstance(parts.get(optional, ""), str), f"{optional} is no file name"
    return Manifest(**parts)


def _block(plain: dict[str, Any]) -> BlockMeta:
    parts = {**plain, "resolution": Resolution.parse(plain["resolution"])}
    name = parts.pop("name")
    _whole_numbers(parts, *(key for key in parts if key != "resolution"))
    meta = BlockMeta(**parts)
    assert meta.name == name, f"block {name} is called {meta.name}"
    return meta


def _whole_numbers(parts: dict[str, Any], *names: str) -> None:
    for name in names:
        assert type(parts[name]) is int, f"{name} is {parts[name]!r}, no whole number"


def _names(files: Files, directory: Path) -> list[str]:
    """Manifest files, oldest first."""
    return [name for name in files.list(directory) if _NAME.fullmatch(name)]


def _whole(files: Files, path: Path) -> bytes:
    file = files.open_read(path)
    try:
        size = file.size()
        if size > BYTES_MAX:
            raise CorruptionError(path, BYTES_MAX, f"{size} bytes are no manifest")
        return read_exactly(file, size, 0, path)
    finally:
        file.close()


def _copies(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Where a copy may start. Looked for by magic, so damaged sizes and lengths do not matter."""
    for offset in range(0, len(data), ALIGN_BYTES):
        if data[offset : offset + 8] == MAGIC:
            yield offset, data[offset:]


# --- rebuilding -------------------------------------------------------------------------------


def rebuild(
    files: Files,
    directory: Path,
    *,
    older: Manifest | None = None,
    why: str = "no manifest could be read",
) -> Manifest | None:
    """A manifest of the block folders that are there; None without any. Writes nothing.

    `older` is an earlier generation that could be read: what blocks do not tell is taken from it.
    """
    headers, unreadable = _headers(files, directory)
    if older is None and not headers:
        return None
    first = headers[0].maker.database_id if older is None else older.database_id
    ours = [h.meta for h in headers if h.maker.database_id == first]
    foreign = len(headers) - len(ours)
    if foreign:
        raise CorruptionError(
            directory / _BLOCKS, 0, f"{foreign} of {len(headers)} blocks are of another database"
        )
    blocks = tuple(sorted(newest(ours), key=lambda m: (m.seq_hi, m.window_start)))
    checkpoint = _checkpoint(headers)
    reason = f"{why}; rebuilt from blocks: deletes not yet carried out may have come back"
    hole = Hole(0, checkpoint, None, None, "MANIFEST", reason)
    base = older or Manifest.first(database_id=first, resolution=headers[0].meta.resolution)
    numbers = [int(name.removeprefix("MANIFEST-")) for name in _names(files, directory)]
    return replace(
        base,
        generation=max([base.generation, *numbers]),
        checkpoint_seq=max(base.checkpoint_seq, checkpoint),
        next_ref=max([base.next_ref, *(m.ref_max + 1 for m in blocks)]),
        blocks=blocks,
        index_files=_index_files(files, directory),
        annotations=_newest_of(ANNOTATIONS, files, directory),
        companion=_newest_of(COMPANION, files, directory),
        holes=(*base.holes, hole, *unreadable),
    )


def newest(metas: Iterable[BlockMeta]) -> list[BlockMeta]:
    """Blocks without those that a merge has replaced but that are still there.

    A block is replaced by one of greater depth that covers its window and its seqs: groups of a
    merge hold every block that overlaps their window between their first and last seq.
    """
    metas = list(metas)
    return [m for m in metas if not any(_replaces(other, m) for other in metas)]


def _replaces(new: BlockMeta, old: BlockMeta) -> bool:
    return (
        new.depth > old.depth
        and new.window_start <= old.window_start
        and old.window_end <= new.window_end
        and new.seq_lo <= old.seq_lo
        and old.seq_hi <= new.seq_hi
    )


def _checkpoint(headers: list[Header]) -> int:
    """The seq up to which blocks hold everything.

    One flush follows another, so only the newest may be incomplete: its blocks know how many
    they are. If some are missing the log is replayed from before it; its points then come twice,
    and agree.
    """
    if not headers:
        return 0
    last = max(h.meta.seq_hi for h in headers)
    final = [h for h in headers if h.meta.seq_hi == last]
    flushed = [h for h in final if h.meta.depth == 0]
    if len(flushed) < len(final) or len(flushed) == flushed[0].maker.siblings:
        return last
    return min(h.meta.seq_lo for h in flushed) - 1


def _headers(files: Files, directory: Path) -> tuple[list[Header], list[Hole]]:
    """Headers of all block folders; a hole for each that cannot be read or has another's name."""
    folder = directory / _BLOCKS
    found: list[Header] = []
    holes: list[Hole] = []
    for name in files.list(folder) if files.is_dir(folder) else ():
        place = parse_block_name(name)
        if place is None:
            continue
        try:
            found.append(_header(files, folder / name))
        except CorruptionError as error:
            start, end, seq_lo, seq_hi = place
            holes.append(Hole(seq_lo, seq_hi, start, end, name, str(error)))
    return found, holes


def _header(files: Files, path: Path) -> Header:
    try:
        file = files.open_read(path / INDEX)
    except FileNotFoundError as error:
        raise CorruptionError(path / INDEX, 0, "file of a block is missing") from error
    try:
        header = IndexFile(file, path / INDEX).header
    finally:
        file.close()
    if header.meta.name != path.name:
        raise CorruptionError(path / INDEX, 0, f"index of block {header.meta.name}")
    return header


def _index_files(files: Files, directory: Path) -> tuple[str, ...]:
    names = _names_in_index(files, directory)
    return tuple(name for name in names if not name.startswith((ANNOTATIONS, COMPANION)))


def _newest_of(prefix: str, files: Files, directory: Path) -> str | None:
    """The newest of such files; its name ends in its seq."""
    names = _names_in_index(files, directory)
    return max((name for name in names if name.startswith(prefix)), default=None)


def _names_in_index(files: Files, directory: Path) -> list[str]:
    folder = directory / _INDEX
    names = files.list(folder) if files.is_dir(folder) else []
    return [name for name in names if not name.endswith(TEMPORARY)]
