# SPDX-License-Identifier: GPL-3.0-or-later
"""Profiles become suites that do what they say, and a slip is shown with its line."""

from __future__ import annotations

import pytest
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._planning import profile, workload
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._planning.documents import FileProblem
from hypothesis import given, settings
from hypothesis import strategies as st

NAMES = [
    *("baseline", "throughput", "latency", "stress", "cloud"),
    *("datacenter", "wireless", "jitter", "lossy", "mixed-workload"),
]
WHOLE = """\
name: theirs
description: Every field that there is.
version: 1.2
category: bandwidth
global:
  duration: 30
  output_format: json
  warmup: 5
  cooldown: 2
  retry_on_error: true
  continue_on_error: false
tests:
  - name: bulk
    description: Several streams.
    direction: maerts
    protocol: tcp
    instances: 4
    duration: 10
    socket_size: 256K
    message_size: 64K
    cpu_affinity: [0, 1]
    stagger_start: 0.5
  - name: small
    direction: rr
    protocol: tcp
    request_size: 64
    response_size: 1K
    burst: 8
    connection: true
expectations:
  throughput_min: 9000
  latency_p99_max: 500
analysis:
  percentiles: [50, 99.9]
  confidence_level: 99
  detect_outliers: true
tags: [a, b]
"""


def test_every_field_is_carried_out():
    suite = profile.read(WHOLE, "theirs.yaml")
    assert suite["tests"] == [
        {
            "name": "bulk",
            "parameters": {
                "test": "TCP_MAERTS",
                "duration": 10.0,
                "arguments": ["-s", "256K", "-S", "256K", "-M", "64K"],
                "global_arguments": ["-T", "0,1"],
                "instances": 4,
                "stagger_start": 0.5,
            },
        },
        {
            "name": "small",
            "parameters": {
                "test": "TCP_CRR",
                "duration": 30.0,
                "arguments": ["-r", "64,1K", "-b", "8"],
                "global_arguments": [],
                "instances": 1,
                "stagger_start": 0,
            },
        },
    ]
    rest = {name: value for name, value in suite.items() if name != "tests"}
    assert rest == {
        "name": "theirs",
        "description": "Every field that there is.",
        "workload": "netperf",
        "order": "in_turn",
        "repeats": 3,
        "warm_up": 5.0,
        "cool_down": 2.0,
        "retry_budget": 2,
        "on_host_failure": "retry",
        "continue_on_error": False,
        "expectations": {"throughput_min": 9000, "latency_p99_max": 500},
        "confidence": 0.99,
        "percentiles": [50.0, 99.9],
    }


@pytest.mark.parametrize(
    ("direction", "protocol", "kind"),
    [
        ("send", "tcp", ("TCP_STREAM", [])),
        ("stream", "udp", ("UDP_STREAM", [])),
        ("recv", "sctp", ("SCTP_MAERTS", [])),
        ("maerts", "udp", ("omni", ["-d", "recv", "-T", "udp"])),
        ("rr", "udp", ("UDP_RR", [])),
    ],
)
def test_directions_and_protocols(direction, protocol, kind):
    suite = profile.read(f"name: x\ntests: [{{name: t, direction: {direction}, protocol: {protocol}}}]", "x")
    parameters = suite["tests"][0]["parameters"]
    assert (parameters["test"], parameters["arguments"]) == kind


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (("category:", "categorie:"), "f:4: categorie: unknown key 'categorie'. Did you mean 'category'?"),
        (("  warmup: 5", "  warm_up: 5"), "f:8: global.warm_up: unknown key 'warm_up'. Did you mean 'warmup'?"),
        (("    burst: 8", "    bursts: 8"), "f:28: tests[1].bursts: unknown key 'bursts'. Did you mean 'burst'?"),
        (
            ("direction: maerts", "direction: sent"),
            "f:15: tests[0].direction: 'sent' is not known here. Did you mean 'send'?",
        ),
        (("throughput_min", "througput_min"), "f:31: expectations.througput_min: nothing is known of 'througput'."),
        (("percentiles:", "percentile:"), "f:34: analysis.percentile: unknown key 'percentile'. Did you mean"),
        (("name: small", "name: bulk"), "f:23: tests[1].name: the test 'bulk' is there twice."),
        (("64K", "64 K"), "f:20: tests[0].message_size: expected a size, like 64K, or two for both ends"),
        (("    message_size: 64K", "    burst: 4"), "f:20: tests[0].burst: is for direction: rr."),
        (("    burst: 8", "    message_size: 8"), "f:28: tests[1].message_size: is not for direction: rr"),
        (("    direction: rr", "    direction: send"), "f:26: tests[1].request_size: is for direction: rr."),
        (("[0, 1]", '"0; reboot"'), "f:21: tests[0].cpu_affinity: expected a CPU, or two for both ends"),
        (("confidence_level: 99", "confidence_level: 101"), "f:35: analysis.confidence_level: expected at most 0.9999"),
        (("duration: 30", "duration: soon"), "f:6: global.duration: "),
    ],
)
def test_a_slip_is_shown_with_its_line(change, expected):
    assert change[0] in WHOLE
    with pytest.raises(FileProblem) as caught:
        profile.read(WHOLE.replace(change[0], change[1], 1), "f")
    assert str(caught.value).startswith(expected)


def test_our_own_have_the_names_that_people_know():
    assert sorted(profile.shipped()) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_our_own_are_described_and_can_be_planned(planning, name):
    content = profile.shipped()[name].read_text(encoding="utf-8")
    suite = profile.read(content, f"{name}.yml")
    assert suite["name"] == name
    assert len(suite["description"]) > 80
    assert len({str(test["parameters"]) for test in suite["tests"]}) == len(suite["tests"])
    assert suite["repeats"] >= 3
    if "netperf" not in workload.shipped():
        pytest.skip("there is no workload netperf")
    plan = planning.planned("netperf", **{key: value for key, value in suite.items() if key not in ("workload",)})
    assert len(plan.samples) == 2 * len(suite["tests"]) * suite["repeats"]
    assert [point.test for point in plan.points if not point.warm_up] == [test["name"] for test in suite["tests"]]


@settings(max_examples=60)
@given(st.text(max_size=80))
def test_any_text_is_read_or_refused(content):
    try:
        profile.read(content, "f")
    except FileProblem as problem:
        assert str(problem).startswith("f:")  # noqa: PT017
