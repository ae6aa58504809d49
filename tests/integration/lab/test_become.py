# SPDX-License-Identifier: GPL-3.0-or-later
"""Operators who are not root: sudo with a password, sudo without one, and no rights at all, by real sshd and sudo."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from netbench_trial.lab import LabTrial
from netbench_trial.trial import PLAYBOOKS

CANARY = "parola-3kW9vZ"
USER = "rose"
ASKED, UNASKED = "server1", "client1"  # one host wants the password, the other does not
ONLY = ("incast.yml", "--limit", f"localhost,{ASKED},{UNASKED}")
WORK = {"run_workload": "pynetbench", "run_parameters": {"duration": "1s"}, "run_max_start_skew": "1s"}


@pytest.fixture
def by_operator(on_lab: LabTrial) -> Iterator[LabTrial]:
    """The two hosts with an ordinary account, by which Ansible connects; the password is in a file of variables."""
    for name in (ASKED, UNASKED):
        host = on_lab.lab.hosts[name]
        tag = "NOPASSWD:" if name == UNASKED else ""
        host.shell(f"""
            id -u {USER} || useradd -m -s /bin/bash {USER}
            install -d -m 700 -o {USER} -g {USER} /home/{USER}/.ssh
            install -m 600 -o {USER} -g {USER} /root/.ssh/authorized_keys /home/{USER}/.ssh/
            echo '{USER} ALL=(ALL:ALL) {tag}ALL' > /etc/sudoers.d/{USER}""")
        host.run("chpasswd", stdin=f"{USER}:{CANARY}")
    # Its own control path: a connection of root's would be shared, and everything would work by mistake.
    mine = {"ansible_user": USER, "ansible_control_path": f"%(directory)s/{on_lab.lab.settings.lab_id}-op-%%h"}
    on_lab.write_inventory(**{ASKED: mine, UNASKED: mine})
    secret = secret_file(on_lab)
    secret.parent.mkdir(parents=True, exist_ok=True)
    secret.write_text(json.dumps({"ansible_become_password": CANARY}))
    yield on_lab
    secret.unlink()
    for name in (ASKED, UNASKED):
        host = on_lab.lab.hosts[name]
        for pid in host.processes(rf"worker-\w+\.pyz serve .*{on_lab.token}"):
            host.kill(pid, "TERM")


def secret_file(trial: LabTrial) -> Path:
    return trial.folder / "host_vars" / ASKED / "secret.json"


@contextlib.contextmanager
def watched(text: str, proc: Path = Path("/proc")) -> Iterator[Callable[[], set[str]]]:
    """Look through the arguments and environments of all processes, the hosts' included, again and again."""
    wanted, found, stop = text.encode(), set[str](), threading.Event()

    def watch() -> None:
        while not stop.wait(0.02):
            for folder in proc.iterdir():
                for name in ("cmdline", "environ") if folder.name.isdigit() else ():
                    with contextlib.suppress(OSError):
                        if wanted in (content := (folder / name).read_bytes()):
                            found.add(f"{name}: {content!r}")

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield lambda: found
    finally:
        stop.set()
        watcher.join(10)


def where(text: str, *folders: Path) -> list[str]:
    """Files below these folders with this text in them."""
    files = (path for folder in folders for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return [str(path) for path in files if text.encode() in path.read_bytes()]


def test_sudo_with_and_without_a_password(by_operator: LabTrial) -> None:
    """The walk goes through sudo on both hosts, and the password appears nowhere."""
    with watched(CANARY) as seen:
        finished = by_operator.play(*ONLY, "-vvv", timeout_s=90, ansible_become=True, **WORK).ok()
    run = by_operator.run
    assert [line["verdict"] for line in run.samples] == ["ok"]
    assert set(run.samples[0]["hosts"]) == {ASKED, UNASKED}
    for name in (ASKED, UNASKED):
        host = by_operator.lab.hosts[name]
        journal = host.shell("journalctl --no-pager -o cat")
        assert "worker.pyz attach" in journal, "sudo has noted that the channel went through it"
        assert CANARY not in journal
        assert not host.run(
            "grep", "-rl", CANARY, "/var/lib/netbench-worker", f"/home/{USER}", "/tmp", check=False
        ).stdout
    assert not seen()
    assert CANARY not in finished.output
    assert where(CANARY, by_operator.folder) == [str(secret_file(by_operator))]


@pytest.mark.parametrize(
    ("secret", "said"),
    [({}, "password is required"), ({"ansible_become_password": "wrong"}, "incorrect password attempt")],
)
def test_a_password_that_is_not_right_is_said_at_once(by_operator: LabTrial, secret: dict[str, str], said: str) -> None:
    """Prepared hosts, no role before the walk: the coordinator itself has to say it."""
    secret_file(by_operator).write_text(json.dumps(secret))
    finished = by_operator.start(
        PLAYBOOKS / "run.yml", "--limit", f"{ASKED},{UNASKED}", run_name="incast", ansible_become=True, **WORK
    ).wait(60)
    finished.failed()
    assert f"{ASKED}: no rights to run the worker's program" in finished.output
    assert said in finished.output
    assert f"{UNASKED}:" not in finished.output.split("PLAY RECAP")[0].partition("cannot take part")[2]


def test_no_rights_at_all(by_operator: LabTrial) -> None:
    """A worker of the operator's own, without root: the benchmark's processes are the operator's too."""
    by_operator.play(*ONLY, timeout_s=90, worker_mode="user", worker_idle_exit_s=60, **WORK).ok()
    run = by_operator.run
    assert [line["verdict"] for line in run.samples] == ["ok"]
    assert run.check_seals() > 0
    for name in (ASKED, UNASKED):
        workers = by_operator.lab.hosts[name].shell(f"ps -u {USER} -o args=")
        assert f"/home/{USER}/.local/lib/netbench-orchestrator/worker-" in workers
