# SPDX-License-Identifier: GPL-3.0-or-later
"""Sums of a window against what the server's interface took in between the same two instants, less the headers.

The way to the server is narrow, so that its link and not two processors decide, and all clients share it: then the
tools' own averages, each over its own time, add up to more than the link has when they start one after the other.
"""

from __future__ import annotations

from ansible_collections.netbench.orchestrator.plugins.plugin_utils._results import folder, records, samples
from netbench_lab.meter import Meter, metered

from .results import RunFolder
from .tools import ToolsTrial

LINK_BPS = 400_000_000
WITHIN = 0.01
CLIENTS = ["client1", "client2", "client3", "client4"]
FINE = {"iperf3": "interval", "netperf": "sampling"}  # what flows at an edge is smeared over one of these
Sums = dict[str, tuple[float, float]]  # by stagger in s: goodput, and the sum of the tools' own averages, over counted


def incast(trial: ToolsTrial, tool: str, *, duration_s: int, stagger_s: int) -> Sums:
    """Four clients and server1, started together, and then one after the other."""
    server = trial.lab.hosts["server1"]
    server.limit_link(LINK_BPS)
    try:
        with metered(server) as meter:
            run = trial.measured(
                tool,
                groups={"servers": ["server1"], "clients": CLIENTS},
                parameters={"duration": f"{duration_s}s", FINE[tool]: "100ms"},
                grid={"stagger_start": ["0s", f"{stagger_s}s"]},
            )
    finally:
        server.unlimit_link()
    return _sums(run, tool, meter)


def _sums(run: RunFolder, tool: str, meter: Meter) -> Sums:
    where = folder.ResultFolder(run.path)
    record = records.read_run(where)
    found = {}
    for sample, row in zip(record.samples, run.rows, strict=True):
        window, server = samples.measure(where, record, sample).sample.window, sample.hosts["server1"]
        assert window
        assert server.offset_ns is not None
        seconds = (window.stop_ns - window.start_ns) / 1e9
        counted_bps = meter.payload(window.start_ns + server.offset_ns, window.stop_ns + server.offset_ns) * 8 / seconds
        own_bps, goodput_bps = float(row[f"clients.{tool}.throughput_bps"]), float(row["goodput_bps"])
        print(
            f"{tool} staggered by {row['param.stagger_start']} s: window {seconds:.2f} s, Mbit/s: "
            f"goodput {goodput_bps / 1e6:.1f}, interface {counted_bps / 1e6:.1f} ({goodput_bps / counted_bps:.4f}), "
            f"sum of own averages {own_bps / 1e6:.1f} ({own_bps / counted_bps:.4f})"
        )
        found[row["param.stagger_start"]] = goodput_bps / counted_bps, own_bps / counted_bps
    return found


def check(sums: Sums) -> None:
    """The window's sum is right in both cases, the naive one is not when the starts are staggered."""
    (staggered,) = set(sums) - {"0"}
    for goodput, _own in sums.values():
        assert abs(goodput - 1) <= WITHIN
    assert sums[staggered][1] > 1.2
