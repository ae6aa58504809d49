# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How far ahead T0 lies: chosen from what messages and releases have taken on these hosts. Pure, private to this
collection.

::

    T0 is chosen ── told to all hosts ── the last one is armed ── its answer is here, channels are let go ── T0
                 └─────────── arming, with one round trip ──────┘└ parting, or the last acknowledgement ──┘

A lead that was too short costs a sample, one that is too long costs some time. So the worst of what was seen lately
counts, and half as much again; an attempt for which the lead was too short doubles it. Two things cannot be measured
before they happen: TCP may delay its last acknowledgement, and before the first release nobody knows how long a worker
needs for its journal.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

LIMIT_NS = 2_000_000_000
ACKNOWLEDGED_NS = 40_000_000  # Linux delays the last acknowledgement so long, or a round trip when that is longer
SPARE_NS = 10_000_000  # a worker wants 5 ms before its processes start
FIRST_ARMING_NS = 40_000_000  # a journal entry that has reached the disk, while all hosts write theirs
FIRST_HOST_NS = 500_000  # of the control node's time, for each host
FIRST_PARTING_NS = 100_000_000  # an ssh session's goodbye, while all hosts say theirs
FACTOR_LIMIT = 16
REMEMBERED = 8


@dataclass(frozen=True)
class Lead:
    """What was seen: how long arming took beside the way there and back, and how long letting go of channels."""

    arming_ns: tuple[int, ...] = ()
    parting_ns: tuple[int, ...] = ()
    factor: int = 1

    def ns(self, *, way_ns: int, parts: bool, hosts: int = 1) -> int:
        """The lead, given the slowest recent round trip, and whether channels are to be let go."""
        arming_ns = max(self.arming_ns, default=FIRST_ARMING_NS + hosts * FIRST_HOST_NS) + way_ns
        if parts:
            rest_ns = max(self.parting_ns, default=FIRST_PARTING_NS) * 3 // 2 + way_ns
        else:
            rest_ns = max(ACKNOWLEDGED_NS, way_ns) + way_ns
        return min(LIMIT_NS, self.factor * (arming_ns * 3 // 2 + rest_ns + SPARE_NS))

    def armed(self, took_ns: int, way_ns: int) -> Lead:
        """A release was answered by its last host, in time or not."""
        return replace(self, arming_ns=(*self.arming_ns, max(0, took_ns - way_ns))[-REMEMBERED:])

    def parted(self, took_ns: int) -> Lead:
        """Every channel was let go."""
        return replace(self, parting_ns=(*self.parting_ns, took_ns)[-REMEMBERED:])

    def judged(self, *, too_short: bool) -> Lead:
        """After an attempt: what was too short gets longer, and comes back when it suffices."""
        return replace(self, factor=min(FACTOR_LIMIT, 2 * self.factor) if too_short else max(1, self.factor // 2))
