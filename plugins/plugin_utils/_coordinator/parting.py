# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which channels are let go before which window of a run, and who is told. Private to this collection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .._planning.plan import RunPlan
from .endpoint import Endpoint
from .progress import Progress
from .silence import Silence


class Parting:
    """Learns from every window how long the next may last, and whose ssh server has spoken in it."""

    def __init__(self, plan: RunPlan, choice: str, endpoints: Mapping[str, Endpoint], progress: Progress) -> None:
        self._plan = plan
        self._silence = Silence(choice)
        self._endpoints = endpoints
        self._progress = progress
        self._lasted_s: dict[int, float] = {}  # point -> from T0 to the end of the longest window so far

    def lasts_s(self, point: int) -> float | None:
        """How long a window of this point is: as expected, or as it was when that is longer."""
        expected_s = self._plan.points[point].expected_s
        return expected_s and max(expected_s, self._lasted_s.get(point, 0.0))

    def hosts(self, lasts_s: float | None) -> list[str]:
        """Whose channels are let go before a window of this length."""
        return [host for host, endpoint in self._endpoints.items() if self._silence.lets_go(endpoint, lasts_s)]

    def announced(self) -> list[str]:
        """Whose channels are going to be let go before some window, as it looks now; says so."""
        windows = [point.expected_s for point in self._plan.points if point.expected_s is not None]
        hosts = self.hosts(max(windows, default=None))
        if hosts and self._silence.choice == "auto":
            shortest_s = min(self._endpoints[host].server_speaks_s or 0 for host in hosts)
            self._progress.note(
                f"the ssh servers of {len(hosts)} hosts speak after {shortest_s} s of silence: "
                "their channels are let go for each window"
            )
        return hosts

    def listen(self, line: Mapping[str, Any]) -> None:
        """Takes note of a sample's line."""
        if line["window"] and line["t0_ns"]:
            lasted_s = (line["window"]["stop_ns"] - line["t0_ns"]) / 1e9
            self._lasted_s[line["point"]] = max(lasted_s, self._lasted_s.get(line["point"], 0.0))
        for host, packets in self._silence.listen(line, self._endpoints).items():
            self._progress.note(
                f"{host}: {packets} packets on the channel in the window; from now on it is let go before the next"
            )
