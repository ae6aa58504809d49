# SPDX-License-Identifier: GPL-3.0-or-later

"""The bounds are bounds: whatever the path and the clocks do, the truth lies inside."""

from __future__ import annotations

from ansible_collections.netbench.orchestrator.plugins.plugin_utils._coordinator.clock import (
    Bound,
    Exchange,
    Instant,
    between,
    bound,
    on_coordinator,
    skew,
    survey,
)
from hypothesis import given
from hypothesis import strategies as st

MS = 1_000_000
delays = st.integers(0, 50 * MS)
offsets = st.integers(-(10**15), 10**15)


def exchange(sent_ns: int, there_ns: int, held_ns: int, back_ns: int, offset_ns: int) -> Exchange:
    received = sent_ns + there_ns
    return Exchange(sent_ns, received + offset_ns, received + held_ns + offset_ns, received + held_ns + back_ns)


@given(delays, delays, delays, offsets)
def test_one_exchange_bounds_the_offset_on_any_asymmetric_path(there, held, back, offset):
    heard = bound(exchange(10**18, there, held, back, offset))
    assert heard.low_ns <= offset <= heard.high_ns
    assert heard.high_ns - heard.low_ns == there + back == exchange(0, there, held, back, offset).rtt_ns


@given(st.lists(st.tuples(delays, delays, delays), min_size=1, max_size=8), offsets)
def test_a_survey_keeps_the_truth_and_is_no_wider_than_its_best_exchange(paths, offset):
    heard = [exchange(10**15 + i * 100 * MS, *path, offset) for i, path in enumerate(paths)]
    result = survey(heard)
    assert result.low_ns <= offset <= result.high_ns
    assert result.error_ns <= min(bound(each).error_ns for each in heard)


@given(
    st.floats(-500e-6, 500e-6),
    offsets,
    st.tuples(delays, delays),
    st.tuples(delays, delays),
    st.integers(0, 10_000 * MS),
)
def test_two_surveys_bound_a_drifting_clock_in_between(rate, offset, path_before, path_after, at):
    """A worker whose clock runs up to 500 ppm fast or slow, at any instant of a 10 s sample."""

    def worker_clock(true_ns: int) -> int:
        return true_ns + offset + round(rate * true_ns)

    def ask(sent: int, there: int, back: int) -> Bound:
        return survey([Exchange(sent, worker_clock(sent + there), worker_clock(sent + there), sent + there + back)])

    before, after = ask(0, *path_before), ask(10_200 * MS, *path_after)
    event = 101 * MS + at
    seen = on_coordinator(worker_clock(event), before, after)
    slack = 1 + round(2 * abs(rate) * max(*path_before, *path_after))  # the bounds' instants are the exchanges' middles
    assert seen.low_ns - slack <= event <= seen.high_ns + slack


@given(st.lists(st.tuples(st.integers(0, 10 * MS), st.integers(0, MS), st.integers(0, MS)), min_size=1, max_size=20))
def test_the_true_skew_lies_within_the_error(events):
    instants = [Instant(truth - low, truth + high) for truth, low, high in events]
    truth = max(t for t, _unused, _unused in events) - min(t for t, _unused, _unused in events)
    result = skew(instants)
    assert result is not None
    assert abs(result.skew_ns - truth) <= result.error_ns + 1


def test_outside_the_surveys_the_bound_widens_with_the_drift():
    before = Bound(0, -10, 10)
    assert between(before, None, 1000 * MS) == Bound(1000 * MS, -10 - MS, 10 + MS)


def test_a_stepped_clock_leaves_the_quickest_exchange():
    quick, slow = exchange(0, 10, 0, 10, 0), exchange(1000, 500, 0, 500, 50 * MS)
    assert survey([quick, slow]) == bound(quick)


def test_nothing_started_has_no_skew():
    assert skew([]) is None
