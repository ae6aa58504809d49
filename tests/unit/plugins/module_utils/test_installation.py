# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Installing a worker without root: look, install, upgrade, refuse, remove; the worker is a stand-in."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.netbench.orchestrator.plugins.module_utils import _installation
from ansible_collections.netbench.orchestrator.plugins.module_utils._installation import (
    Installation,
    InstallationError,
    missing,
    places,
)

PARAMS: dict[str, Any] = {
    "mode": "auto",
    "instance": "default",
    "account": "netbench",
    "python": None,
    "units": {},
    "idle_exit_s": 60,
    "environment": {},
    "state_dir": None,
    "runtime_dir": None,
    "sha256": "ab" * 32,
    "version": "1.0",
    "source": None,
}

# `start` leaves a file for a socket, which says what `status` will answer; `stop` takes it away.
PROGRAM = """\
import hashlib, json, os, sys
command, option = sys.argv[1], dict(zip(sys.argv[2::2], sys.argv[3::2]))
sock = os.path.join(option["--runtime-dir"], "worker.sock")
if command == "start":
    os.makedirs(option["--runtime-dir"], exist_ok=True)
    os.makedirs(option["--state-dir"], exist_ok=True)
    sha256 = hashlib.sha256(open(sys.argv[0], "rb").read()).hexdigest()
    state = {"archive_sha256": sha256, "run_id": "run-7", "active": False, "coordinator": None}
    open(sock, "w").write(json.dumps(dict(state, env=os.environ.get("COLOUR"), idle=option["--idle-exit"])))
elif command == "status":
    print(open(sock).read())
elif command == "stop":
    os.unlink(sock)
"""


# Where things are


def test_root_on_a_systemd_host_gets_a_service_and_everybody_else_does_not() -> None:
    def mode(uid: int, systemd: bool, given: str = "auto") -> str:
        return places({**PARAMS, "mode": given}, uid, "/h", {}, systemd)["mode"]

    assert [mode(0, True), mode(0, False), mode(7, True), mode(0, True, "user")] == ["systemd", "user", "user", "user"]


def test_directories_are_those_of_the_architecture() -> None:
    service = places(PARAMS, 0, "/root", {}, True)
    assert service["program"] == "/usr/local/lib/netbench-orchestrator/worker.pyz"
    assert service["state_dir"] == "/var/lib/netbench-worker/default"
    assert service["runtime_dir"] == "/run/netbench-worker/default"
    mine = places(PARAMS, 7, "/h", {"XDG_STATE_HOME": "/state"}, True)
    assert mine["program"] == "/h/.local/lib/netbench-orchestrator/worker-abababababababab.pyz"
    assert mine["state_dir"] == "/state/netbench-worker/default"
    assert mine["runtime_dir"] == "/tmp/netbench-worker-7/default"
    assert mine["python"] == sys.executable


def test_what_is_missing_is_a_comparison() -> None:
    wanted = {"sha256": "a", "units": {"x": "1"}}
    settled = {"account": True, "archive_sha256": "a", "units": {"x": "1"}, "service": True, "running_sha256": "a"}
    assert missing(wanted, settled) == []
    assert missing(wanted, {**settled, "running_sha256": "b"}) == ["service"]
    assert missing(wanted, {**settled, "units": {}, "account": False}) == ["account", "units"]
    assert missing(wanted, {**settled, "archive_sha256": None}) == ["archive"]


# A worker's life


class Machine:
    """A machine whose only user has no root, with a folder for its home."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def archive(self, text: str = "") -> Path:
        path = self.home / f"transferred{len(text)}"
        path.write_text(PROGRAM + text)
        return path

    def installation(self, archive: Path, instance: str = "default", **params: Any) -> Installation:
        own = {"sha256": hashlib.sha256(archive.read_bytes()).hexdigest(), "source": str(archive), "instance": instance}
        place = {"runtime_dir": str(self.home / "run" / instance), "state_dir": str(self.home / "state" / instance)}
        return Installation({**PARAMS, "mode": "user", **own, **place, **params})

    def sock(self, instance: str = "default") -> Path:
        return self.home / "run" / instance / "worker.sock"

    def says(self, instance: str = "default", **fields: Any) -> None:
        answer = json.loads(self.sock(instance).read_text())
        self.sock(instance).write_text(json.dumps({**answer, **fields}))


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(_installation.os, "getuid", lambda: 7)
    return Machine(tmp_path)


def test_install_then_settled(machine: Machine) -> None:
    worker = machine.installation(machine.archive(), environment={"COLOUR": "red"})
    assert missing(worker.wanted, worker.look()) == ["archive", "service"]
    worker.install()
    assert missing(worker.wanted, worker.look()) == []
    answer = json.loads(machine.sock().read_text())
    assert (answer["env"], answer["idle"]) == ("red", "60")
    assert Path(worker.place["program"]).stat().st_mode & 0o777 == 0o755


def test_a_worker_that_ended_is_started_again(machine: Machine) -> None:
    worker = machine.installation(machine.archive())
    worker.install()
    machine.sock().unlink()
    assert missing(worker.wanted, worker.look()) == ["service"]
    worker.install()
    assert missing(worker.wanted, worker.look()) == []


@pytest.mark.parametrize("busy", [{"active": True}, {"coordinator": "c1"}])
def test_an_upgrade_during_a_run_is_refused_and_changes_nothing(machine: Machine, busy: dict[str, Any]) -> None:
    machine.installation(machine.archive()).install()
    machine.says(**busy)
    newer = machine.installation(machine.archive("# newer"))
    with pytest.raises(InstallationError, match=r"in the middle of run run-7: an upgrade") as no:
        newer.install()
    assert no.value.result == {"active_run": "run-7"}
    assert not Path(newer.place["program"]).exists()
    machine.says(active=False, coordinator=None)
    newer.install()
    assert missing(newer.wanted, newer.look()) == []


@pytest.mark.parametrize("run_id", ["run\x1b[2J\nok", ["x"], "x" * 5000])
def test_what_a_worker_says_of_itself_steers_no_terminal(machine: Machine, run_id: Any) -> None:
    worker = machine.installation(machine.archive())
    worker.install()
    machine.says(active=True, run_id=run_id)
    with pytest.raises(InstallationError) as no:
        machine.installation(machine.archive("# newer")).install()
    assert str(no.value).isprintable()
    assert len(str(no.value)) < 1000
    machine.sock().write_text("[]")
    assert worker.status() == {}


def test_a_damaged_archive_is_refused(machine: Machine) -> None:
    worker = machine.installation(machine.archive(), sha256="0" * 64)
    with pytest.raises(InstallationError, match="arrived damaged"):
        worker.install()
    assert worker.archives() == []


def test_an_old_python_is_refused_before_anything_changes(machine: Machine, tmp_path: Path) -> None:
    old = tmp_path / "python3"
    old.write_text("#!/bin/sh\necho 3 6\n")
    old.chmod(0o755)
    worker = machine.installation(machine.archive(), python=str(old))
    with pytest.raises(InstallationError, match=r"python3 is Python 3\.6\. Name another one with .*worker_python"):
        worker.install()
    assert worker.archives() == []


def test_a_worker_that_does_not_answer_is_an_error_not_a_hang(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_installation, "ANSWER_TIMEOUT_S", 0.1)
    archive = machine.archive()
    archive.write_text(PROGRAM.replace('command == "status"', 'command == "stat"'))
    with pytest.raises(InstallationError, match=r"does not answer within .* See .*worker\.log"):
        machine.installation(archive).install()


def test_archives_that_started_nothing_for_long_go_with_the_next_upgrade(machine: Machine) -> None:
    for text, age_s in (("# old", 8 * 86400), ("# recent!", 86400)):
        worker = machine.installation(machine.archive(text), instance=f"other{age_s}")
        worker.install()
        os.utime(worker.place["program"], (time.time() - age_s,) * 2)
    newest = machine.installation(machine.archive())
    newest.install()
    assert len(newest.archives()) == 2


def test_the_last_instance_takes_the_program_with_it(machine: Machine) -> None:
    one, two = (machine.installation(machine.archive(), instance=name) for name in ("one", "two"))
    one.install()
    two.install()
    assert one.other_instances() == ["two"]
    machine.says("one", active=True)
    with pytest.raises(InstallationError, match="removal is refused"):
        one.remove()
    machine.says("one", active=False)
    one.remove()
    assert one.leftovers() == []
    assert missing(two.wanted, two.look()) == []
    two.remove()
    assert [path.name for path in machine.home.iterdir() if path.name in ("run", "state")] == []
    assert not Path(two.library).exists()


def test_an_instance_beside_a_busy_one_disturbs_it_only_by_what_they_share(machine: Machine) -> None:
    units = {"netbench-worker@.service": "shared", "netbench-worker@two.service.d/10-instance.conf": "own"}
    two = machine.installation(machine.archive(), instance="two")
    two.wanted["units"] = units
    assert not two.disturbs_others(["units", "service"], {"netbench-worker@.service": "shared"})
    assert two.disturbs_others(["units", "service"], {})
    assert two.disturbs_others(["archive", "service"], units)


# What it runs


def test_processes_that_live_and_their_versions(machine: Machine, tmp_path: Path) -> None:
    worker = machine.installation(machine.archive())
    nobody = {"running": False, "run_id": None, "lease_left_s": None, "processes": []}
    assert worker.processes([]) == nobody
    worker.install()
    program = tmp_path / "tool"
    program.write_text("#!/bin/sh\necho Tool version 2.7.0 for $1\n")
    program.chmod(0o755)
    alive = [{"name": "ser\x1bver", "pid": 7, "program": str(program)}]
    machine.says(active=True, lease_left_s=9.5, processes=alive)
    told = worker.processes(["-V"])
    assert (told["running"], told["run_id"], told["lease_left_s"]) == (True, "run-7", 9.5)
    assert told["processes"] == [{"name": "ser?ver", "pid": 7, "program": str(program), "version": "2.7.0"}]
    assert worker.processes([])["processes"][0]["version"] == ""
    machine.says(processes=[{"pid": "seven"}])
    with pytest.raises(InstallationError, match="is not a worker of this version"):
        worker.processes([])


def test_removal_ends_the_run_when_that_is_wanted(machine: Machine) -> None:
    worker = machine.installation(machine.archive())
    worker.install()
    machine.says(active=True)
    worker.remove(end_run=True)
    assert worker.leftovers() == []


def test_a_service_needs_root_and_fixed_directories(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InstallationError, match="needs root"):
        Installation({**PARAMS, "mode": "systemd"})
    monkeypatch.setattr(_installation.os, "getuid", lambda: 0)
    with pytest.raises(InstallationError, match="for mode=user"):
        Installation({**PARAMS, "mode": "systemd", "state_dir": "/x"})
