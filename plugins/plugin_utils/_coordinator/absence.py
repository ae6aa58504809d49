# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hosts that a run goes on without, where its suite says ``on_host_failure: drop``. Private to this collection.

A host is missing from the sample on that it has spoiled; every sample says which hosts were missing, and why. Only a
host that could not be reached may come back, and only once: one whose benchmark failed would fail again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from .._planning.plan import RunPlan


@dataclass
class Absence:
    """``missing``: host -> why. ``lost``: those of them that could not be reached."""

    plan: RunPlan
    missing: dict[str, str] = field(default_factory=dict)
    lost: set[str] = field(default_factory=set)
    _returned: set[str] = field(default_factory=set)

    def objection(self, hosts: Iterable[str]) -> str | None:
        """Why the run cannot go on without these hosts as well; None when it can."""
        gone = {*self.missing, *hosts}
        name = self.plan.workload.get("name", "")
        for group, members in self.plan.groups.items():
            rules = self.plan.workload["groups"][group]
            absent = [host for host in members if host in gone]
            if not absent:
                continue
            if not rules["drop_allowed"]:
                return f"{', '.join(absent)}: the workload {name} makes no sense with fewer {group} (drop_allowed)"
            left, least = len(members) - len(absent), max(1, rules["hosts"]["minimum"])
            if left < least:
                return f"{', '.join(absent)}: {left} {group} would be left, and {least} are needed"
        return None

    def drop(self, hosts: Mapping[str, str], *, lost: bool) -> None:
        """Go on without these, for a reason each."""
        self.missing.update(hosts)
        if lost:
            self.lost |= set(hosts)

    def may_return(self) -> list[str]:
        return [host for host in self.missing if host in self.lost and host not in self._returned]

    def back(self, host: str) -> None:
        del self.missing[host]
        self.lost.discard(host)
        self._returned.add(host)
