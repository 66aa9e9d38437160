"""api.scrape.targets: what is asked, under which labels."""

from __future__ import annotations

from typing import Any

import pytest

from api.scrape.config import Group, Job
from api.scrape.relabel import Action, Rule
from api.scrape.targets import Target, discovered_labels, target_of
from tsdb.errors import InvalidInput


def made(address: str = "h:1", *, group: dict[str, str] | None = None, **job: Any) -> Target | None:
    one = Job("j", **job)
    labels = tuple((group or {}).items())
    return target_of(one, discovered_labels(one, Group("s", (address,), labels), address))


def there(*arguments: Any, **named: Any) -> Target:
    target = made(*arguments, **named)
    assert target is not None
    return target


def test_defaults() -> None:
    target = there(group={"env": "prod", "__meta_x": "y", "__tmp": "z"})

    assert dict(target.labels) == {"job": "j", "instance": "h:1", "env": "prod"}
    assert target.url == "http://h:1/metrics"
    assert (target.interval_ms, target.timeout_ms) == (60_000, 10_000)
    assert dict(target.discovered) == {
        "__address__": "h:1", "__metrics_path__": "/metrics", "__scheme__": "http", "job": "j",
        "__scrape_interval__": "1m", "__scrape_timeout__": "10s", "env": "prod",
        "__meta_x": "y", "__tmp": "z",
    }  # fmt: skip


def test_labels_of_the_group_are_stronger_than_defaults() -> None:
    target = there(
        group={"job": "other", "__scheme__": "https", "__metrics_path__": "/x y", "instance": "i",
               "__scrape_interval__": "2s", "__scrape_timeout__": "1s"}
    )  # fmt: skip
    assert dict(target.labels) == {"job": "other", "instance": "i"}
    assert target.url == "https://h:1/x%20y"
    assert (target.interval_ms, target.timeout_ms) == (2_000, 1_000)


def test_rules_may_send_it_elsewhere() -> None:
    """The blackbox exporter's way: the address becomes a parameter."""
    target = there(
        "site.example",
        params=(("module", ("http_2xx", "second")), ("target", ("never",))),
        target_rules=(
            Rule(source_labels=("__address__",), target_label="__param_target"),
            Rule(source_labels=("__param_target",), target_label="instance"),
            Rule(target_label="__address__", replacement="127.0.0.1:9115"),
        ),
    )
    assert dict(target.labels) == {"job": "j", "instance": "site.example"}
    assert target.url == (
        "http://127.0.0.1:9115/metrics?module=http_2xx&module=second&target=site.example"
    )


def test_rules_may_drop_it() -> None:
    assert made(target_rules=(Rule(Action.DROP, ("job",), regex="j"),)) is None


@pytest.mark.parametrize(
    ("address", "group", "said"),
    [
        ("h:99999", {}, "host:port"),
        ("h:x", {}, "host:port"),
        ("a b", {}, "host:port"),
        ("u@h:1", {}, "host:port"),
        ("h:1\r\nX: y", {}, "host:port"),
        ("h", {"__scheme__": "ftp"}, "neither"),
        ("h", {"__scrape_interval__": "0s"}, "zero"),
        ("h", {"__scrape_interval__": "x"}, "__scrape_interval__"),
        ("h", {"__scrape_timeout__": "5m"}, "longer"),
    ],
)
def test_what_cannot_be_asked(address: str, group: dict[str, str], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        made(address, group=group)
    with pytest.raises(InvalidInput, match="no address"):
        made(target_rules=(Rule(target_label="__address__", replacement=""),))


def test_the_spread_is_even_and_stays() -> None:
    spreads = [there(f"host{i}:9100").spread % 1_000 for i in range(500)]
    assert there("host0:9100").spread % 1_000 == spreads[0]
    assert all(sum(low <= s < low + 250 for s in spreads) > 80 for low in (0, 250, 500, 750))


@pytest.mark.parametrize("address", ["[::1]:9100", "10.0.0.1", "a-b.c:80"])
def test_addresses_of_every_kind(address: str) -> None:
    assert there(address).url == f"http://{address}/metrics"
