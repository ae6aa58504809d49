# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What several samples say together. Private to this collection.

Everything here describes one list of values (one metric at one grid point). The interval of the median rests on ranks
only (Conover, Practical Nonparametric Statistics, 3.2): it holds whatever the distribution, and says what confidence
it really has, because few samples cannot give much. The t interval of the mean assumes a normal distribution and is
there for comparison with tools that report it. Outliers (Tukey's fences) are marked and stay in every figure.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

from .errors import MissingLibrary
from .metrics import HIGHER, NEITHER, better

CONFIDENCE = 0.95
PERCENTILES = (50, 90, 95, 99)
OUTLIERS_FROM = 5  # quartiles of fewer values say nothing


@dataclass(frozen=True)
class Interval:
    low: float
    high: float
    confidence: float


@dataclass(frozen=True)
class Description:
    """Figures of one list of values; None where there are too few values for one."""

    n: int
    mean: float
    median: float
    minimum: float
    maximum: float
    standard_deviation: float | None
    variation: float | None  # standard deviation / |mean|
    percentiles: dict[float, float]
    median_interval: Interval | None
    mean_interval: Interval | None
    outliers: tuple[int, ...]  # positions in the list


def describe(
    values: Sequence[float], *, confidence: float = CONFIDENCE, percentiles: Sequence[float] = PERCENTILES
) -> Description:
    """The figures of at least one value. ``mean_interval`` is None without scipy (see :func:`t_quantile`)."""
    ordered = sorted(values)
    n = len(ordered)
    mean = min(max(math.fsum(value / n for value in ordered), ordered[0]), ordered[-1])
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in ordered) / (n - 1)) if n > 1 else None
    return Description(
        n=n,
        mean=mean,
        median=percentile(ordered, 50),
        minimum=ordered[0],
        maximum=ordered[-1],
        standard_deviation=deviation,
        variation=deviation / abs(mean) if deviation is not None and mean else None,
        percentiles={percent: percentile(ordered, percent) for percent in percentiles},
        median_interval=median_interval(ordered, confidence=confidence),
        mean_interval=mean_interval(n, mean, deviation, confidence=confidence),
        outliers=outliers(values),
    )


def percentile(ordered: Sequence[float], percent: float) -> float:
    """Of sorted values, linear between neighbours (type 7 of Hyndman and Fan, the default of NumPy and R)."""
    position = (len(ordered) - 1) * percent / 100
    low = math.floor(position)
    high = min(low + 1, len(ordered) - 1)
    return min(ordered[low] + (ordered[high] - ordered[low]) * (position - low), ordered[high])


def median_interval(ordered: Sequence[float], *, confidence: float = CONFIDENCE) -> Interval | None:
    """The narrowest pair of equal ranks whose binomial confidence reaches ``confidence``; else the whole range, with
    its own.

    Six values are the fewest that reach 95 %. None for fewer than two.
    """
    n = len(ordered)
    if n < 2:
        return None
    below, tail, rank = 0.5**n, 0.0, 0  # P(B = rank), P(B < rank), for B ~ Binomial(n, 1/2)
    if below == 0.0:  # more than 1074 values: the normal approximation, one rank wider
        z = NormalDist().inv_cdf((1 + confidence) / 2)
        rank = math.floor((n - z * math.sqrt(n)) / 2) - 1
        return Interval(ordered[rank], ordered[n - 1 - rank], confidence)
    while 1 - 2 * (tail + below) >= confidence and rank < n // 2:
        tail += below
        rank += 1
        below *= (n - rank + 1) / rank
    if rank == 0:
        return Interval(ordered[0], ordered[-1], 1 - 2 * below)
    return Interval(ordered[rank - 1], ordered[n - rank], 1 - 2 * tail)


def mean_interval(n: int, mean: float, deviation: float | None, *, confidence: float = CONFIDENCE) -> Interval | None:
    """Student's interval of the mean."""
    if deviation is None:
        return None
    try:
        half = t_quantile(n - 1, confidence=confidence) * deviation / math.sqrt(n)
    except MissingLibrary:
        return None
    return Interval(mean - half, mean + half, confidence)


def t_quantile(degrees: int, *, confidence: float = CONFIDENCE) -> float:
    """The two-sided quantile of Student's t: 12.706 for one degree of freedom. Raises MissingLibrary."""
    try:
        from scipy.special import stdtrit  # scipy.stats takes a second longer to import
    except ImportError as error:
        raise MissingLibrary(library="scipy", feature="t intervals in summary.json") from error
    return float(stdtrit(degrees, (1 + confidence) / 2))


def outliers(values: Sequence[float]) -> tuple[int, ...]:
    """Positions outside Tukey's fences: more than 1.5 interquartile ranges away from the quartiles."""
    if len(values) < OUTLIERS_FROM:
        return ()
    ordered = sorted(values)
    low, high = percentile(ordered, 25), percentile(ordered, 75)
    reach = 1.5 * (high - low)
    return tuple(i for i, value in enumerate(values) if not low - reach <= value <= high + reach)


def change(metric: str, before: Description, after: Description) -> str:
    """What became of a metric: improvement, regression, difference (it has no better direction), or unclear.

    Only intervals that do not touch tell two runs apart; a latency that went down is an improvement.
    """
    old, new = (each.median_interval or Interval(each.median, each.median, 0.0) for each in (before, after))
    if before.n < 2 or after.n < 2 or (new.low <= old.high and old.low <= new.high):
        return "unclear"
    direction = better(metric)
    if direction == NEITHER:
        return "difference"
    return "improvement" if (new.low > old.high) == (direction == HIGHER) else "regression"
