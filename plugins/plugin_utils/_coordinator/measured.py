# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a walk has measured, on the coordinator's clock: start skew, window, barriers. Private to this collection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .clock import Bound, Instant, Skew, between, on_coordinator, skew


@dataclass(frozen=True)
class HostFacts:
    """One host's part: its facts as reported (checked), and the clock surveys around the sample.

    ``offsets_ns``: how long after T0 a process is to start, where that is not at T0.
    """

    group: str
    facts: Mapping[str, Any]
    before: Bound | None
    after: Bound | None
    offsets_ns: Mapping[str, int] = field(default_factory=dict)

    def instants(self, name: str) -> list[Instant]:
        """``start_ns`` or ``stop_ns`` of every process, on the coordinator's clock."""
        return [instant for instant, _unused in self._instants(name)]

    def due_starts(self) -> list[Instant]:
        """When every process started, less how long after T0 it was to start."""
        return [Instant(seen.low_ns - late_ns, seen.high_ns - late_ns) for seen, late_ns in self._instants("start_ns")]

    def _instants(self, name: str) -> list[tuple[Instant, int]]:
        if self.before is None:
            return []
        processes = [process for process in self.facts.get("processes", []) if process[name] is not None]
        return [
            (on_coordinator(process[name], self.before, self.after), self.offsets_ns.get(process["name"], 0))
            for process in processes
        ]

    def offset(self) -> Bound | None:
        """The offset at the first start, or at the survey when nothing started."""
        if self.before is None:
            return None
        starts = [p["start_ns"] for p in self.facts.get("processes", []) if p["start_ns"] is not None]
        at_ns = min(starts) - self.before.middle_ns if starts else self.before.at_ns
        return between(self.before, self.after, at_ns)


@dataclass(frozen=True)
class Measured:
    """All in ns on the coordinator's clock. The window is last start to first stop of the groups released at T0."""

    start: Skew | None
    stop: Skew | None
    window_start_ns: int | None
    window_stop_ns: int | None
    lost_window_ns: int | None

    @property
    def window_ns(self) -> int | None:
        if self.window_start_ns is None or self.window_stop_ns is None:
            return None
        return max(0, self.window_stop_ns - self.window_start_ns)


def measure(hosts: Mapping[str, HostFacts], t0_groups: Sequence[str]) -> Measured:
    """Start and stop skew with error, and the window, of the hosts in ``t0_groups``; None where the facts do not
    reach.
    """
    members = [host for host in hosts.values() if host.group in t0_groups]
    starts = [instant for host in members for instant in host.instants("start_ns")]
    start_skew = skew([instant for host in members for instant in host.due_starts()])
    stops = [instant for host in members for instant in host.instants("stop_ns")]
    complete = bool(starts) and len(stops) == len(starts)
    if not complete:
        return Measured(start_skew, None, None, None, None)
    first_start, last_start = min(s.middle_ns for s in starts), max(s.middle_ns for s in starts)
    first_stop, last_stop = min(s.middle_ns for s in stops), max(s.middle_ns for s in stops)
    lost = (last_stop - first_start) - max(0, first_stop - last_start)
    return Measured(start_skew, skew(stops), last_start, first_stop, lost)
