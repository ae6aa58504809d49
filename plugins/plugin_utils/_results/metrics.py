# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A measured figure with its unit and its direction. Private to this collection."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

HIGHER, LOWER, NEITHER = "higher", "lower", "neither"
WORST, SUM = "worst", "sum"

_UNITS = (  # by the end of a metric's name; the first that fits
    ("_bps", "bit/s"), ("_us", "µs"), ("_ms", "ms"), ("_s", "s"), ("_bytes", "B"), ("_pct", "%"), ("_cores", "cores"),
    ("_packets", "packets"), ("_retransmits", "segments"), ("_dropped", "packets"), ("_count", ""),
)  # fmt: skip
_BETTER = (  # by a part of a metric's name; the first that fits
    (r"confidence|spread|_per_(kb|transaction)_", LOWER),
    (r"goodput|throughput|transaction_rate", HIGHER),
    (r"_count$|^window_s$|_bytes$", NEITHER),
    (
        r"skew|latency|first_byte|rtt_|jitter|out_of_order|retransmits|dropped|steal|softirq|lost|control_packets|connect_mean|ena\.",
        LOWER,
    ),
)


@dataclass(frozen=True)
class Metric:
    """``name`` is dotted and ends with its unit (``latency.request.p99_us``); ``better``: higher, lower or neither.

    ``together``: what several hosts or processes have of it, the sum or the worst.
    """

    name: str
    value: float
    together: str = WORST

    @property
    def unit(self) -> str:
        return unit(self.name)

    @property
    def better(self) -> str:
        return better(self.name)


def combined(metrics: Iterable[Metric]) -> list[Metric]:
    """One metric of each name, by name: sums, and of the others the worst, which is what a reader has to know."""
    found: dict[str, Metric] = {}
    for metric in metrics:
        before = found.get(metric.name)
        if before is None:
            found[metric.name] = metric
        elif metric.together == SUM:
            found[metric.name] = replace(metric, value=before.value + metric.value)
        else:
            pick = min if metric.better == HIGHER else max
            found[metric.name] = replace(metric, value=pick(before.value, metric.value))
    return [found[name] for name in sorted(found)]


def unit(name: str) -> str:
    return next((unit for ending, unit in _UNITS if name.endswith(ending)), "")


def better(name: str) -> str:
    return next((direction for pattern, direction in _BETTER if re.search(pattern, name)), NEITHER)


def part(text: str) -> str:
    """A word from elsewhere (a trace's or counter's name) as one part of a dotted name."""
    return re.sub(r"[^A-Za-z0-9_-]+", "_", text)[:60] or "_"
