# SPDX-License-Identifier: GPL-3.0-or-later
"""The lead to T0: long enough for what was seen, longer after it was too short, never over its limit."""

from __future__ import annotations

from ansible_collections.netbench.orchestrator.plugins.plugin_utils._coordinator.lead import (
    ACKNOWLEDGED_NS,
    FACTOR_LIMIT,
    LIMIT_NS,
    REMEMBERED,
    Lead,
)
from hypothesis import given
from hypothesis import strategies as st

MS = 1_000_000
durations = st.integers(min_value=0, max_value=5_000 * MS)
seen = st.lists(durations, max_size=2 * REMEMBERED)


def after(arming: list[int], parting: list[int], way_ns: int = 0) -> Lead:
    lead = Lead()
    for each in arming:
        lead = lead.armed(each, way_ns)
    for each in parting:
        lead = lead.parted(each)
    return lead


def test_on_a_quick_network_the_lead_is_short_and_the_acknowledgement_still_has_its_time() -> None:
    first = Lead().ns(way_ns=MS, parts=False)
    later = after([8 * MS], [], MS).ns(way_ns=MS, parts=False)
    assert ACKNOWLEDGED_NS < later < first < 130 * MS
    assert later < 80 * MS


@given(seen, seen, durations, st.booleans())
def test_it_holds_whatever_was_seen_last(arming: list[int], parting: list[int], way_ns: int, parts: bool) -> None:
    lead = after(arming, parting, way_ns)
    chosen_ns = lead.ns(way_ns=way_ns, parts=parts)
    assert chosen_ns <= LIMIT_NS
    needed_ns = max([0, *arming[-REMEMBERED:]]) + (max([0, *parting[-REMEMBERED:]]) if parts else ACKNOWLEDGED_NS)
    assert chosen_ns >= min(LIMIT_NS, needed_ns)


@given(seen, durations, durations, st.booleans())
def test_a_slower_way_never_shortens_it(arming: list[int], way_ns: int, more_ns: int, parts: bool) -> None:
    lead = after(arming, [])
    assert lead.ns(way_ns=way_ns + more_ns, parts=parts) >= lead.ns(way_ns=way_ns, parts=parts)


@given(st.integers(min_value=0, max_value=1_000 * MS), st.integers(min_value=0, max_value=100 * MS))
def test_one_late_answer_is_enough_to_be_in_time_the_next_time(took_ns: int, way_ns: int) -> None:
    """A host that needs as long again as it did when it was late."""
    late = Lead().armed(took_ns, way_ns).judged(too_short=True)
    assert late.ns(way_ns=way_ns, parts=False) >= took_ns + ACKNOWLEDGED_NS


@given(st.lists(st.booleans(), max_size=40))
def test_too_short_doubles_and_good_enough_halves(verdicts: list[bool]) -> None:
    lead, factor = Lead(), 1
    for too_short in verdicts:
        lead = lead.judged(too_short=too_short)
        factor = min(FACTOR_LIMIT, factor * 2) if too_short else max(1, factor // 2)
    assert lead.factor == factor
    assert lead.ns(way_ns=0, parts=False) <= LIMIT_NS


def test_what_was_long_ago_is_forgotten() -> None:
    lead = after([900 * MS] + [5 * MS] * REMEMBERED, [])
    assert lead.ns(way_ns=0, parts=False) < 100 * MS
