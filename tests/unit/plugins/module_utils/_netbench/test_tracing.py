# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The formats in which pynetbench speaks: traces as the original prints them, histograms, statistics lines."""

from __future__ import annotations

import io
import json
import time

import pytest
from ansible_collections.netbench.orchestrator.plugins.module_utils._netbench.histogram import Histogram, upper_end_ns
from ansible_collections.netbench.orchestrator.plugins.module_utils._netbench.stream import Counters
from ansible_collections.netbench.orchestrator.plugins.module_utils._netbench.tracing import (
    Statistics,
    duration_text,
    rate_text,
)
from hypothesis import given
from hypothesis import strategies as st

latencies = st.integers(0, 2**63)


@given(latencies)
def test_a_bucket_is_at_most_two_percent_wide(latency_ns):
    upper = upper_end_ns(latency_ns)
    assert latency_ns <= upper
    assert upper_end_ns(upper) == upper
    assert upper_end_ns(upper + 1) > upper
    lower = latency_ns
    while lower and upper_end_ns(lower - 1) == upper and latency_ns < 1000:
        lower -= 1
    assert upper - latency_ns <= latency_ns / 64
    assert upper - lower <= max(0, lower / 64)


@given(st.lists(latencies, min_size=1), st.lists(latencies, min_size=1))
def test_histograms_of_two_processes_add_up_bucket_by_bucket(one, other):
    def record(values):
        histogram = Histogram()
        for value in values:
            histogram.add(value)
        return histogram.record()

    def added(*records):
        total: dict[float, int] = {}
        for upper_us, count in (bucket for single in records for bucket in single["buckets"]):
            total[upper_us] = total.get(upper_us, 0) + count
        return sorted([upper_us, count] for upper_us, count in total.items())

    both = record(one + other)
    assert added(record(one), record(other)) == both["buckets"]
    assert both["count"] == len(one + other)
    assert (both["min_us"], both["max_us"]) == (min(one + other) / 1000, max(one + other) / 1000)
    assert both["sum_us"] == sum(one + other) / 1000


@pytest.mark.parametrize(
    ("bytes_per_s", "text"),
    [
        (0, "0Bps"),
        (999, "999Bps"),
        (1990, "1.99KBps"),
        (805_640_000, "805.64MBps"),
        (3_999_999_999, "4.00GBps"),
        (4_000_000_000, "4GBps"),
    ],
)
def test_rates_read_as_in_the_original(bytes_per_s, text):
    assert rate_text(bytes_per_s) == text


@pytest.mark.parametrize(
    ("elapsed_ns", "text"),
    [(999, "0µs"), (1_000, "1µs"), (109_011_000, "109.011ms"), (1_500_000_000, "1.5s"), (2_000_000_000, "2s")],
)
def test_durations_read_as_in_the_original(elapsed_ns, text):
    assert duration_text(elapsed_ns) == text


def test_statistics_hold_start_intervals_latencies_and_end():
    file, counters, histogram = io.StringIO(), Counters(), Histogram()
    histogram.add(1_000_000)
    statistics = Statistics(file, "client", 3, counters)
    counters.rx_bytes, counters.tx_bytes, counters.first_byte_ns = 10, 20, 5
    statistics.end({"ping": histogram}, "it broke", connections=2)
    start, interval, latency, end = map(json.loads, file.getvalue().splitlines())
    assert (start["kind"], start["schema"], start["role"], start["id"]) == ("start", 1, "client", 3)
    assert (interval["kind"], interval["rx_bytes"], interval["tx_bytes"]) == ("interval", 10, 20)
    assert latency == {
        "kind": "latency",
        "trace": "ping",
        "count": 1,
        "min_us": 1000.0,
        "max_us": 1000.0,
        "sum_us": 1000.0,
        "buckets": [[1007.615, 1]],
    }
    assert start["monotonic_ns"] <= interval["monotonic_ns"] <= end["monotonic_ns"]
    assert (end["status"], end["error"], end["first_byte_ns"], end["connections"]) == ("failed", "it broke", 5, 2)


def test_intervals_lie_on_a_fixed_grid_and_missed_ones_are_left_out():
    file = io.StringIO()
    ticks = Statistics(file, "server", 0, Counters()).ticks(5)
    deadlines = []
    for late_s in (0, 0, 0.02, 0):
        deadlines.append(next(ticks)[1])
        time.sleep(max(0, deadlines[-1] - time.monotonic_ns()) / 1e9 + late_s)
    next(ticks)
    steps_ms = [(deadlines[i] - deadlines[i - 1]) / 1e6 for i in range(1, len(deadlines))]
    assert all(step >= 5 and step % 5 == 0 for step in steps_ms)
    assert max(steps_ms) >= 20
    lines = [json.loads(line) for line in file.getvalue().splitlines()]
    assert [line["kind"] for line in lines] == ["start", *["interval"] * 4]
    assert all(lines[i + 1]["monotonic_ns"] >= deadline for i, deadline in enumerate(deadlines))
