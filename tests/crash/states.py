"""Every disk a power cut can leave behind, and whether the program keeps its promises on each.

    in   script(disk)                uses the disk, calls disk.sent(x) and disk.acked(x)
         check(image, acked, sent)   opens the image with the code under test; raises on violation
    out  Report: how many states, how many distinct images, which violations, each with the id
         that replays it alone: explore(script, check, only="17:3")

The model. A power cut may come after any operation. What was synced is there (a file's contents
after sync of the file, a name after sync of the folder that holds it). Of the rest:

    names     every prefix of the pending changes of names, and all but any one of them
    a file    every prefix of its pending writes; all but any one (later ones overtake it); any
              one of them cut at a byte or at a 512 B sector, or with only some of its sectors,
              or as zeros of its length (the size arrived, the data did not)
    a file whose sync failed: what was pending then may be there or not, for good

Files and names vary independently: all combinations if there are at most `per_point` at a
point, else a seeded sample that always holds the two extremes. States that give an image with
the same promises as one before are counted, not checked again.

Price: about 30 µs a state, plus the check.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from crash.disk import ROOT, SimulatedDisk, change_file, change_names
from xxhash import xxh3_128

SECTOR_BYTES = 512
PER_POINT = 400

Check = Callable[[SimulatedDisk, list, list], None]
Script = Callable[[SimulatedDisk], None]


@dataclass(frozen=True, slots=True)
class State:
    """One disk image; `name` is point:index, `story` says what was lost."""

    name: str
    story: str
    image: SimulatedDisk
    acked: list
    sent: list


@dataclass(slots=True)
class Report:
    ops: int = 0
    states: int = 0
    images: int = 0
    violations: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        head = f"{self.ops} ops, {self.states} states, {self.images} images: "
        return head + ("\n".join(self.violations[:5]) or "no violation")


def explore(
    script: Script,
    check: Check,
    *,
    seed: int = 0,
    per_point: int = PER_POINT,
    images_max: int | None = None,
    violations_max: int = 1,
    disk: SimulatedDisk | None = None,
    past: tuple[list, list] = ((), ()),
    only: str | None = None,
) -> Report:
    """Run `script` once, then `check` on every distinct image its disk may be left with.

    `disk` and `past` (acked, sent) let it start from the image of another exploration.
    """
    disk = disk or SimulatedDisk()
    script(disk)
    report = Report(ops=len(disk.ops))
    seen: set[bytes] = set()
    for state in crash_states(disk, seed=seed, per_point=per_point, past=past):
        report.states += 1
        if only is not None and state.name != only:
            continue
        key = _digest(state)
        if key in seen:
            continue
        seen.add(key)
        report.images += 1
        try:
            check(state.image, state.acked, state.sent)
        except Exception as error:  # any way to fail is a violation, with its id
            op = disk.ops[int(state.name.partition(":")[0])]
            report.violations.append(
                f"state {state.name} (seed {seed}) after {_short(op)}, {state.story}: "
                f"{type(error).__name__}: {error}"
            )
            if only is not None:
                raise
            if len(report.violations) >= violations_max:
                break
        if images_max is not None and report.images >= images_max:
            break
    return report


def crash_states(
    disk: SimulatedDisk, *, seed: int, per_point: int, past: tuple[list, list] = ((), ())
) -> Iterator[State]:
    """States after each operation of `disk.ops`, which started from an empty or given image."""
    durable = _Durable(disk)
    acked, sent = map(list, past)
    for point, op in enumerate(disk.ops):
        if op[0] == "acked":
            acked.append(op[1])
        elif op[0] == "sent":
            sent.append(op[1])
        durable.apply(op)
        if point < disk.explore_from:
            continue
        rng = random.Random(f"{seed}:{point}")
        for index, (story, image) in enumerate(durable.images(rng, per_point)):
            yield State(f"{point}:{index}", story, image, list(acked), list(sent))


class _Durable:
    """What is surely on disk, and what is pending, as the operations go by."""

    def __init__(self, disk: SimulatedDisk) -> None:
        files, dirs = disk.started
        self.files = dict(files)
        self.dirs = {ino: dict(names) for ino, names in dirs.items()}
        self.names: list[tuple] = []
        self.writes: dict[int, list[tuple]] = {}
        self.limbo: dict[int, list[tuple]] = {}

    def apply(self, op: tuple) -> None:
        what = op[0]
        if what in ("write", "truncate"):
            self.writes.setdefault(op[1], []).append(op)
        elif what == "newdir":
            self.dirs[op[1]] = {}
        elif what == "name":
            self.names.append(op)
        elif what == "sync":
            ino = op[1]
            self.files[ino] = _written(self.files.get(ino, b""), self.writes.pop(ino, []))
            self.limbo.pop(ino, None)
        elif what == "lost":
            ino = op[1]
            self.limbo.setdefault(ino, []).extend(self.writes.pop(ino, []))
        elif what == "syncdir":
            forced = [change for change in self.names if op[1] in change[2]]
            self.names = [change for change in self.names if op[1] not in change[2]]
            for change in forced:
                change_names(self.dirs, change[3])

    def images(self, rng: random.Random, per_point: int) -> Iterator[tuple[str, SimulatedDisk]]:
        axes = [_name_choices(self.names)]
        inodes = sorted({*self.writes, *self.limbo})
        axes += [
            _file_choices(self.limbo.get(ino, []), self.writes.get(ino, []), rng) for ino in inodes
        ]
        count = math.prod(len(axis) for axis in axes)
        if count <= per_point:
            combos = itertools.product(*axes)
        else:
            ends = [tuple(axis[0] for axis in axes), tuple(axis[-1] for axis in axes)]
            drawn = [tuple(rng.choice(axis) for axis in axes) for _ in range(per_point - 2)]
            combos = itertools.chain(ends, drawn)
        for names, *writes in combos:
            yield self._image(names, dict(zip(inodes, writes, strict=True)))

    def _image(self, names: tuple, writes: dict[int, tuple]) -> tuple[str, SimulatedDisk]:
        dirs = {ino: dict(entries) for ino, entries in self.dirs.items()}
        for change in names[1]:
            change_names(dirs, change[3])
        story = [f"names {names[0]}"]
        files = dict(self.files)
        for ino, (label, ops) in writes.items():
            files[ino] = _written(files.get(ino, b""), ops)
            story.append(f"file {ino} {label}")
        reached = _reached(dirs)
        for ino in reached - dirs.keys():
            files.setdefault(ino, b"")
        image = SimulatedDisk(
            {ino: data for ino, data in files.items() if ino in reached},
            {ino: entries for ino, entries in dirs.items() if ino in reached},
        )
        return ", ".join(story), image


def _name_choices(pending: list[tuple]) -> list[tuple]:
    choices = [(f"first {n} of {len(pending)}", pending[:n]) for n in range(len(pending) + 1)]
    # Leaving out the last one is a prefix already.
    choices += [(f"all but #{n}", pending[:n] + pending[n + 1 :]) for n in range(len(pending) - 1)]
    return choices[:1] + choices[len(pending) + 1 :] + choices[1 : len(pending) + 1]


def _file_choices(limbo: list, pending: list, rng: random.Random) -> list[tuple]:
    """From nothing (first) to everything (last); variants of each pending write between."""
    choices = [("none", [])]
    if limbo:
        choices.append(("unsynced for good", limbo))
    for n, op in enumerate(pending):
        before, after = pending[:n], pending[n + 1 :]
        if n:
            choices.append((f"first {n}", before))
        if after:
            choices.append((f"all but #{n}", before + after))
        if op[0] != "write" or not op[3]:
            continue
        data = op[3]
        choices.append((f"zeros for #{n}", [*before, _with(op, bytes(len(data))), *after]))
        cut = rng.randrange(len(data))
        choices.append((f"#{n} torn at {cut}", [*before, _with(op, data[:cut])]))
        first = SECTOR_BYTES - op[2] % SECTOR_BYTES  # where sectors begin inside this write
        if len(data) > first:
            borders = range(first, len(data), SECTOR_BYTES)
            cut = rng.choice(borders)
            choices.append((f"#{n} torn at sector {cut}", [*before, _with(op, data[:cut])]))
            torn, kept = _some_sectors(op, [0, *borders], rng)
            choices.append((f"#{n} only sectors {kept}", [*before, *torn, *after]))
    if limbo:
        choices.append(("all", limbo + pending))
    elif pending:
        choices.append(("all", pending))
    return choices


def _some_sectors(op: tuple, borders: list[int], rng: random.Random) -> tuple[list, list[int]]:
    """The sectors of one write that happened to arrive; the file is as long as with all."""
    data = op[3]
    ends = [*borders[1:], len(data)]
    kept = [n for n in range(len(borders)) if rng.random() < 0.5]
    torn = [("truncate_up", op[1], op[2] + len(data))]
    torn += [("write", op[1], op[2] + borders[n], data[borders[n] : ends[n]]) for n in kept]
    return torn, kept


def _with(op: tuple, data: bytes) -> tuple:
    return (*op[:3], data)


def _written(data: bytes, ops: list[tuple]) -> bytes:
    if not ops:
        return data
    changed = bytearray(data)
    for op in ops:
        if op[0] == "truncate_up":
            op = ("truncate", op[1], max(op[2], len(changed)))
        change_file(changed, op)
    return bytes(changed)


def _reached(dirs: dict[int, dict[str, int]]) -> set[int]:
    reached, waiting = {ROOT}, [ROOT]
    while waiting:
        for ino in dirs.get(waiting.pop(), {}).values():
            if ino not in reached:
                reached.add(ino)
                if ino in dirs:
                    waiting.append(ino)
    return reached


def _digest(state: State) -> bytes:
    digest = xxh3_128(f"{len(state.acked)} {len(state.sent)}".encode())
    for path, data in sorted(state.image.tree().items()):
        digest.update(f"\0{path}\0{-1 if data is None else len(data)}\0".encode())
        digest.update(data or b"")
    return digest.digest()


def _short(op: tuple) -> str:
    return " ".join(
        f"<{len(part)} bytes>" if isinstance(part, bytes) else str(part)
        for part in op
        if not isinstance(part, frozenset)
    )[:200]
