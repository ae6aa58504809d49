# SPDX-License-Identifier: GPL-3.0-or-later
"""A matrix on this machine: rounds, one pair that fails once, and what is left behind."""

from __future__ import annotations

import csv
import io
import json
import sys
from itertools import product

from netbench_trial.programs import CLIENT, pair
from netbench_trial.trial import LocalTrial

# The pair of the second client with the first server fails the first time it meets.
FRAGILE = """
import pathlib, sys
mark = pathlib.Path(sys.argv[4])
if sys.argv[5] == "client2" and sys.argv[6] == "server1" and not mark.exists():
    mark.touch()
    sys.exit("no luck")
"""


def test_a_failed_pair_is_measured_in_a_later_round_and_nobody_shares_a_host(local: LocalTrial) -> None:
    mark = local.folder / "met"
    client = (sys.executable, "-c", FRAGILE + CLIENT, "${servers.address}", "${servers.port.main}", "0.3")
    parameters = pair(client=(*client, str(mark), "${host.name}", "${servers.name}"), duration_s=0.3)
    finished = local.walk("command", parameters=parameters, suite={"matrix": "isolated"}, retry_budget=1)
    finished.ok()
    pairs = sorted(product(["client1", "client2"], ["server1", "server2"]))
    rows = list(csv.DictReader(io.StringIO((local.run.path / "pairs.csv").read_text())))
    assert [(row["client"], row["server"]) for row in rows] == pairs
    assert {(row["verdict"], row["ok"]) for row in rows} == {("ok", "1")}
    exported = json.loads((local.run.path / "export.json").read_text())
    failed = [row for row in exported if not row["success"] and row["exit_code"]]
    assert [(row["client"], row["server"]) for row in failed] == [("client2", "server1")]
    assert "no luck" in failed[0]["stderr"]
    assert sorted((row["client"], row["server"]) for row in exported if row["success"]) == pairs
    spans = {host: [] for pair_ in pairs for host in pair_}
    for line in local.run.samples:
        hosts = [host for each in line["pairs"] for host in each]
        assert len(hosts) == len(set(hosts)), "a round shares a host"
        assert set(line["hosts"]) == set(hosts)
        for host in hosts:
            spans[host].append((line["sample"], line["attempt"]))
    assert all(sorted(each, key=lambda key: key[::-1]) == each for each in spans.values())
    assert max(line["attempt"] for line in local.run.samples) == 3, "one pair again, and its neighbour before it"


def test_tests_in_order_with_traffic_before_them_and_an_expectation_that_decides(local: LocalTrial) -> None:
    suite = {
        "tests": [{"name": name, "parameters": {"duration": "300ms"}} for name in ("first", "second")],
        "order": "in_turn",
        "warm_up": "100ms",
        "cool_down": "200ms",
        "expectations": {"start_skew_max": 0, "clients.cpu_cores_max": 64},
    }
    client = (sys.executable, "-c", CLIENT, "${servers.address}", "${servers.port.main}", "${duration}")
    parameters = {name: value for name, value in pair(client=client).items() if name != "duration"}
    finished = local.walk("command", parameters=parameters, suite=suite, repeats=2).failed()
    order = [(line["parameters"]["test_name"], line["parameters"]["duration"]) for line in local.run.samples]
    assert order == [("first", 0.1), ("first", 0.3), ("second", 0.1), ("second", 0.3)] * 2
    summary = local.run.json("summary.json")
    assert [point["parameters"]["test_name"] for point in summary["points"]] == ["first", "second"]
    for point in summary["points"]:
        assert point["ok"] == 2
        verdicts = {each["metric"]: each["verdict"] for each in point["expectations"]}
        assert verdicts["clients.cpu_cores"] == "holds"
        assert verdicts["start_skew_us"] in ("broken", "open"), "nobody starts at the very same instant"
    assert finished.output.count("cooling down for 0.2 s") == 4
    assert "is not as expected" in finished.output
