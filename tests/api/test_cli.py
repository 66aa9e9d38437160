"""api.cli: every mistake is one line that says what to do, and every exit code means something."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from api import cli
from api.exits import Exit, verdict
from api.settings import Settings
from tsdb.errors import CorruptionError, NewerFormat, StorageFailed, Unavailable

HELP_CPU_S_MAX = 0.5
COMMANDS = (
    "serve", "demo", "import", "export", "query", "inspect", "verify", "snapshot", "compress",
    "warm",
)  # fmt: skip


def test_help_is_instant_and_loads_nothing_heavy() -> None:
    code = (
        "import sys, time\n"
        "from api import cli\n"
        "assert cli.run(['--help']) == 0\n"
        "heavy = {'numba', 'numpy', 'fastapi', 'pydantic_settings', 'uvicorn'} & set(sys.modules)\n"
        "sys.exit(f'{time.process_time()} s, {heavy}') if heavy or time.process_time() > "
        f"{HELP_CPU_S_MAX} else None\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert all(command in done.stdout for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_teaches(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What it does, and an example that can be pasted."""
    assert cli.run([command, "--help"]) == Exit.OK

    text = capsys.readouterr().out
    assert "Usage: silverback" in text
    assert "Example" in text
    assert f"silverback {command}" in text


def test_no_arguments_show_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run([]) == Exit.USAGE
    assert "Commands" in capsys.readouterr().out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["--version"]) == Exit.OK
    assert capsys.readouterr().out.startswith("silverback ")


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["improt"], Exit.USAGE, "Did you mean 'import'?"),
        (["import"], Exit.USAGE, "Missing argument 'FILE...'"),
        (["query", "x", "--fast"], Exit.USAGE, "No such option: --fast"),
        (["query", "x", "--json", "--csv"], Exit.USAGE, "exclude"),
        (["query", "x", "--data", "nowhere"], Exit.NO_INPUT, "nowhere: no such directory"),
        (["query", "x", "--url", "ftp://x"], Exit.USAGE, "not a URL"),
        (["query", "x", "--url", "http://127.0.0.1:1"], Exit.UNAVAILABLE, "silverback serve"),
        (["import", "nothing.csv", "--data", "db"], Exit.NO_INPUT, "nothing.csv: no such file"),
        (["import", "x.csv", "--label", "room"], Exit.USAGE, "NAME=VALUE"),
        (["import", "x.csv", "--time-unit", "fortnight"], Exit.USAGE, "auto, s, ms, us, ns"),
        (["compress"], Exit.USAGE, "--workload NAME"),
        (["compress", "--workload", "tea"], Exit.BAD_DATA, "not one of paper, scrape"),
        (["compress", "nothing.csv"], Exit.NO_INPUT, "nothing.csv: no such file"),
        (["compress", "empty.csv"], Exit.BAD_DATA, "empty.csv: the file is empty"),
        (["import", "empty.csv", "--data", "db"], Exit.BAD_DATA, "empty.csv: the file is empty"),
        (["export", "x", "-o", "no/x.csv", "--data", "db"], Exit.CANNOT_CREATE, "directory no"),
        (["import", ".", "--data", "db"], Exit.NO_INPUT, "is a directory"),
        (["inspect", "nowhere"], Exit.NO_INPUT, "nowhere: no such directory"),
        (["verify", "."], Exit.NO_INPUT, "holds no database"),
        (["snapshot", "there"], Exit.USAGE, "--data DIR"),
        (["export", "{}", "--format", "xml"], Exit.USAGE, "jsonl or csv"),
        (["serve", "--port", "99999"], Exit.CONFIG, "setting port in the command line"),
    ],
)
def test_a_mistake_is_one_line(
    arguments: list[str],
    code: Exit,
    says: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import tsdb

    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.csv").touch()
    with tsdb.open("db"):
        pass

    assert cli.run(arguments) == code

    told = capsys.readouterr()
    assert says in told.err
    assert told.err.count("\n") == 1, told.err
    assert told.out == ""


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Unavailable("pid 7 has it", code="locked"), Exit.LOCKED),
        (Unavailable("later", code="busy"), Exit.UNAVAILABLE),
        (StorageFailed("fsync"), Exit.STORAGE),
        (CorruptionError("f", 0, "rot"), Exit.STORAGE),
        (NewerFormat("f", 9, 1), Exit.CONFIG),
        (PermissionError(13, "Permission denied", "f"), Exit.NO_PERMISSION),
        (FileExistsError(17, "File exists", "f"), Exit.CANNOT_CREATE),
        (OSError(5, "Input/output error", "f"), Exit.STORAGE),
    ],
)
def test_errors_have_codes_that_scripts_can_act_on(error: Exception, code: Exit) -> None:
    found = verdict(error)

    assert found is not None
    assert found[0] == code
    assert found[1]


def test_a_bug_is_not_dressed_up_as_a_user_error(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise AssertionError("two refs for one key")

    monkeypatch.setattr("api.compression.read_workload", broken)

    assert cli.run(["compress", "-w", "cpu"]) == Exit.BUG

    told = capsys.readouterr().err
    assert "two refs for one key" in told
    assert "Traceback" in told
    assert "please report" in told


def test_ctrl_c_is_quiet(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("api.compression.read_workload", interrupted)

    assert cli.run(["compress", "-w", "cpu"]) == Exit.INTERRUPTED
    assert "Traceback" not in capsys.readouterr().err


def test_a_closed_pipe_is_no_error() -> None:
    """`silverback ... | head -1`."""
    command = [sys.executable, "-m", "api.cli", "compress", "-w", "constant", "-w", "cpu"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        child.stdout.close()
        said = child.stderr.read()
    assert (child.returncode, said) == (0, "")


def test_serve_has_a_flag_for_every_setting() -> None:
    """A setting that cannot be set from the command line would be found out too late."""
    from docs.render import _serve_flags

    assert set(_serve_flags()) == set(Settings.model_fields)


def test_compress_tells_machines_and_people_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["compress", "-w", "paper", "-w", "noise", "--json"]) == Exit.OK
    document = json.loads(capsys.readouterr().out)
    assert cli.run(["compress", "-w", "paper", "-w", "noise"]) == Exit.OK
    text = capsys.readouterr().out

    assert [one["name"] for one in document["sources"]] == ["paper", "noise"]
    assert document["total"]["points"] == sum(one["points"] for one in document["sources"])
    assert document["paper_shares"]["xor_0"] == 0.51
    for one in [*document["sources"], document["total"]]:
        assert f"{one['bits_per_value']:.2f}" in text
        assert f"{one['ratio']:.1f}x" in text


def test_compress_draws_a_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MPLCONFIGDIR", str(tmp_path))
    picture = tmp_path / "bits.png"

    assert cli.run(["compress", "-w", "cpu", "--plot", str(picture)]) == Exit.OK

    assert picture.read_bytes().startswith(b"\x89PNG")
    assert str(picture) in capsys.readouterr().err
