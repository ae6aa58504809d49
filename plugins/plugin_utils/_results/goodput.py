# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What each receiver got inside the window, and how we know. Private to this collection.

The receivers' bytes are the truth. From the best to the least:

====================== =============================================================================================
``driver``             the driver's own counts, to the last byte
``expected+interface`` what a completed scenario is known to deliver, spread over time as the interface's counters ran
``driver+expected``    the driver's trace; its last, unprinted part from the known delivery
``expected``           the known delivery, spread evenly over the process' life
``driver+interface``   the driver's trace; its last part from the interface, scaled by what both saw before
``interface``          the interface's counters: headers and everybody's traffic count too
====================== =============================================================================================

Where a tool reports its total at the end (iperf3, netperf), ``expected`` is called ``reported``.

A trace has a clock of its own, which begins when the driver has read its scenario: some 0.1 s after the process, on
busy hosts later. So its total is taken, but its course only where no interface tells a better one.

A sender's interface counts what TCP sends again as well. That happens when the way is full, so it is taken off.

An interface that several hosts of the run share (loopback) says nothing about one of them and is not used for counts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from .outputs import BOTH, NONE, TX, Parsed
from .records import HostSample
from .series import Series, reading

Counter = tuple[Sequence[int], Sequence[float]]  # instants and values, as the sampler has them
SLACK_NS = 5_000_000  # a series may end this much before the window and still cover it


@dataclass(frozen=True)
class Received:
    """A receiver's bytes over time on the coordinator's clock, and where the figure comes from."""

    series: Series
    source: str
    sent_known: bool = False


def received(
    host: HostSample,
    *,
    parsed: Parsed,
    interface: Series | None,
    expected_rx_bytes: int | None,
    shared_interface: bool,
    retransmits: Counter | None = None,
) -> Received | None:
    """The best series there is for one receiver; None when nothing is known. Input series are on the worker's clock.

    ``retransmits``: segments that the host's TCP has sent again, by the sampler.
    """
    if host.offset_ns is None:
        return None
    life = host.life
    if parsed.series and parsed.flows:  # the tool tells when data flowed
        life = parsed.series.start_ns, parsed.series.stop_ns
    if interface and retransmits and parsed.segment_bytes:
        interface = _once(interface, retransmits, parsed.segment_bytes)
    interface = _way(interface, parsed.interface) if interface else None
    if life and interface:
        interface = interface.confined(*life)
    told = parsed.received_bytes
    whole_delivery = (round(told) if told else expected_rx_bytes) if host.verdict == "done" else None
    found = _best(parsed, interface, life, whole_delivery, shared_interface)
    if not found:
        return None
    source = found[1].replace("expected", "reported") if told else found[1]
    sent_known = source in ("driver", "interface") and not parsed.flows
    return Received(found[0].shifted(-host.offset_ns), source, sent_known)


def _once(interface: Series, retransmits: Counter, segment_bytes: float) -> Series:
    """What the interface sent, without what it sent again."""
    first = retransmits[1][0]
    again = [(reading(*retransmits, at_ns) - first) * segment_bytes for at_ns in interface.at_ns]
    sent = [moved - twice for moved, twice in zip(interface.tx_bytes, again, strict=True)]
    return Series.of(zip(interface.at_ns, interface.rx_bytes, sent, strict=True)) or interface


def _way(interface: Series, way: str) -> Series | None:
    """The interface's counters that saw the received bytes: a tool's receiver may be the other end."""
    if way == NONE:
        return None
    if way == TX:
        return Series(interface.at_ns, interface.tx_bytes, interface.rx_bytes)
    if way == BOTH:
        sums = tuple(rx + tx for rx, tx in zip(interface.rx_bytes, interface.tx_bytes, strict=True))
        return Series(interface.at_ns, sums, sums)
    return interface


def _best(
    parsed: Parsed, interface: Series | None, life: tuple[int, int] | None, expected: int | None, shared: bool
) -> tuple[Series, str] | None:
    own = parsed.series
    counts = None if shared else interface
    candidates: list[tuple[str, Callable[[], Series | None]]] = [
        ("driver", lambda: own if own and _complete(parsed, own, life) else None),
        (
            "expected+interface",
            lambda: counts.shape_of(expected, *life) if counts and life and expected and covers(counts, life) else None,
        ),
        ("driver+expected", lambda: _completed(own, life, expected) if own and life and expected else None),
        ("expected", lambda: Series.of([(life[0], 0, 0), (life[1], expected, 0)]) if life and expected else None),
        ("driver+interface", lambda: _tail(own, counts, life) if own and counts and life else None),
        ("interface", lambda: counts),
    ]
    for source, make in candidates:
        series = make()
        if series:
            return series, source
    return None


def _complete(parsed: Parsed, own: Series, life: tuple[int, int] | None) -> bool:
    """A tool of flows says so; a driver's trace is complete when it reaches the end of the process."""
    return parsed.whole or (not parsed.flows and life is not None and own.stop_ns >= life[1] - SLACK_NS)


def covers(series: Series, stretch: tuple[int, int]) -> bool:
    """The readings reach from before the stretch to behind it, give or take one tick."""
    tick_ns = max(b - a for a, b in pairwise(series.at_ns))
    return series.start_ns <= stretch[0] + tick_ns and series.stop_ns >= stretch[1] - tick_ns


def _completed(own: Series, life: tuple[int, int], expected: int) -> Series:
    """The trace up to its last line, then up to the known total at the end of the process."""
    excess = own.rx_bytes[-1] / expected
    if excess > 1:  # rounding in the trace: keep its course, not its total
        own = Series(own.at_ns, tuple(value / excess for value in own.rx_bytes), own.tx_bytes)
    return own.followed_by([(life[1], float(expected), own.tx_bytes[-1])])


def _tail(own: Series, interface: Series, life: tuple[int, int]) -> Series | None:
    """The trace, and behind its last line the interface's course, scaled by what both counted before."""
    seen = interface.rx_between(own.start_ns, own.stop_ns)
    if seen <= 0 or not covers(interface, life):
        return None
    scale = own.rx_bytes[-1] / seen
    instants = [instant for instant in (*interface.at_ns, life[1]) if own.stop_ns < instant <= life[1]]
    return own.followed_by(
        (instant, own.rx_bytes[-1] + interface.rx_between(own.stop_ns, instant) * scale, own.tx_bytes[-1])
        for instant in sorted(set(instants))
    )
