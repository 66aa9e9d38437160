"""tsdb.parse.exposition_push: what a push changes of its group."""

import numpy as np
import pytest

from tsdb.index import labels
from tsdb.parse import exposition
from tsdb.parse.exposition_push import Inconsistent, failure_of, push_of, removal_of

GROUP = ((b"job", b"j"),)
STALE = 0x7FF0000000000002


def push(body, before, *, replace=False):
    reading = exposition.read(body, exposition.Format(3, 77), strict=True, extra=GROUP)
    return push_of(reading, GROUP, before, (77, 0.077), replace=replace)


def values(parsed):
    text = parsed.key_bytes.tobytes()
    assert set(parsed.columns.timestamps.tolist()) <= {77}
    return {
        labels.parse(text[start:end]).name: "stale" if bits == STALE else value
        for start, end, bits, value in zip(
            parsed.key_starts.tolist(),
            parsed.key_ends.tolist(),
            parsed.columns.values.view(np.uint64).tolist(),
            parsed.columns.values.tolist(),
            strict=True,
        )
    }


ABOUT = {"push_time_seconds": 0.077, "push_failure_time_seconds": 0.0}


def test_families_are_replaced_or_all():
    first = push(b"# TYPE h histogram\nh_sum 1\nh_count 1\nx 1\nh_x 1\n", {})
    assert set(first.families) == {"h", "x", "h_x", *ABOUT}

    some = push(b"# TYPE h histogram\nh_sum 2\n", first.families)
    assert values(some.parsed) == {"h_sum": 2.0, "h_count": "stale", **ABOUT}
    held = {"h": 1, "x": 1, "h_x": 1} | dict.fromkeys(ABOUT, 1)
    assert {name: len(keys) for name, keys in some.families.items()} == held

    every = push(b"x 2\n", first.families, replace=True)
    gone = {"h_sum": "stale", "h_count": "stale", "h_x": "stale"}
    assert values(every.parsed) == {"x": 2.0, **gone, **ABOUT}
    assert set(every.families) == {"x", *ABOUT}


def test_removal_and_failure():
    held = push(b"x 1\n", {}).families

    assert values(removal_of(held, 77)) == dict.fromkeys(("x", *ABOUT), "stale")
    assert values(failure_of(GROUP, (77, 0.077))) == {"push_failure_time_seconds": 0.077}


@pytest.mark.parametrize("body", [b"x 1 5\n", b"x 1\nx 2\n", b'x{job="a"} 1\nx 2\n'])
def test_what_no_pushgateway_takes(body):
    with pytest.raises(Inconsistent):
        push(body, {})
