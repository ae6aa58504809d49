# SPDX-License-Identifier: GPL-3.0-or-later
"""Several tests in order, traffic before and quiet after each sample, and what is expected of the results."""

from __future__ import annotations

import pytest
from ansible_collections.netbench.orchestrator.plugins.module_utils._protocol.schema import SchemaError
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._planning import expectations
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._planning import plan as plans
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._planning.table import describe
from hypothesis import given
from hypothesis import strategies as st

TESTS = [
    {"name": "short", "parameters": {"duration": "1s"}},
    {"name": "long", "parameters": {"duration": "3s"}},
    {"name": "short again", "parameters": {"duration": "1s"}},
]


def test_tests_come_in_their_order_and_have_their_names(planning):
    plan = planning.planned("command", tests=TESTS, repeats=2, order="in_turn")
    assert [plan.points[sample.point].test for sample in plan.samples] == ["short", "long", "short again"] * 2
    assert [point.parameters["duration"] for point in plan.points] == [1.0, 3.0, 1.0]
    assert plans.from_json(plans.to_json(plan)) == plan
    assert any("short again" in line for line in describe(plan, commands=False))


def test_each_test_has_the_whole_grid(planning):
    plan = planning.planned("command", tests=TESTS[:2], grid={"port": [5000, 6000]}, order="sequential")
    assert [(point.test, point.parameters["port"]) for point in plan.points] == [
        ("short", 5000),
        ("short", 6000),
        ("long", 5000),
        ("long", 6000),
    ]


def test_a_parameter_of_a_test_is_not_in_the_grid(planning, refused):
    path, problem = refused(planning.planned, "command", tests=TESTS, grid={"duration": ["1s"]})
    assert path == ("suite", "tests", 0, "parameters", "duration")
    assert "stands under 'grid' too" in problem


def test_traffic_comes_before_each_sample_and_is_not_measured(planning):
    plan = planning.planned("command", tests=TESTS, repeats=2, order="in_turn", warm_up="500ms", cool_down="2s")
    assert [point.warm_up for point in plan.points] == [False] * 3 + [True] * 3
    order = [sample.point for sample in plan.samples]
    assert order == [3, 0, 4, 1, 5, 2] * 2
    assert {point.parameters["duration"] for point in plan.points if point.warm_up} == {0.5}
    assert [point.cool_down_s for point in plan.points] == [2.0] * 3 + [0.0] * 3
    assert plan.expected_s == pytest.approx(2 * (1 + 3 + 1 + 3 * 0.5 + 3 * 2))
    assert plans.from_json(plans.to_json(plan)) == plan
    assert sum("warm-up" in line for line in describe(plan, commands=False)) == 6
    documents = plan.workers["c0"].document["points"]
    assert documents[3]["processes"][0]["command"] != documents[0]["processes"][0]["command"]


def test_a_workload_that_cannot_be_made_shorter_has_no_warm_up(planning, refused):
    workload = planning.shipped("command")
    workload["parameters"]["length"] = workload["parameters"].pop("duration")
    workload = eval(repr(workload).replace("${duration}", "${length}"))
    path, problem = refused(
        planning.planned,
        workload,
        warm_up="1s",
        parameters={"server_command": ["x"], "client_command": ["x"], "length": "1s"},
    )
    assert path == ("suite", "warm_up")
    assert "has no parameter 'duration'" in problem


def test_a_matrix_has_warm_ups_too(planning):
    plan = planning.planned("command", servers=2, clients=2, matrix="isolated", warm_up="1s")
    assert [plan.points[sample.point].warm_up for sample in plan.samples] == [True, False] * 2
    for first, second in zip(plan.samples[::2], plan.samples[1::2], strict=True):
        assert plan.points[first.point].pairs == plan.points[second.point].pairs


@pytest.mark.parametrize(
    ("name", "value", "limit", "metric"),
    [
        ("throughput_min", 9000, 9e9, "goodput_bps"),
        ("throughput_min", "9.4Gbps", 9.4e9, "goodput_bps"),
        ("latency_p99_max", 250, 250.0, "clients.netperf.latency_p99_us"),
        ("latency_p99_max", "1ms", 1000.0, "clients.latency.request.p99_us"),
        ("p50_latency_max", 3, 3.0, "clients.netperf.latency_p50_us"),
        ("transaction_rate_min", 1000, 1000.0, "clients.netperf.transaction_rate"),
        ("jitter_max", "2ms", 2000.0, "clients.iperf3.jitter_ms"),
        ("packet_loss_max", 0.5, 0.5, "clients.netperf.lost_pct"),
        ("clients.tcp_retransmits_max", 5, 5.0, "clients.tcp_retransmits"),
    ],
)
def test_words_of_the_profiles_find_their_metric(name, value, limit, metric):
    import re

    (found,) = expectations.check({name: value})
    assert found.limit == pytest.approx(limit)
    assert found.bound == name[-3:]
    assert re.fullmatch(found.pattern, metric)


@pytest.mark.parametrize(
    ("given_", "problem"),
    [
        ({"througput_min": 1}, "nothing is known of 'througput'. Did you mean 'throughput'?"),
        ({"throughput": 1}, "'throughput' ends neither with _min nor with _max."),
        ({"throughput_min": "fast"}, "fast"),
        ({"throughput_min": -1}, "expected at least 0, got -1."),
        ({"throughput_min": 10, "throughput_max": 5}, "is below throughput_min: 10."),
    ],
)
def test_expectations_that_cannot_be(given_, problem):
    with pytest.raises(SchemaError, match=problem.replace(".", r"\.").replace("?", r"\?")):
        expectations.check(given_, ("suite", "expectations"))


@given(st.dictionaries(st.text(max_size=12), st.none() | st.text(max_size=6) | st.floats() | st.integers(), max_size=3))
def test_any_expectations_are_read_or_refused(given_):
    try:
        assert len(expectations.check(given_)) == len(given_)
    except SchemaError as problem:
        assert problem.path[0] == "expectations"  # noqa: PT017
