"""api.settings: who wins, what is refused; every refusal names the setting and its source."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api import settings
from api.settings import Settings
from tsdb.errors import InvalidInput


def load(
    flags: dict[str, object] | None = None, config: Path | None = None, **environ: str
) -> Settings:
    return settings.load(flags, environ=environ, config=config)


def test_defaults_listen_on_this_machine_only() -> None:
    chosen = load()

    assert (chosen.host, chosen.port, chosen.loopback) == ("127.0.0.1", 9292, True)


def test_flag_beats_environment_beats_file_beats_default(tmp_path: Path) -> None:
    file = tmp_path / "silverback.toml"
    file.write_text('port = 1\nhost = "::1"\nlog_format = "json"\nretention_s = "2d"\n')

    chosen = load({"port": 3, "host": None}, file, SILVERBACK_PORT="2", SILVERBACK_HOST="10.0.0.1")

    assert (chosen.port, chosen.host, chosen.log_format) == (3, "10.0.0.1", "json")
    assert chosen.retention_s == 2 * 86_400
    assert chosen.keep_alive_timeout_s == Settings().keep_alive_timeout_s


def test_the_environment_can_name_the_file(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_text("port = 7")

    assert load(SILVERBACK_CONFIG=str(file)).port == 7


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"port": "many"}, ["port", "command line", "'many'"]),
        ({"port": 65536}, ["port", "65535"]),
        ({"prot": 1}, ["'prot'", "unknown", "port"]),
        ({"retention_s": "soon"}, ["retention_s", "'soon'", "1h30m"]),
        ({"retention_s": "0s"}, ["retention_s", "1"]),
        ({"memory_limit_bytes": "1KB"}, ["memory_limit_bytes", "67108864"]),
        ({"memory_limit_bytes": "lots"}, ["memory_limit_bytes", "'lots'"]),
        ({"log_level": "loud"}, ["log_level", "'debug'"]),
        ({"host": ""}, ["host"]),
    ],
)
def test_a_wrong_setting_is_named(flags: dict[str, object], words: list[str]) -> None:
    with pytest.raises(InvalidInput) as raised:
        load(flags)

    assert all(word in str(raised.value) for word in words), str(raised.value)


def test_a_misspelt_variable_is_not_passed_over() -> None:
    with pytest.raises(InvalidInput, match=r"'retention'.*environment"):
        load(SILVERBACK_RETENTION="30d")


def test_variables_of_others_are_left_alone() -> None:
    """Kubernetes sets these for a service named silverback; the kernel cache has its own."""
    chosen = load(
        SILVERBACK_PORT="tcp://10.0.0.1:9292",
        SILVERBACK_SERVICE_HOST="10.0.0.1",
        SILVERBACK_PORT_9292_TCP_ADDR="10.0.0.1",
        SILVERBACK_CACHE_DIR="/tmp/cache",
        SILVERBACK_TOKEN="sb_of-the-commands",
        SILVERBACK_USER="anna:secret",
        SILVERBACK_CA_FILE="ca.pem",
        OTHER="x",
    )

    assert chosen == Settings()


@pytest.mark.parametrize(
    ("text", "reason"), [("port = ", "configuration file"), ("prot = 1", "configuration file")]
)
def test_a_wrong_file_is_named(tmp_path: Path, text: str, reason: str) -> None:
    file = tmp_path / "silverback.toml"
    file.write_text(text)

    with pytest.raises(InvalidInput, match=reason):
        load(config=file)
    with pytest.raises(InvalidInput, match=r"gone\.toml: no such file"):
        load(config=tmp_path / "gone.toml")


@given(st.integers(1, 10**6))
def test_sizes_and_durations_mean_what_they_say(n: int) -> None:
    chosen = load({"queue_bytes_max": f"{n + 1}MiB", "retention_s": f"{n}h"})

    assert chosen.queue_bytes_max == (n + 1) << 20
    assert chosen.retention_s == n * 3600


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("[::1]", True),
        ("LocalHost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.1", False),
        ("db.example", False),
    ],
)
def test_loopback_is_recognised(host: str, loopback: bool) -> None:
    assert load({"host": host}).loopback is loopback


def test_settings_stay_few_and_described() -> None:
    assert len(Settings.model_fields) <= 40
    assert all(field.description for field in Settings.model_fields.values())


def test_settings_never_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings().port = 1


CLUSTER = """
cluster = "demo"
node = "node-1"
replicas = 1
http = "[::1]:9311"
[nats]
routes = "127.0.0.1:9411"
[[peers]]
node = "node-1"
http = "[::1]:9311"
routes = "127.0.0.1:9411"
"""


def test_a_cluster_file_says_where_to_listen_unless_something_else_does(tmp_path: Path) -> None:
    file = tmp_path / "cluster.toml"
    file.write_text(CLUSTER)

    alone = load({"cluster": file})
    told = load({"cluster": file, "port": 7}, SILVERBACK_HOST="127.0.0.1")

    assert alone.cluster is not None
    assert (alone.cluster.node, alone.host, alone.port) == ("node-1", "::1", 9311)
    assert (told.host, told.port) == ("127.0.0.1", 7)
    assert load(SILVERBACK_CLUSTER=str(file)) == alone
    assert alone.shown()["cluster"] == f"{file}: node-1 of demo"
    assert load().cluster is None


def test_a_wrong_cluster_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "cluster.toml"
    file.write_text(CLUSTER.replace("replicas = 1", "replicas = 3"))

    with pytest.raises(InvalidInput, match=f"cluster file {file}: replicas is at most"):
        load({"cluster": file})
