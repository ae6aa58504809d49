# SPDX-License-Identifier: GPL-3.0-or-later
"""Expectations are judged by the interval and decide the verdict; warm-ups are in no figure."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._planning.expectations import check
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._results import table
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._results.expectations import judge
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._results.folder import ResultFolder
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._results.publish import publish
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._results.statistics import change, describe
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._results.summary import (
    PointSummary,
    Summary,
    _with_judgements,
    label,
    varying,
)

from .run_fixture import Shape, write_run

STEADY = [100.0, 101.0, 102.0, 103.0, 104.0, 105.0, 106.0]  # the median's interval at 95 %: 100 … 106


def verdicts(expectations, values, *, metric="goodput_bps", confidence=0.95):
    values = [value * (1e6 if metric == "goodput_bps" else 1) for value in values]
    found = judge(check(expectations), 0, {metric: describe(values, confidence=confidence)}, confidence)
    return [each.verdict for each in found]


@pytest.mark.parametrize(
    ("expectations", "verdict"),
    [
        ({"throughput_min": "99Mbps"}, "holds"),
        ({"throughput_min": "107Mbps"}, "broken"),
        ({"throughput_min": "103Mbps"}, "open"),  # though the median is 103
        ({"throughput_max": "106Mbps"}, "holds"),
        ({"throughput_max": "99Mbps"}, "broken"),
        ({"throughput_max": "104Mbps"}, "open"),
    ],
)
def test_the_interval_decides_and_not_the_point(expectations, verdict):
    assert verdicts(expectations, STEADY) == [verdict]


def test_few_samples_are_judged_by_students_interval_and_one_by_none():
    assert verdicts({"throughput_min": "90Mbps"}, [100.0, 101.0]) == ["holds"]  # 100.5 ± 12.706 · 0.5
    assert verdicts({"throughput_min": "95Mbps"}, [100.0, 101.0]) == ["open"]
    assert verdicts({"throughput_min": "1Mbps"}, [100.0]) == ["open"]


def test_times_are_compared_in_the_unit_of_the_metric():
    assert verdicts({"jitter_max": "200ms"}, STEADY, metric="clients.iperf3.jitter_ms") == ["holds"]
    assert verdicts({"jitter_max": 200}, STEADY, metric="clients.iperf3.jitter_ms") == ["broken"]  # 200 µs


def test_a_latency_that_goes_down_is_an_improvement():
    lower, higher = describe(STEADY), describe([value * 2 for value in STEADY])
    assert change("clients.netperf.latency_p99_us", higher, lower) == "improvement"
    assert change("clients.netperf.latency_p99_us", lower, higher) == "regression"
    assert change("goodput_bps", lower, higher) == "improvement"
    assert change("goodput_bps", higher, lower) == "regression"
    assert change("goodput_bps", lower, describe([value + 1 for value in STEADY])) == "unclear"
    assert change("window_s", lower, higher) == "difference"


def run_with(results: Path, expectations, *, warm_up: bool = False, **analysis) -> ResultFolder:
    folder = write_run(results, Shape(points=2, repeats=6, seconds=1.0, servers=1, flawed=False))
    plan = json.loads((folder / "plan.json").read_text())
    plan["analysis"] = {"expectations": expectations, "confidence": 0.95, "percentiles": [50, 99.9], **analysis}
    plan["points"][0]["test"] = "first"
    if warm_up:
        plan["points"][1]["warm_up"] = True
    (folder / "plan.json").write_text(json.dumps(plan))
    return ResultFolder(folder)


def test_expectations_that_hold_leave_the_run_ok(tmp_path):
    published = publish(run_with(tmp_path, {"throughput_min": "1.9Gbps"}))
    assert published.summary.verdict == "ok"
    summary = json.loads(published.folder.summary.read_text())
    assert [point["expectations"][0]["verdict"] for point in summary["points"]] == ["holds", "holds"]
    assert "p99.9" in summary["points"][0]["metrics"]["goodput_bps"]
    assert (
        "test_name=first" in published.folder.report.read_text()
        or summary["points"][0]["parameters"]["test_name"] == "first"
    )


def test_an_expectation_that_does_not_hold_at_one_point_decides_the_verdict(tmp_path):
    published = publish(run_with(tmp_path, {"throughput_max": "3Gbps"}))  # the points have 2 and 4 Gbit/s
    assert published.summary.verdict == "unexpected"
    assert [each.verdict for each in published.summary.judgements] == ["holds", "broken"]
    shown = table.render(published.summary, published.measured, width=100)
    assert "of 2 expectations 1 do not hold and 0 are open" in shown
    assert "broken   throughput_max: 3Gbps: goodput_bps is" in shown
    assert 'class="badge broken"' in published.folder.report.read_text()


def test_throughput_is_expected_of_bulk_and_latency_of_transactions():
    throughput, latency, loss = check({"throughput_min": 1, "latency_p99_max": 1, "packet_loss_max": 1})
    assert (throughput.of_transactions, latency.of_transactions, loss.of_transactions) == (False, True, None)
    known = {name: describe(STEADY) for name in ("goodput_bps", "c.latency_p99_us")}
    points = [
        PointSummary(0, {"test_name": "bulk"}, 1, (), (), known),
        PointSummary(1, {"test_name": "rr"}, 1, (), (), {**known, "c.transaction_rate": describe(STEADY)}),
    ]
    run = SimpleNamespace(analysis={"expectations": {"throughput_min": 1, "latency_p99_max": 1}}, run_id="r")
    judged = _with_judgements(run, points)
    assert [[each.metric for each in point.judgements] for point in judged] == [["goodput_bps"], ["c.latency_p99_us"]]
    judged = _with_judgements(run, points[:1])
    assert [each.metric for each in judged[0].judgements] == ["goodput_bps", "c.latency_p99_us"]


def test_a_test_says_its_parameters_by_its_name():
    points = tuple(
        PointSummary(i, {"test_name": test, "size": len(test), "port": port, "driver": "x"}, 1, (), (), {})
        for i, (test, port) in enumerate([("a", 1), ("a", 2), ("bb", 1), ("bb", 2)])
    )
    summary = Summary(SimpleNamespace(suite="s"), points)
    assert varying(summary) == ["test_name", "port"]
    assert label(summary, points[3]) == "test_name=bb, port=2"


def test_what_nobody_measured_is_open(tmp_path):
    published = publish(run_with(tmp_path, {"jitter_max": 5}))
    assert published.summary.verdict == "unexpected"
    assert json.loads(published.folder.summary.read_text())["expectations"][0]["verdict"] == "open"
    assert "nothing of the kind was measured" in table.render(published.summary, published.measured, width=120)


def test_warm_ups_are_in_no_figure(tmp_path):
    published = publish(run_with(tmp_path, {"throughput_max": "3Gbps"}, warm_up=True))
    assert len(published.summary.points) == 1
    assert {each.sample.point for each in published.measured} == {0}
    assert published.summary.verdict == "ok"
