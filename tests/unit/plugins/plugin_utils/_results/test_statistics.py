# SPDX-License-Identifier: GPL-3.0-or-later
"""Figures against published tables, and against other implementations."""

from __future__ import annotations

import statistics as stdlib
import sys
from importlib.util import find_spec

import pytest
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._results import statistics
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._results.errors import MissingLibrary
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._results.statistics import (
    describe,
    median_interval,
    outliers,
    percentile,
    t_quantile,
)
from hypothesis import given
from hypothesis import strategies as st

VALUES = st.lists(st.floats(-1e9, 1e9), min_size=2, max_size=60)
# Student's t, two-sided 95 %, by degrees of freedom (any textbook's table).
T_TABLE = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 9: 2.262, 14: 2.145, 29: 2.045, 60: 2.000, 120: 1.980}
# Ranks of the 95 % interval of the median, by n (tables of the sign test: Dixon and Massey, A-25).
RANKS = {6: 1, 7: 1, 8: 1, 9: 2, 10: 2, 11: 2, 12: 3, 15: 4, 20: 6, 25: 8, 30: 10, 40: 14, 50: 18}


NEEDS_SCIPY = pytest.mark.skipif(find_spec("scipy") is None, reason="not installed: scipy")


@NEEDS_SCIPY
@pytest.mark.parametrize(("degrees", "quantile"), T_TABLE.items())
def test_t_equals_the_published_table(degrees: int, quantile: float) -> None:
    assert round(t_quantile(degrees), 3) == quantile


@NEEDS_SCIPY
def test_two_values_have_the_wide_interval_that_they_deserve() -> None:
    interval = describe([1.0, 3.0]).mean_interval
    assert interval
    assert (round(interval.low, 2), round(interval.high, 2)) == (-10.71, 14.71)  # 2 ± 12.706 · √2 / √2


@pytest.mark.parametrize(("n", "rank"), RANKS.items())
def test_the_medians_ranks_equal_the_published_table(n: int, rank: int) -> None:
    interval = median_interval(list(range(1, n + 1)))
    assert interval
    assert (interval.low, interval.high) == (rank, n + 1 - rank)
    assert interval.confidence >= 0.95


@pytest.mark.parametrize(("n", "confidence"), [(2, 0.5), (3, 0.75), (5, 0.9375)])
def test_few_values_say_what_little_confidence_they_give(n: int, confidence: float) -> None:
    interval = median_interval(list(range(n)))
    assert interval
    assert (interval.low, interval.high, interval.confidence) == (0, n - 1, confidence)


@pytest.mark.parametrize("n", [100, 999, 1074, 1075, 3000])
def test_the_medians_confidence_agrees_with_scipy(n: int) -> None:
    binom = pytest.importorskip("scipy.stats").binom
    interval = median_interval(list(range(1, n + 1)))
    assert interval
    confidence = 1 - 2 * binom.cdf(interval.low - 1, n, 0.5)
    assert 0.95 <= confidence < 0.97
    assert interval.confidence == pytest.approx(confidence, abs=0.01)


@given(VALUES)
def test_figures_agree_with_the_standard_library(values: list[float]) -> None:
    found = describe(values)
    assert found.median == pytest.approx(stdlib.median(values))
    assert found.mean == pytest.approx(stdlib.fmean(values), abs=1e-6)
    assert found.standard_deviation == pytest.approx(stdlib.stdev(values), rel=1e-6, abs=1e-6)
    cuts = stdlib.quantiles(values, n=100, method="inclusive")
    assert [found.percentiles[p] for p in (50, 90, 95, 99)] == pytest.approx(
        [cuts[p - 1] for p in (50, 90, 95, 99)], abs=1e-5
    )


@given(VALUES)
def test_everything_lies_between_the_extremes(values: list[float]) -> None:
    found = describe(values)
    assert found.median_interval
    assert found.minimum <= found.median_interval.low <= found.median <= found.median_interval.high <= found.maximum
    assert found.minimum <= found.mean <= found.maximum
    assert found.minimum <= percentile(sorted(values), 99) <= found.maximum


def test_one_value_has_no_interval() -> None:
    found = describe([7.0])
    assert (found.median_interval, found.mean_interval, found.standard_deviation, found.outliers) == (
        None,
        None,
        None,
        (),
    )


def test_outliers_are_marked_by_place_and_stay_in_the_mean() -> None:
    values = [10.0, 11.0, 10.5, 50.0, 10.2, 10.8]
    assert outliers(values) == (3,)
    assert describe(values).mean == pytest.approx(sum(values) / 6)
    assert outliers([1.0, 1.0, 99.0]) == (), "three values have no quartiles worth the name"


def test_without_scipy_only_the_t_interval_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy.special", None)
    with pytest.raises(
        MissingLibrary, match="'scipy' is not installed on the control node; it is needed for t intervals"
    ):
        t_quantile(1)
    found = statistics.describe([1.0, 2.0, 3.0])
    assert found.mean_interval is None
    assert found.median_interval
