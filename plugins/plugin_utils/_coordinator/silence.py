# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which channels are let go before a window, so that no ssh server speaks in it. Private to this collection.

``ClientAliveInterval`` makes the *host's* ssh server send something on a connection that has been silent for so long,
and nothing that this end says can forbid it. What helps is to have no connection. The workers need none: their leases
outlast the window, and their journals keep what happened.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .endpoint import Endpoint

CHOICES = ("auto", "keep", "release")
BESIDE_S = 3.0  # of silence before the window (the lead) and after it


def margin_s(expected_s: float) -> float:
    """How long after the expected end of a window a worker is spoken to again: it may start and end a little late."""
    return 0.25 + 0.01 * expected_s


@dataclass
class Silence:
    """``choice``: keep every channel, release every one, or (auto) those whose server would speak.

    ``heard`` are hosts whose connection was not silent in an earlier window of this run, whatever is said of them.
    """

    choice: str = "auto"
    heard: set[str] = field(default_factory=set)

    def lets_go(self, endpoint: Endpoint, expected_s: float | None) -> bool:
        """Whether the channel is let go before a window of this length. One of unknown length keeps its channels:
        only a worker can say when it is over."""
        if self.choice == "keep" or not endpoint.ssh or expected_s is None:
            return False
        if self.choice == "release" or endpoint.host in self.heard:
            return True
        return bool(endpoint.server_speaks_s) and (endpoint.server_speaks_s or 0) <= expected_s + BESIDE_S

    def listen(self, line: Mapping[str, Any], endpoints: Mapping[str, Endpoint]) -> dict[str, int]:
        """Takes note of a sample's line; returns the hosts that are newly known to have heard something, and how much.

        A server that is known to be silent by itself was not the one who spoke.
        """
        if self.choice != "auto":
            return {}
        found = {}
        for host, about in line["hosts"].items():
            packets, endpoint = about.get("control_packets"), endpoints.get(host)
            if packets and endpoint and endpoint.ssh and endpoint.server_speaks_s != 0 and host not in self.heard:
                found[host] = packets
        self.heard |= set(found)
        return found
