# SPDX-License-Identifier: GPL-3.0-or-later
"""Each source of a receiver's bytes, and that the best one that exists is taken."""

from __future__ import annotations

import pytest
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._results.goodput import received
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._results.outputs import Flow
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._results.parsers import Parsed
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._results.records import HostSample, Process
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._results.series import Series

SECOND = 1_000_000_000
HOUR = 3600 * SECOND
RATE = 1000  # bytes per second, in truth
LIFE = (HOUR, HOUR + 5 * SECOND + SECOND // 2)  # the worker's clock is an hour ahead


def host(*, verdict: str = "done", offset_ns: int | None = HOUR, stop_ns: int | None = LIFE[1]) -> HostSample:
    return HostSample(
        "client-0", "clients", verdict=verdict, offset_ns=offset_ns, processes=(Process("client", LIFE[0], stop_ns),)
    )


def counted(stop_s: float, *, factor: float = 1.0) -> Series:
    """What a counter that began with the process shows each second until ``stop_s``."""
    ticks = [0.0, *range(1, int(stop_s) + 1), stop_s]
    rows = [(LIFE[0] + int(tick * SECOND), tick * RATE * factor, tick) for tick in ticks]
    series = Series.of(rows)
    assert series
    return series


def interface() -> Series:
    """Ticks that do not fall on the edges of the process, and headers of 3 % on top."""
    rows = []
    for tick in range(-1, 9):
        at_ns = LIFE[0] - SECOND // 3 + tick * SECOND
        active_s = (min(max(at_ns, LIFE[0]), LIFE[1]) - LIFE[0]) / SECOND
        rows.append((at_ns, 5e6 + active_s * RATE * 1.03, 0.0))
    series = Series.of(rows)
    assert series
    return series


WHOLE = Parsed(series=counted(5.5), whole=True)
TRACE = Parsed(series=counted(5))
SENT_SERIES = Series.of(
    (LIFE[0] + int(at * SECOND), moved, 0) for at, moved in ((0, 0), (0.01, 500), (5, 5500), (5.5, 5500))
)
SENT = Parsed(series=SENT_SERIES, flows=(Flow("client", at_receiver=False),), received_bytes=5500)  # 500 in buffers
LATE = Parsed(series=counted(5, factor=1.04))  # its clock began 0.2 s after the process: every line seems too early
TOTAL = int(5.5 * RATE)


@pytest.mark.parametrize(
    ("parsed", "counters", "expected", "shared", "source", "error"),
    [
        (WHOLE, interface(), TOTAL, False, "driver", 1e-9),
        (TRACE, interface(), TOTAL, False, "expected+interface", 1e-9),
        (LATE, interface(), TOTAL, False, "expected+interface", 1e-9),
        (SENT, interface(), None, False, "reported+interface", 1e-9),
        (SENT, interface(), None, True, "driver+reported", 0.06),
        (TRACE, interface(), TOTAL, True, "driver+expected", 1e-9),
        (TRACE, None, TOTAL, False, "driver+expected", 1e-9),
        (Parsed(), interface(), TOTAL, False, "expected+interface", 1e-9),
        (Parsed(), interface(), TOTAL, True, "expected", 1e-9),
        (Parsed(), None, TOTAL, False, "expected", 1e-9),
        (TRACE, interface(), None, False, "driver+interface", 1e-9),
        (Parsed(), interface(), None, False, "interface", 0.031),
    ],
)
def test_the_best_source_gives_the_true_bytes_of_the_window(
    parsed: Parsed, counters: Series | None, expected: int | None, shared: bool, source: str, error: float
) -> None:
    found = received(host(), parsed=parsed, interface=counters, expected_rx_bytes=expected, shared_interface=shared)
    assert found
    assert found.source == source
    window = (SECOND // 4, 5 * SECOND + SECOND // 4)  # on the coordinator's clock
    assert found.series.rx_between(*window) == pytest.approx(5 * RATE, rel=error)


def test_nothing_known_is_nothing_not_zero() -> None:
    assert (
        received(host(), parsed=Parsed(), interface=interface(), expected_rx_bytes=None, shared_interface=True) is None
    )
    lost = host(offset_ns=None)
    assert received(lost, parsed=WHOLE, interface=None, expected_rx_bytes=None, shared_interface=False) is None


def test_a_delivery_is_known_only_of_a_host_that_finished() -> None:
    found = received(
        host(verdict="failed"), parsed=TRACE, interface=None, expected_rx_bytes=TOTAL, shared_interface=False
    )
    assert found is None


def test_a_trace_that_rounds_up_keeps_the_known_total() -> None:
    generous = Parsed(series=counted(5.4, factor=1.02))
    found = received(host(), parsed=generous, interface=None, expected_rx_bytes=TOTAL, shared_interface=False)
    assert found
    assert found.series.rx_bytes[-1] == TOTAL


def test_what_tcp_sent_again_is_not_counted_twice() -> None:
    """Half of the last two seconds' segments were lost on the way, so an interface sent twice as much in them."""
    instants = [LIFE[0] + second * SECOND for second in range(6)]
    sent = [0, 1000, 2000, 3000, 5000, 7000]
    again = [7, 7, 7, 7, 17, 27]  # segments of 100 bytes, since the host was booted
    sender = Parsed(flows=(Flow("client"),), received_bytes=5000, interface="tx", segment_bytes=100)
    counters = Series.of((at_ns, 0, each) for at_ns, each in zip(instants, sent, strict=True))
    found = received(
        host(stop_ns=instants[-1]), parsed=sender, interface=counters, expected_rx_bytes=None, shared_interface=False,
        retransmits=(instants, again),
    )  # fmt: skip
    assert found
    assert found.source == "reported+interface"
    assert [found.series.rx_at(second * SECOND) for second in range(6)] == [0, 1000, 2000, 3000, 4000, 5000]
