# SPDX-License-Identifier: GPL-3.0-or-later
"""The real iperf3 and netperf between lab hosts: sums of a window, a matrix, somebody else's netserver.

tests/tools has what takes longer.
"""

from __future__ import annotations

import csv
import hashlib
import re
from itertools import combinations, product

import pytest
from netbench_trial import sums
from netbench_trial.results import RunFolder
from netbench_trial.sums import CLIENTS
from netbench_trial.tools import ToolsTrial, foreign_netserver
from netbench_trial.trial import ROOT

SERVERS = ["server1", "server2", "server3"]


@pytest.mark.parametrize("tool", ["iperf3", "netperf"])
def test_sums_count_the_window_only(on_tools: ToolsTrial, tool: str) -> None:
    """Four clients, one server, where somebody's netserver is left alone. iperf3 has four servers of ours there."""
    with foreign_netserver(on_tools, "server1"):
        sums.check(sums.incast(on_tools, tool, duration_s=5, stagger_s=1))
    run = on_tools.run
    tools = run.json("manifest.json")["versions"]["tools"]
    assert set(tools) == ({"iperf3"} if tool == "iperf3" else {"netperf", "netserver"})
    (line, _staggered) = run.samples
    assert len(line["hosts"]["server1"]["processes"]) == (4 if tool == "iperf3" else 1)


def test_a_matrix_of_rounds_that_share_no_host(on_tools: ToolsTrial) -> None:
    run = on_tools.measured(
        "netperf",
        suite={"matrix": "isolated"},
        parameters={"test": "TCP_RR", "duration": "1s"},
    )
    assert [line["verdict"] for line in run.samples] == ["ok"] * 4  # rounds
    pairs = [tuple(pair) for line in run.samples for pair in line["pairs"]]
    assert sorted(pairs) == sorted(product(CLIENTS, SERVERS))
    check_observed(run)

    with open(run.path / "pairs.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert sorted((row["client"], row["server"], row["verdict"], row["ok"]) for row in rows) == [
        (client, server, "ok", "1") for client, server in sorted(pairs)
    ]
    assert all(float(row["clients.transaction_rate.median"]) > 0 for row in rows)
    exported = run.json("export.json")
    assert sorted((row["client"], row["server"]) for row in exported) == sorted(pairs)
    for row in exported:
        assert (row["success"], row["exit_code"]) == (True, 0)
        assert "THROUGHPUT_UNITS=Trans/s" in row["stdout"]
        assert row["server_address"] in row["command"]
    assert '<section id="matrix">' in (run.path / "report.html").read_text()  # the heat map
    assert run.json("manifest.json")["versions"]["tool_versions"] == {"netperf": "2.7.0, 2.7.0-own"}


def check_observed(run: RunFolder) -> None:
    """By the hosts' own stamps: when a client's program lived, no other client's one lived that used either host."""
    lives = []
    for line in run.samples:
        server_of = dict(line["pairs"])
        for name, host in line["hosts"].items():
            if name in server_of:
                (process,) = host["processes"]
                start_ns, stop_ns = (process[key] - host["offset_ns"] for key in ("start_ns", "stop_ns"))
                lives.append((start_ns, stop_ns, {name, server_of[name]}))
    assert len(lives) == len(CLIENTS) * len(SERVERS)
    for (a_start, a_stop, a), (b_start, b_stop, b) in combinations(lives, 2):
        if a_start < b_stop and b_start < a_stop:
            assert not a & b


def test_versions_are_in_the_record(on_tools: ToolsTrial) -> None:
    """package on server1, installed on server3, a person's binaries elsewhere (a wrong checksum has been refused)."""
    paths = {host: {name: each["path"] for name, each in on_tools.tools(host).items()} for host in on_tools.hosts}
    assert paths["server1"] == {name: f"/usr/bin/{name}" for name in ("netperf", "netserver", "iperf3")}
    assert paths["server3"] == {name: f"/opt/own/{name}" for name in ("netperf", "netserver", "iperf3")}
    assert not any(path.startswith(("/usr/bin", "/opt")) for path in paths["client1"].values())
    versions = {host: on_tools.tools(host)["netperf"]["version"] for host in ("server1", "server3", "client1")}
    assert versions == {"server1": "2.7.0", "server3": "2.7.0", "client1": "2.7.0-own"}


def test_deploy_with_a_netserver_of_ones_own(on_tools: ToolsTrial) -> None:
    archive = on_tools.folder / "netperf.tar"
    given = {
        "netperf_hosts": "server2",
        "netperf_source": "binary",
        "netperf_path": str(archive),
        "netperf_sha256": hashlib.sha256(archive.read_bytes()).hexdigest(),
        "netperf_version": "2.7.0-own",
    }
    finished = on_tools.play(ROOT / "playbooks/netperf.yml", "--tags", "deploy", timeout_s=120, **given).ok()
    assert re.search(r"^server2 +: ok=\d+ +changed=0 ", finished.output, re.M), "it is there already"
    wrong = {**given, "netperf_sha256": "0" * 64}
    refused = on_tools.play(ROOT / "playbooks/netperf.yml", "--tags", "deploy", timeout_s=120, **wrong)
    assert refused.status
    assert "it is not what was meant" in " ".join(refused.output.split())
