# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a parser gets, and what it returns. Private to this collection."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .histogram import Histogram
from .metrics import Metric, combined
from .records import Process
from .series import Series, total

ROWS_LIMIT = 500_000
RX, TX, BOTH, NONE = "rx", "tx", "both", "none"


@dataclass(frozen=True)
class Outputs:
    """What one host left of one sample: its processes, the names of its files, and how to read one.

    ``wall_minus_mono_ns``: its wall clock minus its monotonic clock at the start, for tools that print the former.
    """

    processes: tuple[Process, ...]
    names: tuple[str, ...]
    read: Callable[[str], bytes | None]
    wall_minus_mono_ns: int | None = None

    def content(self, name: str) -> bytes:
        return self.read(name) or b""


@dataclass(frozen=True)
class Flow:
    """What one process moved, as its tool tells it; instants on the worker's clock.

    ``received_bytes`` is the receiver's count, whichever end that is, and ``series`` its course. ``active_ns``: when
    data flowed. ``interface`` says which of this host's counters its bytes are among. ``transactions`` is a
    course too. ``values`` is all that the tool says, in its own words. ``at_receiver``: the series was counted where
    the data arrived; otherwise buffers stand between, and an interface of one's own tells the course better.
    ``segment_bytes``: what a TCP segment carries at most, 0 when it is not known.
    """

    process: str
    series: Series | None = None
    received_bytes: float | None = None
    active_ns: tuple[int, int] | None = None
    interface: str = NONE
    transactions: Series | None = None
    metrics: tuple[Metric, ...] = ()
    values: Mapping[str, str] = field(default_factory=dict)
    at_receiver: bool = True
    segment_bytes: float = 0.0


@dataclass(frozen=True)
class Parsed:
    """What one host's files say.

    ``whole``: the series reaches to the last byte, and need not be completed from elsewhere. ``received_bytes`` is the
    total where the tool tells it. ``interface`` says which of the interface's counters saw the received bytes.
    """

    series: Series | None = None
    whole: bool = False
    latencies: Mapping[str, Histogram] = field(default_factory=dict)
    metrics: tuple[Metric, ...] = ()
    flows: tuple[Flow, ...] = ()
    received_bytes: float | None = None
    interface: str = RX
    segment_bytes: float = 0.0
    notes: tuple[str, ...] = ()  # what a reader of the figures should know


Parser = Callable[[Outputs], Parsed]


def of_flows(flows: Sequence[Flow]) -> Parsed:
    """A host whose processes each tell of their own flow: their sum, as far as all of them tell."""
    series = [flow.series for flow in flows if flow.series]
    received = [flow.received_bytes for flow in flows if flow.received_bytes is not None]
    ways = {flow.interface for flow in flows}
    told = bool(flows) and len(series) == len(flows)
    return Parsed(
        series=total(series) if told else None,
        whole=told and all(flow.at_receiver for flow in flows),
        metrics=tuple(combined(metric for flow in flows for metric in flow.metrics)),
        flows=tuple(flows),
        received_bytes=sum(received) if flows and len(received) == len(flows) else None,
        segment_bytes=max((flow.segment_bytes for flow in flows), default=0.0),
        interface=NONE if NONE in ways or not ways else ways.pop() if len(ways) == 1 else BOTH,
    )


def number(line: Mapping[str, Any], name: str) -> float | None:
    """A finite number of sane size, or None. Whole numbers stay whole (instants in ns do not fit a float)."""
    value = line.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return value if (isinstance(value, int) or math.isfinite(value)) and abs(value) < 1 << 63 else None


def count(line: Mapping[str, Any], name: str) -> float | None:
    """A number that is not negative, or None: tools write -1 for what they did not measure."""
    value = number(line, name)
    return value if value is not None and value >= 0 else None


def mapping(line: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = line.get(name)
    return value if isinstance(value, dict) else {}


def mappings(line: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """The mappings in a list."""
    value = line.get(name)
    return [each for each in value[:ROWS_LIMIT] if isinstance(each, dict)] if isinstance(value, list) else []
