# SPDX-License-Identifier: GPL-3.0-or-later
"""The control plane breaks: a host cannot be reached, a worker or the coordinator dies, a person has enough."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import socket
import time
from collections.abc import Callable

import pytest
from netbench_trial.programs import pair
from netbench_trial.results import RunFolder
from netbench_trial.trial import PLAYBOOKS, USUAL, LocalTrial, Playing, until
from netbench_trial.verdict import went_wrong

BOUND_S = 45.0
SLEEP_S = 25
LEASE_S = 1 + 3 * (2 + 3) + 2  # run_lease, three steps of 2 s with the coordinator's margin, and a busy machine


def in_window(trial: LocalTrial, playing: Playing) -> None:
    """Return as soon as all clients run."""

    def released() -> bool:
        assert playing.process.poll() is None, f"ended before the window:\n{playing.text}"
        return sum(f"sleep {SLEEP_S}" in command for command in trial.leftovers().values()) == 2

    until("the clients run", released, deadline_s=30)


def long_walk(trial: LocalTrial, **variables: object) -> Playing:
    parameters = pair(client=["sleep", str(SLEEP_S)], duration_s=SLEEP_S)
    return trial.walking("command", parameters=parameters, **variables)


def gone_after_s(trial: LocalTrial, act: Callable[[], None], *, deadline_s: float) -> float:
    """How long every process of every host outlives an act."""
    began_s = time.monotonic()
    act()
    until("every process is gone", lambda: not trial.leftovers(), deadline_s=deadline_s)
    return time.monotonic() - began_s


@pytest.mark.skipif(shutil.which("ssh") is None, reason="not installed: ssh")
def test_a_host_cannot_be_reached(local: LocalTrial) -> None:
    """Nobody answers at its ssh port: no process is started, and the message has the host and ssh's own words."""
    with socket.create_server(("127.0.0.1", 0)) as held:
        closed_port = held.getsockname()[1]
    local.write_inventory(
        client2={
            "ansible_connection": "ssh",
            "ansible_host": "127.0.0.1",
            "ansible_port": closed_port,
            "ansible_ssh_common_args": "-o ConnectTimeout=3 -o BatchMode=yes",
        }
    )
    finished = local.walk("command", parameters=pair()).failed()
    print(f"{finished.elapsed_s:.1f} s")
    said = " ".join(finished.output.split())
    assert "client2: " in said
    assert "Connection refused" in said
    assert f"port {closed_port}" in said
    assert "1 of 4 hosts cannot take part" in said
    assert not local.run.of("begin"), "no sample was begun"
    assert not (local.run.path / "plan.json").exists(), "a plan that nobody walks keeps no secrets"
    assert finished.elapsed_s < BOUND_S


def test_a_worker_is_killed_in_the_window(local: LocalTrial) -> None:
    """Its processes die with it, at once. (The fixture starts it again, and the tests after this one use it.)"""
    parameters = pair(client=["sleep", "4"], duration_s=4, deadline="20s")
    playing = local.walking("command", parameters=parameters)
    until("the clients run", lambda: sum("sleep 4" in c for c in local.leftovers().values()) == 2, deadline_s=30)
    pid = local.worker_pid("client1")
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    until(
        "its process died with it", lambda: sum("sleep 4" in c for c in local.leftovers().values()) == 1, deadline_s=1
    )
    line = went_wrong(local, playing.wait(), culprit="client1", because=("worker",), within_s=BOUND_S)
    assert line["hosts"]["client2"]["verdict"] in ("aborted", "done")
    assert local.run.file("client2", line["hosts"]["client2"]["folder"], "client.stdout").exists()


def test_ctrl_c_stops_every_host_within_a_second(local: LocalTrial) -> None:
    """A person at a terminal: SIGINT comes from the kernel, to the foreground process group. Ansible is gone first."""
    playing = long_walk(local, terminal=True)
    in_window(local, playing)
    gone_s = gone_after_s(local, playing.press_ctrl_c, deadline_s=10)
    finished = playing.wait()
    print(f"every process of every host was gone {gone_s * 1e3:.0f} ms after Ctrl-C; exit status {finished.status}")
    finished.failed()
    run = local.run
    until("the coordinator writes its last line", lambda: run.of("end"), deadline_s=15)
    assert gone_s < 1.0
    (line,) = run.samples
    assert line["verdict"] == "aborted"
    assert "interrupted" in line["reason"]
    assert run.of("end")[0]["verdict"] == "aborted"
    for host in local.hosts:
        assert not run.of("end")[0]["collected"][host]["problem"]
        assert run.file(host, line["hosts"][host]["folder"], "sampler.jsonl").exists(), "partial results are kept"
    assert run.check_seals() >= 3 * len(local.hosts)
    assert ": stopping every host" in finished.output, "Ansible shows nothing more, but the person is told"
    until("the coordinator lets go", lambda: not is_walked(local), deadline_s=5)


def is_walked(trial: LocalTrial) -> bool:
    """Whether a coordinator still holds the newest run."""
    with open(trial.run.path / "coordinator.jsonl", "a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


def test_sigterm_ends_as_ctrl_c_does(local: LocalTrial) -> None:
    """A CI system that cancels a job."""
    playing = long_walk(local)
    in_window(local, playing)
    gone_s = gone_after_s(local, lambda: os.kill(playing.process.pid, signal.SIGTERM), deadline_s=10)
    playing.wait().failed()
    print(f"every process of every host was gone {gone_s * 1e3:.0f} ms after SIGTERM")
    run = local.run
    until("the coordinator writes its last line", lambda: run.of("end"), deadline_s=15)
    assert gone_s < 2.0
    assert run.of("end")[0]["verdict"] == "aborted"


def test_a_killed_coordinator_leaves_clean_hosts_when_the_leases_end(local: LocalTrial) -> None:
    """SIGKILL for ansible-playbook and all its children: nobody is left to stop anything but the workers."""
    deadline = {"deadline": "2s"}
    workload = {
        "name": "brief",
        "expected_duration": "1s",
        "groups": {
            "servers": {
                "processes": {"server": {"command": ["sleep", "61"]}},
                "states": {"running": {"reached": {"rule": "started"}, **deadline}},
                "stop": {"rule": "signal"},
            },
            "clients": {
                "processes": {"client": {"command": ["sleep", "60"]}},
                "states": {"running": {"entry": "at_t0", "reached": {"rule": "started"}, **deadline}, "done": deadline},
            },
        },
    }
    playing = local.walking(workload, lease=1)
    until("the clients run", lambda: sum("sleep 60" in c for c in local.leftovers().values()) == 2, deadline_s=30)
    assert sum("sleep 61" in c for c in local.leftovers().values()) == 2
    gone_s = gone_after_s(local, playing.kill_all, deadline_s=LEASE_S)
    playing.wait().failed()
    print(f"every process of every host was gone {gone_s:.1f} s after SIGKILL")
    assert not local.ports_taken()
    local.walk("command", parameters=pair(duration_s=0.3)).ok()
    assert local.run.samples[-1]["verdict"] == "ok"


def test_a_new_run_need_not_wait_for_the_leases_of_a_killed_one(local: LocalTrial) -> None:
    """The same user's run whose coordinator is known to be dead is ended by the next one."""
    playing = long_walk(local, lease=300)
    in_window(local, playing)
    playing.kill_all()
    playing.wait().failed()
    assert local.leftovers(), "leases are long: everything still runs"
    finished = local.walk("command", parameters=pair(duration_s=0.3)).ok()
    print(f"{finished.elapsed_s:.1f} s")
    assert finished.elapsed_s < BOUND_S


def test_the_same_command_takes_up_what_a_killed_coordinator_left(local: LocalTrial) -> None:
    """Killed in the second sample's window: the first is kept, the second is adopted while it measures."""
    parameters = pair(client=["sleep", "6"], duration_s=6)
    playing = local.walking("command", parameters=parameters, repeats=3, lease=60, id="left")
    until("the first sample is there", lambda: len(recorded(local, "left", "sample")) == 1, deadline_s=40)
    until("the clients run again", lambda: sum("sleep 6" in c for c in local.leftovers().values()) == 2, deadline_s=20)
    playing.kill_all()
    playing.wait().failed()
    finished = local.walk("command", parameters=parameters, repeats=3, lease=60).ok()
    run = local.run
    assert run.path.name == "left", "the same run"
    assert "taking up the run" in finished.output
    (resumed,) = run.of("resumed")
    print(f"{finished.elapsed_s:.1f} s; {resumed}")
    assert (resumed["ok"], resumed["left_behind"]) == (1, [1, 1])
    assert [(line["sample"], line["attempt"], line["verdict"]) for line in run.samples] == [
        (0, 1, "ok"), (1, 1, "ok"), (2, 1, "ok"),
    ]  # fmt: skip
    for host in ("client1", "client2"):
        starts = {line["hosts"][host]["processes"][0]["start_ns"] for line in run.samples}
        assert len(starts) == 3, "each sample was measured once"
    assert run.json("manifest.json")["resumed"] is True


def test_a_sample_that_was_lost_meanwhile_is_taken_again(local: LocalTrial) -> None:
    """A worker dies as well: what was under way is lost and costs no retry, what was measured before is kept."""
    parameters = pair(client=["sleep", "3"], duration_s=3, deadline="4s")
    playing = local.walking("command", parameters=parameters, repeats=2, lease=1, retry_budget=0, id="lost")
    until("the first sample is there", lambda: len(recorded(local, "lost", "sample")) == 1, deadline_s=40)
    until("the clients run again", lambda: sum("sleep 3" in c for c in local.leftovers().values()) == 2, deadline_s=20)
    os.kill(int(local.worker_pid("client1") or 0), signal.SIGKILL)
    playing.kill_all()
    playing.wait().failed()
    local.make_whole()
    local.walk("command", parameters=parameters, repeats=2, lease=1, retry_budget=0).ok()
    verdicts = [(line["sample"], line["attempt"], line["verdict"]) for line in local.run.samples]
    assert verdicts[0] == (0, 1, "ok")
    assert verdicts[-1][0::2] == (1, "ok")
    assert len(verdicts) == 3
    assert verdicts[1][2] in ("aborted", "failed")


def recorded(trial: LocalTrial, run_id: str, event: str) -> list[dict[str, object]]:
    """Such events of a run, as far as it has come."""
    try:
        return RunFolder(trial.results / run_id).of(event)
    except (OSError, ValueError):
        return []  # no folder, no record, or half a line yet


def test_resume_never_begins_anew(local: LocalTrial) -> None:
    parameters = pair(client=["sleep", str(SLEEP_S)], duration_s=SLEEP_S)
    playing = local.walking("command", parameters=parameters, lease=300, id="before")
    in_window(local, playing)
    playing.kill_all()
    playing.wait().failed()
    given = {**{f"run_{name}": value for name, value in USUAL.items()}, "run_parameters": parameters}
    shown = local.play(PLAYBOOKS / "run.yml", "--check", run_workload="command", **given).ok()
    assert "takes up before" in shown.output
    refused = local.walk("command", parameters=parameters, resume="never", id="before").failed()
    assert "has such a run" in " ".join(refused.output.split())
    playing = local.walking("command", parameters=parameters, resume="never", id="anew")
    until("another run is begun", lambda: recorded(local, "anew", "t0"), deadline_s=30)
    os.kill(playing.process.pid, signal.SIGTERM)
    playing.wait().failed()


def test_a_second_coordinator_does_not_disturb_the_first(local: LocalTrial) -> None:
    """Somebody else's run is refused, by name, and the run that is on ends well."""
    first = local.walking("command", parameters=pair(client=["sleep", "8"], duration_s=8), id="mine")
    until("the clients run", lambda: sum("sleep 8" in c for c in local.leftovers().values()) == 2, deadline_s=30)
    elsewhere = str(local.folder / "elsewhere")
    second = local.walk("command", parameters=pair(), results=elsewhere, id="theirs").failed()
    first.wait().ok()
    assert "run mine has this worker" in " ".join(second.output.split())
    assert "4 of 4 hosts cannot take part" in " ".join(second.output.split())
