# SPDX-License-Identifier: GPL-3.0-or-later
"""Bytes over time: what is read out is what was put in."""

from __future__ import annotations

import pytest
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._results import series as module
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._results.series import Series, confined, total
from hypothesis import given
from hypothesis import strategies as st

SECOND = 1_000_000_000
STEPS = st.lists(
    st.tuples(st.integers(1, 10**10), st.integers(0, 10**12), st.integers(0, 10**12)), min_size=1, max_size=30
)


def build(steps: list[tuple[int, int, int]], start_ns: int = 0) -> Series:
    rows = [(start_ns, 0, 0)]
    for gap, rx, tx in steps:
        rows.append((rows[-1][0] + gap, rows[-1][1] + rx, rows[-1][2] + tx))
    series = Series.of(rows)
    assert series
    return series


@given(STEPS, st.data())
def test_windows_beside_each_other_add_up_to_the_whole(steps: list[tuple[int, int, int]], data: st.DataObject) -> None:
    series = build(steps)
    cut = data.draw(st.integers(-100, series.stop_ns + 100))
    whole = series.rx_between(-100, series.stop_ns + 100)
    assert whole == series.rx_bytes[-1]
    assert series.rx_between(-100, cut) + series.rx_between(cut, series.stop_ns + 100) == pytest.approx(whole)


@given(STEPS, st.integers(-(10**18), 10**18), st.data())
def test_another_clock_changes_nothing(steps: list[tuple[int, int, int]], offset: int, data: st.DataObject) -> None:
    series = build(steps)
    start = data.draw(st.integers(0, series.stop_ns))
    assert series.shifted(offset).rx_between(start + offset, series.stop_ns + offset) == pytest.approx(
        series.rx_between(start, series.stop_ns)
    )


def test_a_constant_rate_is_interpolated_exactly() -> None:
    series = Series.of([(0, 0, 0), (10 * SECOND, 1000, 10)])
    assert series
    assert series.rx_between(int(2.5 * SECOND), 5 * SECOND) == 250


@given(st.lists(st.tuples(STEPS, st.integers(0, 10**11)), min_size=1, max_size=4), st.integers(0, 2 * 10**11))
def test_the_sum_at_any_instant_is_the_sum_of_the_parts(
    parts: list[tuple[list[tuple[int, int, int]], int]], at_ns: int
) -> None:
    series = [build(steps, start) for steps, start in parts]
    together = total(series)
    assert together
    assert together.rx_at(at_ns) == pytest.approx(sum(each.rx_at(at_ns) for each in series), rel=1e-6, abs=1e-3)


def test_rows_back_in_time_are_dropped_and_counters_never_fall() -> None:
    series = Series.of([(0, 0, 0), (5, 10, 1), (4, 99, 9), (6, 3, 0), (6, 50, 5)])
    assert series == Series((0, 5, 6), (0, 10, 10), (0, 1, 1))
    assert Series.of([(1, 0, 0)]) is None


def test_traffic_known_to_be_inside_is_not_smeared_over_the_ticks_around() -> None:
    at_ns, values = confined([0, 10, 20, 30], [0, 0, 80, 80], 12, 18)
    assert (at_ns, values) == ((12, 18), (0, 80))
    assert confined([0, 10, 20, 30], [0, 5, 80, 90], 2, 25) == ((2, 10, 20, 25), (0, 5, 80, 90))


@given(STEPS, st.floats(1, 1e12))
def test_a_shape_keeps_the_total_it_is_given(steps: list[tuple[int, int, int]], whole: float) -> None:
    series = build(steps)
    shaped = series.shape_of(whole, 0, series.stop_ns)
    if series.rx_bytes[-1] == 0:
        assert shaped is None
    else:
        assert shaped
        assert shaped.rx_bytes[-1] == pytest.approx(whole)


def test_a_sum_of_very_many_is_read_at_fewer_instants(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their number times that of their instants is what a hostile host would choose."""
    parts = [build([(SECOND + n, 100, 50)] * 20, start_ns=n) for n in range(100)]
    exact = total(parts)
    monkeypatch.setattr(module, "READINGS_LIMIT", 10_000)
    coarse = total(parts)
    assert exact
    assert coarse
    assert len(coarse.at_ns) * len(parts) <= 10_000 + 2 * len(parts)
    assert (coarse.start_ns, coarse.stop_ns) == (exact.start_ns, exact.stop_ns)
    assert [coarse.rx_at(at_ns) for at_ns in coarse.at_ns] == [exact.rx_at(at_ns) for at_ns in coarse.at_ns]
