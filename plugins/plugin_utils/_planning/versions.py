# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which versions of the tools run where. Pure. Private to this collection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .hosts import Host

Versions = Mapping[str, Mapping[str, Sequence[str]]]  # what -> version -> hosts


def of_plan(documents: Mapping[str, Mapping[str, Any]], hosts: Mapping[str, Host]) -> dict[str, dict[str, list[str]]]:
    """The versions of what the workers' documents execute, as far as the tools' facts tell them."""
    found: dict[str, dict[str, list[str]]] = {}
    for name, document in documents.items():
        by_path = {tool["path"]: tool for tool in hosts[name].tools.values() if tool.get("version")}
        programs = {process["command"][0] for point in document["points"] if point for process in point["processes"]}
        for tool in (by_path[program] for program in sorted(programs) if program in by_path):
            there = found.setdefault(tool["of"], {}).setdefault(tool["version"], [])
            if name not in there:
                there.append(name)
    return found


def differing(versions: Versions) -> list[str]:
    """``netperf differs between hosts: 2.6.0 on client1; 2.7.0 on server1``, for each tool of which that is so."""
    return [
        f"{what} differs between hosts: " + "; ".join(f"{each} on {', '.join(of[each])}" for each in sorted(of))
        for what, of in versions.items()
        if len({frozenset(each for each in of if host in of[each]) for hosts in of.values() for host in hosts}) > 1
    ]


def in_short(versions: Versions) -> dict[str, str]:
    """For the record: ``{netperf: "2.7.0"}``."""
    return {what: ", ".join(sorted(of)) for what, of in versions.items()}
