# SPDX-License-Identifier: GPL-3.0-or-later
"""Suites, split walks, other groups and workloads of one's own, on this machine."""

from __future__ import annotations

from collections import Counter

from netbench_trial.programs import SERVER, pair
from netbench_trial.trial import PLAYBOOKS, USUAL, LocalTrial


def test_a_grid_of_two_by_two_repeats_is_walked_by_one_task(local: LocalTrial) -> None:
    finished = local.walk(
        "command", parameters=pair(duration_s=0.3), grid={"server_signal": ["TERM", "INT"]}, repeats=2
    )
    finished.ok()
    rows = [row for row in local.run.rows if row["verdict"] == "ok"]
    assert Counter(row["param.server_signal"] for row in rows) == {"TERM": 2, "INT": 2}
    assert sorted(int(row["sample"]) for row in rows) == [0, 1, 2, 3]
    assert len(local.run.json("summary.json")["points"]) == 2
    assert finished.output.count("TASK [netbench.orchestrator.run : Walk") == 1
    beside_s = [
        (b["barriers"][-1]["at_ns"] - a["barriers"][-1]["at_ns"]) / 1e9 - b["window_s"]
        for a, b in zip(local.run.samples, local.run.samples[1:], strict=False)
    ]
    print("wall time beside each repeat sample:", " ".join(f"{value:.2f} s" for value in beside_s))
    assert max(beside_s) < 10


def test_the_workload_command_runs_any_two_programs(local: LocalTrial) -> None:
    local.walk("command", parameters=pair(duration_s=0.5)).ok()
    line = local.run.samples[-1]
    for host in ("client1", "client2"):
        assert local.run.file(host, line["hosts"][host]["folder"], "client.stdout").read_text() == "hello\n"
    assert local.run.file("server1", line["hosts"]["server1"]["folder"], "server.stdout").read_text() == "listening\n"
    assert 0.4 < line["window_s"] < 5


def test_a_split_walk_leaves_everything_running_for_a_task_of_the_user(local: LocalTrial) -> None:
    """Between the halves a task talks to a server: `until: running` means what it says."""
    address, port = local.addresses["server2"], local.port
    greeting = f"import socket; s = socket.create_connection(('{address}', {port}), 3); assert s.recv(9) == b'hello'"
    suite = {"name": "split", "workload": "command", "parameters": pair(duration_s=6, deadline="60s"), **USUAL}
    finished = local.play(
        PLAYBOOKS / "split.yml",
        trial_suite=suite,
        trial_between=["{{ ansible_playbook_python }}", "-c", greeting],
        timeout_s=90,
    )
    finished.ok()
    (line,) = [line for line in local.run.samples if line["verdict"] == "ok"]
    assert 5.5 < line["window_s"] < 15
    assert len(local.run.of("t0")) == line["attempt"], "T0 was chosen by the first half and kept by the second"
    assert line["start_skew_us"] is not None


def test_preparations_are_made_for_each_sample_and_undone(local: LocalTrial) -> None:
    """`prepare` before the first process, `undo` after the last; here they move a mark in a file."""
    log = local.folder / "prepared"
    workload = inline(
        prepare=[
            {"command": ["/bin/sh", "-c", f"echo prepare >> {log}"], "undo": ["/bin/sh", "-c", f"echo undo >> {log}"]}
        ],
        client=["/bin/sh", "-c", f"echo run >> {log}"],
    )
    local.walk(workload, repeats=2, groups={"servers": ["server1"], "clients": ["client1"]}).ok()
    attempts = len(local.run.samples)
    assert log.read_text().split() == ["prepare", "run", "undo"] * attempts
    assert attempts >= 2


def test_groups_may_have_any_names_and_be_lists_of_hosts(local: LocalTrial) -> None:
    """A foreign inventory's names; two servers serve one client."""
    local.walk(
        "command", parameters=pair(duration_s=0.3), groups={"servers": ["client2", "server2"], "clients": "server1"}
    ).ok()
    line = local.run.samples[-1]
    assert {host: about["group"] for host, about in line["hosts"].items()} == {
        "client2": "servers", "server2": "servers", "server1": "clients",
    }  # fmt: skip


def inline(*, prepare: list[dict[str, list[str]]], client: list[str]) -> dict[str, object]:
    """A workload in the user's own playbook, in full."""
    return {
        "name": "inline",
        "expected_duration": "100ms",
        "groups": {
            "servers": {
                "ports": {"main": {"number": 5201}},
                "processes": {
                    "server": {
                        "command": ["/usr/bin/env", "python3", "-c", SERVER, "${host.bind}", "${host.port.main}"]
                    }
                },
                "states": {"running": {"reached": {"rule": "listening"}}},
                "stop": {"rule": "signal"},
            },
            "clients": {
                "prepare": prepare,
                "processes": {"client": {"command": client}},
                "states": {"running": {"entry": "at_t0", "reached": {"rule": "started"}}},
            },
        },
    }
