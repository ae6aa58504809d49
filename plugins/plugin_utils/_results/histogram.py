# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Latency histograms that can be added up. Private to this collection.

Percentiles of several clients come from the union of what they measured, never from an average of percentiles. So
each client leaves counts per bucket, and the merged counts give every percentile to within one bucket's width (1.6 %
for pynetbench).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Histogram:
    """Counts by the upper end (inclusive) of their bucket, and the exact extremes and sum."""

    counts: Mapping[float, int]
    minimum: float
    maximum: float
    sum: float

    @property
    def count(self) -> int:
        return sum(self.counts.values())

    @property
    def mean(self) -> float:
        return self.sum / self.count

    def percentile(self, percent: float) -> float:
        """The value that ``percent`` of all values do not exceed: the upper end of its bucket, at most the maximum."""
        rank, seen = self.count * percent / 100, 0
        for upper, count in sorted(self.counts.items()):
            seen += count
            if seen >= rank:
                return max(min(upper, self.maximum), self.minimum)
        return self.maximum


def merged(histograms: Iterable[Histogram]) -> Histogram | None:
    """The histogram of the union; None of nothing."""
    each = [histogram for histogram in histograms if histogram.count]
    if not each:
        return None
    counts: Counter[float] = Counter()
    for histogram in each:
        counts.update(histogram.counts)
    return Histogram(
        counts=dict(counts),
        minimum=min(histogram.minimum for histogram in each),
        maximum=max(histogram.maximum for histogram in each),
        sum=sum(histogram.sum for histogram in each),
    )
