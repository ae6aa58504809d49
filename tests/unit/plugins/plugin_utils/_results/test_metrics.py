# SPDX-License-Identifier: GPL-3.0-or-later
"""Every figure that netperf and iperf3 give has a direction, or is known to have none."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._results import iperf3, netperf
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._results.metrics import better
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._results.outputs import Outputs
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._results.records import Process

DATA = Path(__file__).parent / "data"
# How busy a host was, and how a tool set itself up: neither more nor less of it is better.
WITHOUT = {"netperf.cpu_local_pct", "netperf.cpu_remote_pct", "iperf3.cpu_local_pct", "iperf3.cpu_remote_pct"}
WITHOUT |= {"iperf3.cwnd_max_bytes", "iperf3.sent_packets"}
HIGHER = ("throughput", "transaction_rate", "goodput")


def names() -> set[str]:
    found = set()
    for parser, pattern in ((netperf.parse, "netperf-*.txt"), (iperf3.parse, "iperf3-*.json")):
        for path in DATA.glob(pattern):
            outputs = Outputs((Process("client", start_ns=0, stop_ns=10**10),), ("client.stdout",), _read(path))
            found |= {metric.name for metric in parser(outputs).metrics}
    return found


def _read(path: Path):
    return lambda name: path.read_bytes()


def test_the_parsers_give_figures() -> None:
    assert len(names()) > 20
    assert names() >= WITHOUT - {"iperf3.sent_packets"}


@pytest.mark.parametrize("name", sorted(names() | {"netperf.throughput_confidence_pct"}))
def test_every_figure_has_a_direction_or_is_known_to_have_none(name: str) -> None:
    more = any(word in name for word in HIGHER) and "confidence" not in name
    assert better(name) == ("neither" if name in WITHOUT else "higher" if more else "lower")
