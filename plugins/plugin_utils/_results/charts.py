# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the report draws of one sample, thinned out to what a screen can show. Private to this collection.

Rates are differences of cumulative counts over bins of equal width, so whatever the width, the area under a curve is
the true number of bytes. Times are seconds after T0; the browser adds T0's wall clock.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from .records import Point
from .samples import HostData, Measured
from .series import Series, confined, reading

POINTS_LIMIT = 900_000  # of the whole report; about 6 bytes each
BINS = (24, 240)  # the fewest and the most bins of one curve
CURVES = 3  # goodput, CPU, retransmits


@dataclass(frozen=True)
class ChartBudget:
    """How many bins each curve may have, so that the report stays small enough to open at once."""

    bins: int

    @classmethod
    def of(cls, *, samples: int, hosts: int) -> ChartBudget:
        fewest, most = BINS
        return cls(min(most, max(fewest, POINTS_LIMIT // max(samples * hosts * CURVES, 1))))


def sample_chart(measured: Measured, point: Point, budget: ChartBudget) -> dict[str, Any]:
    """One sample for the report: its window and barriers, and per host bytes, CPU and retransmits over time."""
    sample = measured.sample
    zero_ns = sample.t0_ns or (sample.window.start_ns if sample.window else 0)
    span = _span(measured)
    chart: dict[str, Any] = {
        "t0_wall_ms": _wall_ms(measured, zero_ns),
        "window_s": [_s(sample.window.start_ns - zero_ns), _s(sample.window.stop_ns - zero_ns)]
        if sample.window
        else None,
        "barriers": [
            {"group": each.group, "state": each.state, "at_s": _s(each.at_ns - zero_ns)} for each in sample.barriers
        ],
        "receivers": list(measured.receivers),
        "starts": _starts(measured, point, zero_ns),
        "hosts": {},
    }
    if span:
        bins = min(budget.bins, max(2, int(4 * (span[1] - span[0]) / _finest(measured))))
        edges = [span[0] + (span[1] - span[0]) * i // bins for i in range(bins + 1)]
        chart["edges_s"] = [_s(edge - zero_ns) for edge in edges]
        chart["hosts"] = {name: _curves(measured, data, edges) for name, data in measured.hosts.items()}
    return chart


def _span(measured: Measured) -> tuple[int, int] | None:
    """From a little before the first byte to the end of the last receiver, on the coordinator's clock."""
    found = [
        data.received.series for name, data in measured.hosts.items() if name in measured.receivers and data.received
    ]
    lives = [
        (life[0] - data.host.offset_ns, life[1] - data.host.offset_ns)
        for name, data in measured.hosts.items()
        if name in measured.receivers and (life := data.host.life) and data.host.offset_ns is not None
    ]
    stretches = lives or [(series.start_ns, series.stop_ns) for series in found]
    if not stretches:
        return None
    start, stop = min(start for start, _stop in stretches), max(stop for _start, stop in stretches)
    return (start, stop) if stop > start else None


def _finest(measured: Measured) -> float:
    """The usual distance of readings, ns: bins much narrower than that would show nothing more."""
    gaps = [
        statistics.median(b - a for a, b in pairwise(data.received.series.at_ns))
        for data in measured.hosts.values()
        if data.received
    ]
    return max(min(gaps, default=1e9), 1e6)


def _curves(measured: Measured, data: HostData, edges: Sequence[int]) -> dict[str, Any]:
    offset_ns = data.host.offset_ns or 0
    curves: dict[str, Any] = {"group": data.host.group}
    if data.host.host in measured.receivers:
        if data.received:
            curves["rx_mbps"] = _rates(data.received.series.at_ns, data.received.series.rx_bytes, edges, 8e-6)
    else:
        series: Series | None = data.parsed.series
        if series:
            at_ns = [instant - offset_ns for instant in series.at_ns]
            curves["tx_mbps"] = _rates(at_ns, series.tx_bytes, edges, 8e-6)
    for counter, name in (("cpu_s", "cpu_cores"), ("tcp_retransmits", "retransmits_per_s")):
        column = data.sampled.counters.get(counter)
        if column:
            instants, values = confined(*column, *data.host.life) if data.host.life else column
            curves[name] = _coarse([instant - offset_ns for instant in instants], values, edges)
    return curves


def _rates(at_ns: Sequence[int], values: Sequence[float], edges: Sequence[int], scale: float) -> list[float]:
    counts = [reading(at_ns, values, edge) for edge in edges]
    pairs = zip(pairwise(edges), pairwise(counts), strict=True)
    return [_short((after - before) * scale / ((right - left) / 1e9)) for (left, right), (before, after) in pairs]


def _coarse(at_ns: Sequence[int], values: Sequence[float], edges: Sequence[int]) -> dict[str, list[float]]:
    """Rates between the sampler's own readings (seconds apart, not fine bins); times are shares of the span."""
    least_ns = max((edges[-1] - edges[0]) / len(edges), statistics.median(b - a for a, b in pairwise(at_ns)) / 2)
    marks = [edges[0]]
    for at in at_ns:  # a stretch much shorter than a tick would show the counter's granularity as a spike
        if at - marks[-1] >= least_ns and edges[-1] - at >= least_ns:
            marks.append(at)
    marks.append(edges[-1])
    length = edges[-1] - edges[0]
    rates = _rates(at_ns, values, marks, 1.0)
    return {"at": [round((mark - edges[0]) / length, 4) for mark in marks], "rate": rates}


def _starts(measured: Measured, point: Point, zero_ns: int) -> list[dict[str, Any]]:
    """For each host released at T0: its first process' start after T0, with the clock's error."""
    groups = point.t0_groups or tuple({measured.hosts[name].host.group for name in measured.receivers})
    starts = []
    for name, data in measured.hosts.items():
        known = [process.start_ns for process in data.host.processes if process.start_ns is not None]
        if data.host.group in groups and known and data.host.offset_ns is not None:
            after_ns = min(known) - data.host.offset_ns - zero_ns
            error_us = _short((data.host.offset_error_ns or 0) / 1e3)
            starts.append({"host": name, "after_t0_us": round(after_ns / 1e3, 1), "error_us": error_us})
    return starts


def _wall_ms(measured: Measured, zero_ns: int) -> float | None:
    window = measured.sample.window
    if not window or window.start_wall_ns is None:
        return None
    return round((window.start_wall_ns + zero_ns - window.start_ns) / 1e6, 3)


def _s(ns: float) -> float:
    return round(ns / 1e9, 4)


def _short(value: float) -> float:
    """Four significant digits: what a screen can show."""
    short = float(f"{value:.4g}")
    return int(short) if short.is_integer() else short
