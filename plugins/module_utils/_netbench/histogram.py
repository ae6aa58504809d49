# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Histograms of latencies that can be merged between hosts. Private to the collection.

Buckets are fixed by formula, so histograms of any two processes add up bucket by bucket. For a latency of ``v`` ns let
``shift = max(0, v.bit_length() - 7)``; the bucket is ``v >> shift`` in its octave, and its upper end, inclusive, is
``(((v >> shift) + 1) << shift) - 1`` ns. So a bucket is exact below 128 ns, and at most 1/64 = 1.6 % wide above. Upper
ends are written in µs with three decimals, which is exact.
"""

from __future__ import annotations

from collections import Counter
from typing import Any


def upper_end_ns(latency_ns: int) -> int:
    """The upper end, inclusive, of the bucket that holds the latency."""
    shift = max(0, latency_ns.bit_length() - 7)
    return (((latency_ns >> shift) + 1) << shift) - 1


class Histogram:
    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()
        self._sum_ns = 0
        self._min_ns = 0
        self._max_ns = 0

    def add(self, latency_ns: int) -> None:
        self._min_ns = min(self._min_ns, latency_ns) if self._counts else latency_ns
        self._max_ns = max(self._max_ns, latency_ns)
        self._sum_ns += latency_ns
        self._counts[upper_end_ns(latency_ns)] += 1

    def record(self) -> dict[str, Any]:
        """The fields of a ``latency`` line; ``buckets`` is ``[[upper_us, count], …]``, ascending."""
        buckets: list[list[Any]] = [[upper_ns / 1000, count] for upper_ns, count in sorted(self._counts.items())]
        return {
            "count": sum(self._counts.values()),
            "min_us": self._min_ns / 1000,
            "max_us": self._max_ns / 1000,
            "sum_us": self._sum_ns / 1000,
            "buckets": buckets,
        }
