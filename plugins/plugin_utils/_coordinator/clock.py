# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Clock offsets with a bound that is a bound. Private to this collection.

Every exchange with a worker gives four instants: the coordinator wrote a request (``sent_ns``) and read the answer
(``back_ns``) on its monotonic clock, the worker read the request (``received_ns``) and wrote the answer
(``answered_ns``) on its own. Because a message cannot arrive before it was sent, the offset (worker minus
coordinator) lies between ``answered - back`` and ``received - sent``, however asymmetric the path is. Of many
exchanges the intervals are intersected. Two surveys, one before and one after a sample, bound the offset in between
for clocks whose rate is constant meanwhile (a slew of 500 ppm included).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Exchange:
    """One round trip; ``sent`` and ``back`` on the coordinator's clock, ``received`` and ``answered`` on the
    worker's.
    """

    sent_ns: int
    received_ns: int
    answered_ns: int
    back_ns: int

    @property
    def rtt_ns(self) -> int:
        """Time on the way, without the time the worker held the message."""
        return (self.back_ns - self.sent_ns) - (self.answered_ns - self.received_ns)


@dataclass(frozen=True)
class Bound:
    """The offset, worker minus coordinator, was between ``low_ns`` and ``high_ns`` at ``at_ns`` (coordinator's
    clock).
    """

    at_ns: int
    low_ns: int
    high_ns: int

    @property
    def middle_ns(self) -> int:
        return (self.low_ns + self.high_ns) // 2

    @property
    def error_ns(self) -> int:
        return (self.high_ns - self.low_ns + 1) // 2


def bound(exchange: Exchange) -> Bound:
    """What one exchange says. Both ends count: the clock is read before writing and after reading."""
    return Bound(
        at_ns=(exchange.sent_ns + exchange.back_ns) // 2,
        low_ns=exchange.answered_ns - exchange.back_ns,
        high_ns=exchange.received_ns - exchange.sent_ns,
    )


MAXIMUM_RATE = 1e-3  # two clocks, each slewed by at most 500 ppm against the truth


def survey(exchanges: Iterable[Exchange]) -> Bound:
    """The tightest honest bound of several exchanges: their intersection at the instant of the quickest one.

    Each interval is widened by what the clocks may have drifted apart meanwhile. An empty intersection (a clock that
    was stepped) leaves the quickest exchange alone.
    """
    bounds = sorted((bound(exchange) for exchange in exchanges), key=lambda each: each.error_ns)
    if not bounds:
        raise ValueError("a clock survey needs at least one exchange")
    best = bounds[0]
    low, high = best.low_ns, best.high_ns
    for other in bounds[1:]:
        drift = int(abs(other.at_ns - best.at_ns) * MAXIMUM_RATE) + 1
        low, high = max(low, other.low_ns - drift), min(high, other.high_ns + drift)
    return Bound(best.at_ns, low, high) if low <= high else best


def between(before: Bound, after: Bound | None, at_ns: int) -> Bound:
    """The offset at an instant between (or beside) two surveys, for clocks of constant rate; linear in both borders.

    Outside the two surveys, or with only one, the interval widens with what the clocks may have drifted.
    """
    if after is None or after.at_ns <= before.at_ns:
        drift = int(abs(at_ns - before.at_ns) * MAXIMUM_RATE)
        return Bound(at_ns, before.low_ns - drift, before.high_ns + drift)
    if not before.at_ns <= at_ns <= after.at_ns:
        near = before if at_ns < before.at_ns else after
        return between(near, None, at_ns)
    share = (at_ns - before.at_ns) / (after.at_ns - before.at_ns)
    low = before.low_ns + share * (after.low_ns - before.low_ns)
    high = before.high_ns + share * (after.high_ns - before.high_ns)
    return Bound(at_ns, int(low), int(high) + 1)


@dataclass(frozen=True)
class Instant:
    """An event on the coordinator's clock: it lay between ``low_ns`` and ``high_ns``."""

    low_ns: int
    high_ns: int

    @property
    def middle_ns(self) -> int:
        return (self.low_ns + self.high_ns) // 2


def on_coordinator(worker_ns: int, before: Bound, after: Bound | None) -> Instant:
    """A worker's instant on the coordinator's clock."""
    offset = before
    for _unused in range(3):  # the offset depends on when, which depends on the offset: each round gains 3 digits
        offset = between(before, after, worker_ns - offset.middle_ns)
    return Instant(worker_ns - offset.high_ns, worker_ns - offset.low_ns)


@dataclass(frozen=True)
class Skew:
    """Last minus first of some events; the true value lies within ``skew_ns`` ± ``error_ns``."""

    skew_ns: int
    error_ns: int


def skew(instants: Iterable[Instant]) -> Skew | None:
    """The skew of events with its error bound; None when there is none."""
    events = list(instants)
    if not events:
        return None
    if len(events) == 1:
        return Skew(0, 0)
    middles = [event.middle_ns for event in events]
    point = max(middles) - min(middles)
    lowest = max(0, max(event.low_ns for event in events) - min(event.high_ns for event in events))
    highest = max(event.high_ns for event in events) - min(event.low_ns for event in events)
    return Skew(point, max(point - lowest, highest - point))
