# SPDX-License-Identifier: GPL-3.0-or-later
"""Merged histograms are the histogram of the union."""

from __future__ import annotations

from ansible_collections.netbench.orchestrator.plugins.module_utils._netbench.histogram import Histogram as Recorder
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._results.histogram import Histogram, merged
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._results.parsers import statistics_file
from hypothesis import given
from hypothesis import strategies as st

LATENCIES = st.lists(st.integers(1, 10**11), min_size=1, max_size=60)


def recorded(latencies_ns: list[int]) -> Histogram:
    """Through the driver's own recorder, its file, and our parser."""
    import json

    recorder = Recorder()
    for latency_ns in latencies_ns:
        recorder.add(latency_ns)
    line = {"kind": "latency", "trace": "request", **recorder.record()}
    return statistics_file(json.dumps(line).encode()).latencies["request"]


@given(st.lists(LATENCIES, min_size=1, max_size=5), st.floats(0, 100))
def test_merging_equals_recording_everything_together(parts: list[list[int]], percent: float) -> None:
    union = recorded([latency for part in parts for latency in part])
    joined = merged(recorded(part) for part in parts)
    assert joined
    assert joined.counts == union.counts
    assert joined.percentile(percent) == union.percentile(percent)
    assert (joined.minimum, joined.maximum) == (union.minimum, union.maximum)


@given(LATENCIES, st.sampled_from([1, 50, 90, 99, 100]))
def test_a_percentile_is_right_to_within_a_bucket(latencies: list[int], percent: int) -> None:
    ordered = sorted(latencies)
    truth_us = ordered[max(0, -(-len(ordered) * percent // 100) - 1)] / 1000
    found = recorded(latencies).percentile(percent)
    assert truth_us <= found + 1e-9
    assert found <= truth_us * (1 + 1 / 64) + 0.002


def test_nothing_merges_to_nothing() -> None:
    assert merged([]) is None
