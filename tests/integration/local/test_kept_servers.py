# SPDX-License-Identifier: GPL-3.0-or-later
"""Servers that stay: the tags check, start, status, run and stop of the playbook netperf, on this machine."""

from __future__ import annotations

import re
import socket

from netbench_trial import processes
from netbench_trial.programs import NETPERF
from netbench_trial.trial import ROOT, USUAL, Finished, LocalTrial, until

PORT = 12865
OWN_PORTS = {"netbench_port": None}  # of the workloads, and not one for all


def tagged(local: LocalTrial, tags: str, **variables: object) -> Finished:
    given = {f"run_{name}": value for name, value in USUAL.items()}
    return local.play(ROOT / "playbooks/netperf.yml", "--tags", tags, **{**NETPERF, **given, **variables})


def said_of_servers(local: LocalTrial, finished: Finished) -> dict[str, str]:
    said = re.findall(r"^ +- (server\d)  ([\d.]+) +(\S.*)$", finished.output, re.M)
    assert all(address == local.addresses[name] for name, address, _text in said), finished.output
    return {name: text for name, _address, text in said}


def pids(said: dict[str, str], expected: str) -> dict[str, int]:
    found = {name: re.fullmatch(expected, text) for name, text in said.items()}
    assert found, said
    assert all(found.values()), said
    return {name: int(each[1]) for name, each in found.items() if each}


RUNNING = r"running \(pid (\d+), netperf 2\.7\.0\), \d+ min left"
STOPPED = r"stopped \(pid (\d+), netperf 2\.7\.0\)"


def test_servers_are_kept_up_between_runs_and_stopped_by_process(local: LocalTrial) -> None:
    local.write_inventory(**dict.fromkeys(local.hosts, OWN_PORTS))
    finished = tagged(local, "check,deploy,start").ok()
    assert "4/4 hosts online" in finished.output
    started = pids(said_of_servers(local, finished), RUNNING)
    assert set(started) == {"server1", "server2"}
    for name, pid in started.items():
        assert "netserver" in processes.command(pid)
        with socket.create_connection((local.addresses[name], PORT), 3):
            pass
    finished = tagged(local, "start,run", run_parameters={"duration": "1s"}).ok()
    assert pids(said_of_servers(local, finished), RUNNING) == started, "those that run are left alone"
    assert local.run.samples[-1]["verdict"] == "ok", "a run has servers of its own"
    assert pids(said_of_servers(local, tagged(local, "stop").ok()), STOPPED) == started
    assert not any(map(processes.command, started.values()))
    assert not list((local.folder / "run").glob("*-servers"))


def test_servers_that_nobody_stops_end_by_themselves(local: LocalTrial) -> None:
    local.write_inventory(**dict.fromkeys(local.hosts, OWN_PORTS))
    short = {"netperf_keep_s": 1, "netperf_server_parameters": {"deadline": "1s"}}
    try:
        started = pids(said_of_servers(local, tagged(local, "start", **short).ok()), RUNNING)
        until("the leases end", lambda: not any(map(processes.command, started.values())), deadline_s=20)
    finally:
        finished = tagged(local, "status,stop").ok()
    assert finished.output.count("not running") == 4
