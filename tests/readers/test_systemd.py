"""The shipped units and crontab: sound by systemd's own check, and of the same values as the program and its pipeline file."""

import pathlib
import re
import shutil
import subprocess
import tomllib

import pytest

from conftest import COMPLINE
from test_kubernetes import helped, seconds

NIGHTLY = pathlib.Path(__file__).parents[2] / "pipelines" / "nightly"
UNITS = sorted((NIGHTLY / "systemd").iterdir())
SERVICES = {path.stem.removeprefix("compline-"): path for path in UNITS if path.suffix == ".service"}


def setting(path, name):
    return re.search(rf"^{name}=(.*)$", path.read_text(), re.MULTILINE).group(1)


def assert_is_a_command(line):
    program, command, file, *options = line.split()
    assert program.endswith("compline") and file == "/etc/compline/pipeline.toml" and "<FILE>" in helped(command)
    assert all(option in helped(command) for option in options if option.startswith("--")), options


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd checks its own units")
def test_systemd_finds_nothing_wrong_with_the_units_and_little_that_they_may_do(tmp_path):
    for unit in UNITS:
        # It looks for the program as well.
        (tmp_path / unit.name).write_text(unit.read_text().replace("/usr/local/bin/compline", str(COMPLINE)))
    checked = subprocess.run(["systemd-analyze", "verify", *sorted(tmp_path.iterdir())], capture_output=True, text=True, timeout=120)
    assert checked.returncode == 0 and str(tmp_path) not in checked.stderr, checked
    for name in SERVICES:
        security = ["systemd-analyze", "security", "--offline=yes", "--threshold=20", tmp_path / f"compline-{name}.service"]
        told = subprocess.run(security, capture_output=True, text=True, timeout=120)
        assert told.returncode == 0, told.stdout[-500:]
    # What is wrong is found.
    (tmp_path / "compline-run.service").write_text("[Service]\nType=oneshot\nExecStart=/gone\n")
    assert subprocess.run(["systemd-analyze", "verify", tmp_path / "compline-run.service"], capture_output=True, timeout=120).returncode != 0


def test_the_units_run_commands_that_the_program_has_and_try_again_what_another_try_can_change():
    for name, path in SERVICES.items():
        assert setting(path, "ExecStart").split()[1] == name
        assert_is_a_command(setting(path, "ExecStart"))
        assert path.with_suffix(".timer") in UNITS
    assert {name: setting(path, "RestartPreventExitStatus") for name, path in SERVICES.items()} == {
        "run": "2 4 5", "maintain": "2 5", "verify": "1 2"}


def test_the_nightly_unit_lasts_longer_than_what_it_runs():
    fetch = tomllib.loads((NIGHTLY / "pipeline.toml").read_text())["fetch"]
    wait = setting(SERVICES["run"], "ExecStart").split("--wait ")[1]
    assert fetch["run_deadline_secs"] + seconds(wait) + 3600 <= seconds(setting(SERVICES["run"], "TimeoutStartSec")) < 24 * 3600


def test_the_crontab_has_a_line_for_each_command():
    lines = [line for line in (NIGHTLY / "crontab").read_text().splitlines() if line and not line.startswith(("#", "PATH="))]
    commands = []
    for line in lines:
        *times, user, command = line.split(" ", 6)
        assert len(times) == 5 and all(re.fullmatch(r"\*|\d+", field) for field in times) and user == "compline"
        command, log = command.split(" 2>> ")
        assert_is_a_command(command)
        commands.append(command.split()[1])
        assert log == f"/var/log/compline/{commands[-1]}.log"
    assert sorted(commands) == sorted(SERVICES)
