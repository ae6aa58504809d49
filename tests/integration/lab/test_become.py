# SPDX-License-Identifier: GPL-3.0-or-later
"""Operators who are not root: sudo with a password, sudo without one, and no rights at all, by real sshd and sudo."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from netbench_trial.canaries import watched, where
from netbench_trial.lab import LabTrial
from netbench_trial.processes import MARK
from netbench_trial.trial import PLAYBOOKS

CANARY = "parola-3kW9vZ"
TOKEN = "geheimnis-8Qx1Lm"  # of the benchmark's own environment, marked secret
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
    mine = {"API_TOKEN": TOKEN}
    secret.write_text(json.dumps({"ansible_become_password": CANARY, "netbench_secret_environment": mine}))
    yield on_lab
    secret.unlink()
    for name in (ASKED, UNASKED):
        host = on_lab.lab.hosts[name]
        for pid in host.processes(rf"worker-\w+\.pyz serve .*{on_lab.token}"):
            host.kill(pid, "TERM")


def secret_file(trial: LabTrial) -> Path:
    return trial.folder / "host_vars" / ASKED / "secret.json"


def test_sudo_with_and_without_a_password(by_operator: LabTrial) -> None:
    """The walk goes through sudo on both hosts; the password, and what is marked secret, appear nowhere else."""
    with watched(CANARY, TOKEN) as seen:
        finished = by_operator.play(*ONLY, "-vvv", timeout_s=90, ansible_become=True, **WORK).ok()
    run = by_operator.run
    assert [line["verdict"] for line in run.samples] == ["ok"]
    assert set(run.samples[0]["hosts"]) == {ASKED, UNASKED}
    for name in (ASKED, UNASKED):
        host = by_operator.lab.hosts[name]
        journal = host.shell("journalctl --no-pager -o cat")
        assert "worker.pyz attach" in journal, "sudo has noted that the channel went through it"
        for canary in (CANARY, TOKEN):
            assert canary not in journal
            assert not host.run(
                "grep", "-rl", canary, "/var/lib/netbench-worker", f"/home/{USER}", "/tmp", "/var/tmp", check=False
            ).stdout
    benchmark = {each for each in seen() if TOKEN in each}
    assert benchmark, "the server had its token"
    assert not seen() - benchmark
    for each in benchmark:
        assert each.startswith("environ: ")
        assert f"{MARK}={by_operator.token}" in each, "in the environment of the benchmark's own process only"
    for canary in (CANARY, TOKEN):
        assert canary not in finished.output
        assert where(canary, by_operator.folder) == [str(secret_file(by_operator))]


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
    assert said in " ".join(finished.output.split()), "in lines of any length"
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
