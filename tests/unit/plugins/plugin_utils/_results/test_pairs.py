# SPDX-License-Identifier: GPL-3.0-or-later
"""A matrix in the results: pairs are points, a failure is one pair's, and scripts get the rows that they know."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._results.folder import ResultFolder
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._results.pairs import (
    by_pair,
    export,
    to_csv,
    unusual,
)
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._results.publish import publish
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._results.records import read_run
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._results.summary import label, story

from .run_fixture import Shape, write_run

ROUNDS = (
    [["client-0", "server-0"], ["client-1", "server-1"]],
    [["client-0", "server-1"], ["client-1", "server-0"]],
)
TOGETHER = ([pair for each in ROUNDS for pair in each],) * 2


def matrix_run(results: Path, rounds=ROUNDS, **shape) -> ResultFolder:
    """A run of two clients and two servers in two rounds, each measured twice."""
    folder = write_run(results, Shape(servers=2, clients=2, points=2, seconds=2.0, **shape))
    plan = json.loads((folder / "plan.json").read_text())
    for point, pairs in zip(plan["points"], rounds, strict=True):
        point["parameters"] = {"driver": "x", "pairs": ["for the workload"]}
        point["pairs"] = pairs
    command = {"processes": [{"name": "client", "command": ["netperf", "-H", "a b"]}]}
    plan["workers"] = {f"client-{i}": {"document": {"points": [command, command]}} for i in (0, 1)}
    (folder / "plan.json").write_text(json.dumps(plan))
    lines = [json.loads(line) for line in (folder / "coordinator.jsonl").read_text().splitlines()]
    for line in lines:
        if line["event"] == "sample":
            line["parameters"] = plan["points"][line["point"]]["parameters"]
            line["pairs"] = rounds[line["point"]]
    (folder / "coordinator.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    for host in ("client-0", "client-1"):
        (folder / "hosts" / host / "0000" / "client.stdout").write_text(f"of {host}")
    return ResultFolder(folder)


def test_each_pair_is_a_point_with_the_rate_of_its_client(tmp_path):
    published = publish(matrix_run(tmp_path, flawed=False))
    points = published.summary.points
    assert [(p.parameters["client"], p.parameters["server"]) for p in points] == [
        ("client-0", "server-0"),
        ("client-0", "server-1"),
        ("client-1", "server-0"),
        ("client-1", "server-1"),
    ]
    assert published.summary.verdict == "ok"
    assert label(published.summary, points[1]) == "client-0>server-1"
    assert all("pairs" not in point.parameters for point in points)
    for point in points:
        assert (len(point.used), point.wanted) == (2, 2)
        first_round = point.parameters["client"][-1] == point.parameters["server"][-1]
        rate = 8 * 125_000_000.0 * (1 if first_round else 2)
        assert point.metrics["goodput_bps"].median == pytest.approx(rate, rel=0.01)
    rows = list(csv.DictReader(io.StringIO((published.folder.pairs).read_text())))
    assert [(row["client"], row["server"]) for row in rows] == [
        (p.parameters["client"], p.parameters["server"]) for p in points
    ]
    assert rows[0]["server_address"] == "198.18.1.11"
    assert float(rows[0]["goodput_bps.median"]) == pytest.approx(1e9, rel=0.01)
    assert {"goodput_bps.low", "goodput_bps.variation", "goodput_bps.unusual", "param.driver"} <= set(rows[0])
    keys = [each.sample.key for each in published.measured]
    assert len(keys) == len(set(keys)) == 8
    assert {"0a", "0b"} <= set(keys)
    assert not [line for line in story(published.summary, published.measured) if "retried" in line]


def test_a_failed_pair_is_no_failure_of_its_neighbour(tmp_path):
    published = publish(matrix_run(tmp_path))
    failed = [each.sample for each in published.measured if each.sample.verdict == "failed"]
    neighbours = [each.sample for each in published.measured if each.sample.verdict == "aborted"]
    assert [sample.parameters["client"] for sample in failed] == ["client-0"]
    assert [sample.parameters["client"] for sample in neighbours] == ["client-1"]
    assert "retried: sample 1 (2 attempts)" in story(published.summary, published.measured)
    assert neighbours[0].reason.startswith("another pair of its round failed: client-0: process client ended")


def test_the_rows_that_netperf_orchestrate_exported(tmp_path):
    folder = matrix_run(tmp_path)
    publish(folder)
    rows = json.loads(folder.export.read_text())
    names = {"client", "server", "client_address", "server_address", "success", "exit_code", "elapsed_time", "stdout"}
    assert all(names | {"stderr", "command"} <= set(row) for row in rows)
    first = next(row for row in rows if row["sample"] == "0a")
    assert first["stdout"] == "of client-0"
    assert first["command"] == "netperf -H 'a b'"
    assert (first["success"], first["exit_code"]) == (True, 0)
    assert 1.9 < first["elapsed_time"] < 2.3
    assert [(row["exit_code"], row["client"]) for row in rows if row["exit_code"]] == [(3, "client-0")]


def test_pairs_that_share_hosts_stay_one_sample(tmp_path):
    folder = matrix_run(tmp_path, TOGETHER, flawed=False)
    run = read_run(folder)
    assert [len(sample.hosts) for sample in by_pair(run).samples] == [4] * 4
    published = publish(folder)
    assert len(published.summary.points) == 2
    assert to_csv(published.summary).count("\n") == 1 + 4 * 2
    assert len(export(folder, run)) == 4 * 4


def test_pairs_that_were_never_walked_are_told(tmp_path):
    folder = matrix_run(tmp_path, flawed=False)
    with folder.coordinator.open("a") as file:
        line = {"event": "sample", "sample": 0, "attempt": 2, "point": 0, "repeat": 1, "verdict": "failed"}
        line |= {"pairs": [["client-1", "server-1"]], "hosts": {}, "parameters": {}, "reason": "server-1: not there"}
        file.write(json.dumps(line) + "\n")
    rows = json.loads(publish(folder) and folder.export.read_text())
    assert [(row["success"], row["stderr"]) for row in rows if row["sample"] == "0b.2"] == [
        (False, "server-1: not there")
    ]


def test_the_report_has_a_cell_for_each_pair_and_marks_what_is_unusual(tmp_path):
    published = publish(matrix_run(tmp_path, flawed=False))
    page = published.folder.report.read_text()
    assert '<section id="matrix">' in page
    assert page.count('style="background:rgba(46,125,190') >= 4
    assert '<th scope="row">client-1</th>' in page
    assert "<h3>goodput_bps</h3>" in page
    assert unusual(published.summary.points, "goodput_bps") == frozenset()


def test_a_run_without_a_matrix_has_neither_section_nor_files(tmp_path):
    folder = ResultFolder(write_run(tmp_path))
    assert by_pair(read_run(folder)) == read_run(folder)
    publish(folder)
    assert not folder.pairs.exists()
    assert not folder.export.exists()
    assert 'id="matrix"' not in folder.report.read_text()
