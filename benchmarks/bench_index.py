"""Question: what does a series cost in the index, to find, to make, to keep and to select?

Input    a fleet of pods, seed fixed: 100 metrics a pod, ten labels, 250 bytes a key; and the same
         with an eleventh label that no two series share
Compare  the obvious Python index in the same run: a dict from key to ref, a dict from (name, value)
         to a set of refs; and the same sets as Roaring bitmaps
Measure  thread CPU time, best of the passes: read the ratio first on a shared machine
Check    every answer against the baseline's
Output   a table, and JSON with --json FILE

Run      python -m benchmarks.bench_index [--series 1000000] [--passes 5] [--json FILE]
"""

from __future__ import annotations

import argparse
import gc
import json
import platform
import sys
import tempfile
import time
import tracemalloc
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pyroaring import BitMap

from tsdb.batch import SeriesDefinitions
from tsdb.index import store
from tsdb.index.aliases import Aliases
from tsdb.index.labels import canonical
from tsdb.index.pattern import Pattern
from tsdb.index.registry import Registry
from tsdb.index.selector import parse_selector
from tsdb.vfs import OsFiles

METRICS, BASELINE_SERIES, HOT_SERIES, SEED = 100, 100_000, 2_000, 7
# What the design asks for.
LOOKUPS_PER_S_MIN, DEFINES_PER_S_MIN, BYTES_PER_SERIES_MAX = 5e6, 3e5, 600
SELECT_ONE_MS_MAX, SELECT_MANY_MS_MAX, SORT_MS_MAX, LOAD_S_MAX = 1.0, 5.0, 10.0, 1.5


# --- input --------------------------------------------------------------------------------------


def pod_labels(pod: int) -> dict[str, str]:
    service = pod % 200
    return {
        "cluster": "prod-eu-west-1",
        "container": f"service-{service:03d}",
        "instance": f"10.{pod % 4}.{pod // 256 % 256}.{pod % 256}:9100",
        "job": f"kubernetes-pods-{pod % 20}",
        "namespace": f"team-{pod % 50}",
        "node": f"ip-10-0-{pod % 500 // 256}-{pod % 500 % 256}.ec2",
        "pod": f"service-{service:03d}-{pod * 2654435761 % 2**32:08x}-{pod % 97:05d}",
        "region": "eu-west-1a",
        "service": f"svc{service}",
    }


def metric_name(number: int) -> str:
    return f"container_net_metric_{number:03d}_total"


def keys(series: int, unique: bool) -> Iterator[bytes]:
    """Canonical keys in the order of a scrape: pod by pod. `__name__` sorts first, `uid` last."""
    metrics = [canonical({"__name__": metric_name(m)}) for m in range(METRICS)]
    pods = -(-series // METRICS)
    rests = [canonical(pod_labels(p)) for p in range(pods)]
    for ref in range(series):
        key = metrics[ref % METRICS] + rests[ref // METRICS]
        if unique:
            key += b"\3\0uid\x0a\0" + b"%010x" % (ref * 2654435761 % 2**40)
        yield key


def definitions(series: int, unique: bool) -> SeriesDefinitions:
    text = list(keys(series, unique))
    offsets = np.zeros(series + 1, np.int64)
    np.cumsum([len(key) for key in text], out=offsets[1:])
    return SeriesDefinitions(np.arange(series, dtype=np.uint32), offsets, b"".join(text))


# --- baseline -----------------------------------------------------------------------------------


class DictIndex:
    """What one would write first."""

    def __init__(self) -> None:
        self.refs: dict[bytes, int] = {}
        self.labels: list[tuple[tuple[bytes, bytes], ...]] = []
        self.postings: dict[tuple[bytes, bytes], set[int]] = {}

    def define(self, given: SeriesDefinitions, count: int) -> None:
        for ref in range(count):
            key = given.keys[given.offsets[ref] : given.offsets[ref + 1]]
            self.refs[key] = ref
            pairs = tuple(split(key))
            self.labels.append(pairs)
            for pair in pairs:
                self.postings.setdefault(pair, set()).add(ref)

    def lookup(self, data: bytes, starts: list[int], ends: list[int]) -> list[int]:
        refs = self.refs
        return [refs[data[start:end]] for start, end in zip(starts, ends, strict=True)]


def split(key: bytes) -> Iterator[tuple[bytes, bytes]]:
    position = 0
    while position < len(key):
        end = position + 2 + int.from_bytes(key[position : position + 2], "little")
        stop = end + 2 + int.from_bytes(key[end : end + 2], "little")
        yield key[position + 2 : end], key[end + 2 : stop]
        position = stop


# --- measuring ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    what: str
    ours: float
    unit: str
    baseline: float | None = None
    bound: float | None = None
    higher_is_better: bool = False

    @property
    def kept(self) -> bool | None:
        if self.bound is None:
            return None
        return (self.ours >= self.bound) == self.higher_is_better or self.ours == self.bound

    def line(self) -> str:
        ratio = ""
        if self.baseline is not None:
            better = (
                self.ours / self.baseline if self.higher_is_better else self.baseline / self.ours
            )
            ratio = f"{number(self.baseline):>12}  {better:8.1f}x"
        bound = (
            "" if self.bound is None else f"{number(self.bound)} {'ok' if self.kept else 'MISSED'}"
        )
        return f"{self.what:<58}{number(self.ours):>12} {self.unit:<10}{ratio:<24}{bound}"


def number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def best(function: Callable[[], Any], passes: int) -> tuple[float, Any]:
    taken, answer = float("inf"), None
    for _ in range(passes):
        start = time.thread_time()
        answer = function()
        taken = min(taken, time.thread_time() - start)
    return taken, answer


def resident_bytes() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) * 1024
    return 0


# --- questions ----------------------------------------------------------------------------------


def making(given: SeriesDefinitions, unique: bool) -> tuple[Registry, list[Row]]:
    series = given.count
    before = resident_bytes()
    registry = Registry()
    taken, _ = best(lambda: registry.define(given), 1)
    resident = resident_bytes() - before
    gc.collect()
    count = min(BASELINE_SERIES, series)
    plain = DictIndex()
    slow, _ = best(lambda: plain.define(given, count), 1)
    plain = DictIndex()
    tracemalloc.start()
    plain.define(given, count)
    plain_bytes = tracemalloc.get_traced_memory()[0] / count
    tracemalloc.stop()
    name = "unique label" if unique else "fleet"
    rows = [
        Row(f"{name}: define, series/s", series / taken, "", count / slow, DEFINES_PER_S_MIN, True),
        Row(
            f"{name}: memory a series, accounted",
            registry.memory_bytes / series,
            "bytes",
            plain_bytes,
            BYTES_PER_SERIES_MAX,
        ),
    ]
    if before and not unique:  # the second time memory of the first is used again
        rows.append(Row(f"{name}: memory a series, resident", resident / series, "bytes"))
    return registry, rows


def finding(registry: Registry, given: SeriesDefinitions, passes: int) -> list[Row]:
    data = np.frombuffer(given.keys, np.uint8)
    hot = min(HOT_SERIES, given.count)
    repeats = 50
    starts = np.tile(given.offsets[:hot], repeats)
    ends = np.tile(given.offsets[1 : hot + 1], repeats)
    expected = np.tile(np.arange(hot, dtype=np.uint32), repeats)
    fast, refs = best(lambda: registry.lookup(data, starts, ends), passes)
    assert np.array_equal(refs, expected)
    plain = DictIndex()
    plain.define(given, hot)
    as_lists = starts.tolist(), ends.tolist()
    slow, plain_refs = best(lambda: plain.lookup(given.keys, *as_lists), 1)
    assert plain_refs == expected.tolist()
    aliases = Aliases()
    aliases.add_many(
        "x",
        [given.keys[a:b] for a, b in zip(starts[:hot], ends[:hot], strict=True)],
        expected[:hot],
    )
    alias, refs = best(lambda: aliases.lookup("x", data, starts, ends), passes)
    assert np.array_equal(refs, expected)
    everything, refs = best(
        lambda: registry.lookup(data, given.offsets[:-1], given.offsets[1:]), passes
    )
    assert np.array_equal(refs, given.refs)
    size = starts.size
    return [
        Row(
            f"lookup, {hot:,} series over and over, /s",
            size / fast,
            "",
            size / slow,
            LOOKUPS_PER_S_MIN,
            True,
        ),
        Row(
            "lookup by a sender's own bytes (alias), /s", size / alias, "", size / slow, None, True
        ),
        Row(
            "lookup, all series in scrape order, /s", given.count / everything, "", None, None, True
        ),
    ]


def selecting(registry: Registry, given: SeriesDefinitions, passes: int) -> list[Row]:
    pod = pod_labels(given.count // METRICS // 2)
    metric = metric_name(56)
    equalities = [
        (
            "select one of all, 2 equalities",
            {"__name__": metric, "pod": pod["pod"]},
            SELECT_ONE_MS_MAX,
        ),
        (
            "select a metric of all, 2 equalities",
            {"__name__": metric, "cluster": pod["cluster"]},
            SELECT_MANY_MS_MAX,
        ),
        ("select a job of all, 2 equalities", {"cluster": pod["cluster"], "job": pod["job"]}, None),
    ]
    rows = []
    for what, labels, bound in equalities:
        text = "{" + ",".join(f'{name}="{value}"' for name, value in labels.items()) + "}"
        matchers = parse_selector(text)
        lists = [registry.select(parse_selector(f'{{{n}="{v}"}}')) for n, v in labels.items()]
        bitmaps = [BitMap(array("I", refs.tobytes())) for refs in lists]
        sets = [set(refs.tolist()) for refs in lists]
        fast, found = best(lambda m=matchers: registry.select(m), passes)
        slow, plain = best(lambda s=sets: sorted(s[0] & s[1]), passes)
        roaring, marks = best(
            lambda b=bitmaps: np.frombuffer((b[0] & b[1]).to_array(), np.uint32), passes
        )
        assert found.tolist() == plain == marks.tolist()
        rows.append(Row(f"{what}: {found.size:,}", fast * 1e3, "ms", slow * 1e3, bound))
        rows.append(
            Row("  the same with Roaring bitmaps, as the baseline", fast * 1e3, "ms", roaring * 1e3)
        )
    rows += matching(registry, metric, passes)
    some = registry.select(parse_selector(metric))
    fast, ordered = best(lambda: registry.sort_refs(some), passes)
    slow, plain = best(lambda: sorted(some.tolist(), key=registry.key), 1)
    assert ordered.tolist() == plain
    rows.append(
        Row(f"sort {some.size:,} by their labels", fast * 1e3, "ms", slow * 1e3, SORT_MS_MAX)
    )
    return rows


def matching(registry: Registry, metric: str, passes: int) -> list[Row]:
    """Regexes: the first time, when values are asked, and afterwards."""
    rows = []
    values = registry.label_values("pod")
    for what, text in (
        ("a list", "|".join(values[:50])),
        ("a prefix", "service-12.*"),
        ("a regex", "service-(1|2)0.*-[0-9a-f]+-000[0-4]."),
    ):
        matchers = parse_selector(f'{metric}{{pod=~"{text}"}}')
        first, found = best(lambda m=matchers: registry.select(m), 1)
        again, _ = best(lambda m=matchers: registry.select(m), passes)
        pattern = Pattern(text)
        slow, hits = best(lambda p=pattern: sum(p.match(v.encode()) for v in values), 1)
        assert found.size == hits, "one series of the metric a pod"
        name = f"select by {what}: {found.size:,} of {len(values):,} values"
        rows.append(Row(f"{name}, first time", first * 1e3, "ms", slow * 1e3))
        rows.append(Row(f"{name}, again", again * 1e3, "ms"))
    return rows


def keeping(registry: Registry, series: int) -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        files, directory = OsFiles(), Path(folder)
        dump, columns = best(lambda: registry.definitions_from(0), 1)
        save, name = best(lambda: store.write_index(files, directory, columns), 1)
        again = Registry()
        load, _ = best(lambda: again.define(store.read_index(files, directory / name)), 1)
        size = (directory / name).stat().st_size
    assert again.key(series - 1) == registry.key(series - 1)
    assert again.count == series
    return [
        Row("columns of all series", dump, "s"),
        Row("write them as a file", save, "s"),
        Row("read and load the file", load, "s", None, LOAD_S_MAX),
        Row("the file, both copies, a series", size / series, "bytes"),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--series", type=int, default=1_000_000)
    parser.add_argument("--passes", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    Registry().define(definitions(1, False))  # loads the kernels
    rows: list[Row] = []
    for unique in (False, True):
        given = definitions(options.series, unique)
        registry, made = making(given, unique)
        rows += made
        if not unique:
            rows += finding(registry, given, options.passes)
            rows += selecting(registry, given, options.passes)
        rows += keeping(registry, options.series)
        del registry
    key_bytes = len(given.keys) / given.count
    title = f"{options.series:,} series; keys of the second kind take {key_bytes:.0f} bytes"
    head = f"{'':<58}{'ours':>12} {'':<10}{'baseline':>12}  {'better':>9}  bound"
    sys.stdout.write("\n".join([title, "", head, *(row.line() for row in rows), ""]))
    if options.json:
        document = {
            "machine": platform.processor() or platform.machine(),
            "python": platform.python_version(),
            "series": options.series,
            "seed": SEED,
            "passes": options.passes,
            "results": [vars(row) | {"kept": row.kept} for row in rows],
        }
        options.json.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
