# SPDX-License-Identifier: GPL-3.0-or-later
"""Benchmark processes that misbehave: the verdict names host, state, exit status and last words; nothing is left."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable

from netbench_trial.programs import on_client, pair
from netbench_trial.trial import LocalTrial, Playing, until
from netbench_trial.verdict import went_wrong

BOUND_S = 40.0  # a whole playbook on a busy machine; without the fault's detection the clients would stay for longer


def in_window(trial: LocalTrial, playing: Playing, act: Callable[[], None]) -> None:
    """Do something as soon as all clients run. The window is that of the record: after T0, before any stop."""

    def released() -> bool:
        assert playing.process.poll() is None, f"ended before the window:\n{playing.text}"
        return (
            any("window" in line for line in playing.text.splitlines())
            and sum("sleep 25" in command for command in trial.leftovers().values()) == 2
        )

    until("the clients run", released, deadline_s=30)
    act()


def pid_of(trial: LocalTrial, host: str) -> int:
    """The benchmark process that works in this host's state directory."""
    (pid,) = [pid for pid in trial.leftovers() if f"/state/{host}/" in os.readlink(f"/proc/{pid}/cwd")]
    return pid


def test_a_client_exits_3(local: LocalTrial) -> None:
    """Its last words are in the message; the other client, which would go on for long, is stopped at once."""
    client = on_client(1, "sleep 0.3; echo cannot open the flux capacitor >&2; exit 3", others="exec sleep 60")
    finished = local.walk("command", parameters=pair(client=client, duration_s=60))
    because = ("in state 'running'", "exited with status 3", "cannot open the flux capacitor")
    line = went_wrong(local, finished, culprit="client2", because=because, within_s=BOUND_S)
    (process,) = line["hosts"]["client2"]["processes"]
    assert process["exit_status"] == 3
    others = {host: about["verdict"] for host, about in line["hosts"].items() if host != "client2"}
    assert others == {"client1": "aborted", "server1": "aborted", "server2": "aborted"}
    ended = line["hosts"]["client1"]["processes"][0]["stop_ns"] - line["hosts"]["client1"]["offset_ns"]
    died = process["stop_ns"] - line["hosts"]["client2"]["offset_ns"]
    print(f"the other client was gone {(ended - died) / 1e6:.0f} ms later")
    assert ended - died < 2e9
    assert "flux" in local.run.file("client2", line["hosts"]["client2"]["folder"], "client.stderr").read_text()


def test_a_client_is_killed_in_the_window(local: LocalTrial) -> None:
    playing = local.walking("command", parameters=pair(client=["sleep", "25"], duration_s=25))
    in_window(local, playing, lambda: os.kill(pid_of(local, "client1"), signal.SIGKILL))
    line = went_wrong(local, playing.wait(), culprit="client1", because=("KILL",), within_s=BOUND_S)
    assert line["hosts"]["client1"]["processes"][0]["signal"] == "KILL"


def test_a_server_is_killed_in_the_window(local: LocalTrial) -> None:
    playing = local.walking("command", parameters=pair(client=["sleep", "25"], duration_s=25))
    in_window(local, playing, lambda: os.kill(pid_of(local, "server2"), signal.SIGKILL))
    line = went_wrong(local, playing.wait(), culprit="server2", because=("KILL",), within_s=BOUND_S)
    assert line["hosts"]["server2"]["processes"][0]["signal"] == "KILL"
    assert line["hosts"]["server1"]["verdict"] == "aborted"


def test_a_server_never_listens(local: LocalTrial) -> None:
    workload = {
        "name": "deaf",
        "expected_duration": "1s",
        "groups": {
            "servers": {
                "ports": {"main": {"number": local.port}},
                "processes": {"server": {"command": ["/bin/sh", "-c", "echo no licence found >&2; sleep 60"]}},
                "states": {"running": {"reached": {"rule": "listening"}, "deadline": "1s"}},
                "stop": {"rule": "signal"},
            },
            "clients": {
                "processes": {"client": {"command": ["sleep", "1"]}},
                "states": {"running": {"entry": "at_t0", "reached": {"rule": "started"}}},
            },
        },
    }
    finished = local.walk(workload)
    reason = local.run.samples[-1]["reason"]
    culprit = reason.partition(":")[0]
    assert culprit in ("server1", "server2")
    because = ("'running'", "within 1 s", f"{local.addresses[culprit]}:{local.port}", "no licence found")
    line = went_wrong(local, finished, culprit=culprit, because=because, within_s=BOUND_S)
    assert line["hosts"]["client1"]["processes"] == [] or line["hosts"]["client1"]["processes"][0]["start_ns"] is None
    assert line["t0_ns"] is None, "clients are not released without their servers"


def test_a_servers_port_is_taken(local: LocalTrial) -> None:
    with socket.create_server((local.addresses["server1"], local.port)):
        finished = local.walk("command", parameters=pair())
        where = f"{local.addresses['server1']}:{local.port}"
        line = went_wrong(
            local, finished, culprit="server1", because=(where, "is taken by", f"pid {os.getpid()}"), within_s=BOUND_S
        )
    assert line["t0_ns"] is None


def test_a_program_is_missing(local: LocalTrial) -> None:
    finished = local.walk("command", parameters=pair(client=["/opt/missing/iperf9", "-c", "${servers.address}"]))
    culprit = local.run.samples[-1]["reason"].partition(":")[0]
    assert culprit in ("client1", "client2")
    line = went_wrong(local, finished, culprit=culprit, because=("/opt/missing/iperf9",), within_s=BOUND_S)
    assert line["t0_ns"] is None


def test_a_run_after_a_failed_one_is_an_ordinary_run(local: LocalTrial) -> None:
    local.walk("command", parameters=pair(client=["/bin/false"])).failed()
    finished = local.walk("command", parameters=pair(duration_s=0.3)).ok()
    assert local.run.samples[-1]["verdict"] == "ok"
    print(f"{finished.elapsed_s:.1f} s")
