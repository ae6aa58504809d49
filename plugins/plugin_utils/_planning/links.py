# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Links: which member of one group works with which of another, each pair as often as there are instances. Pure.
Private to this collection.

A workload whose programs serve one partner at a time (iperf3), or that runs several of them per host (netperf), says
``links: {between: [clients, servers], instances: 2}``. A process or port with ``per: link`` is then there once for
each link of its host: 4 clients of 1 server with 2 instances are 8 links, 8 ports on that server, 2 processes on each
client. Without ``pairs`` every host is used: clients and servers are paired in turn, the smaller group going round.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...module_utils._protocol.schema import Path, SchemaError, suggestion
from . import template
from .names import Names
from .quantities import duration_s, integer

MOST_INSTANCES = 1000
PAIR = ">"


@dataclass(frozen=True)
class Link:
    """One pair's one instance. ``number`` counts all links of the point, ``of`` a host those of that host, from 0."""

    number: int
    instance: int
    ends: tuple[int, int]  # indices in the two groups
    of: tuple[int, int]  # its number at either end
    offset_s: float  # after T0
    cpu: int | None


@dataclass(frozen=True)
class Links:
    """All links of a point. ``spread_s``: from the first link's start to the last's."""

    between: tuple[str, str]
    links: tuple[Link, ...] = ()

    @property
    def spread_s(self) -> float:
        return max((link.offset_s for link in self.links), default=0.0)

    def of_member(self, group: str, index: int) -> tuple[Link, ...]:
        """In the order of their numbers at that member."""
        if group not in self.between:
            return ()
        end = self.between.index(group)
        return tuple(sorted((link for link in self.links if link.ends[end] == index), key=lambda link: link.of[end]))

    def end(self, group: str) -> int:
        return self.between.index(group)


def of_point(section: Mapping[str, Any] | None, groups: Mapping[str, Sequence[str]], names: Names) -> Links | None:
    """The links of a point; None for a workload without them. Raises SchemaError."""
    if section is None:
        return None
    path: Path = ("workload", "links")
    first, second = section["between"]
    rendered = {key: template.render(value, names, (*path, key)) for key, value in section.items() if key != "between"}
    instances = integer(minimum=1, maximum=MOST_INSTANCES)(rendered["instances"], (*path, "instances"))
    stagger_s = duration_s(rendered["stagger"], (*path, "stagger"))
    cpus = [integer(minimum=0)(cpu, (*path, "cpus")) for cpu in rendered["cpus"] or ()]
    pairs = _pairs(rendered["pairs"], groups[first], groups[second], (*path, "pairs"))
    counts: tuple[dict[int, int], dict[int, int]] = ({}, {})
    links = []
    for number, (pair, instance) in enumerate((pair, instance) for pair in pairs for instance in range(instances)):
        own = tuple(counts[end].get(pair[end], 0) for end in (0, 1))
        for end in (0, 1):
            counts[end][pair[end]] = own[end] + 1
        cpu = cpus[own[0] % len(cpus)] if cpus else None
        links.append(Link(number, instance, pair, (own[0], own[1]), number * stagger_s, cpu))
    return Links((first, second), tuple(links))


def _pairs(given: Any, first: Sequence[str], second: Sequence[str], path: Path) -> list[tuple[int, int]]:
    """Indices of the paired members, in order: ``all``, names as ``client1>server2``, or (nothing given) in turn."""
    if given in (None, "", []):
        return sorted({(turn % len(first), turn % len(second)) for turn in range(max(len(first), len(second)))})
    if given in ("all", ["all"]):
        return [(one, other) for one in range(len(first)) for other in range(len(second))]
    pairs = []
    for position, text in enumerate([given] if isinstance(given, str) else given):
        here = (*path, position)
        names = str(text).split(PAIR)
        if len(names) != 2:
            raise SchemaError(here, f"expected a pair, like {first[0]}{PAIR}{second[0]}, got {text!r}.", text)
        pair = tuple(_index(name.strip(), members, here) for name, members in zip(names, (first, second), strict=True))
        if pair in pairs:
            raise SchemaError(here, f"the pair {text} is there twice; use instances.", text)
        pairs.append((pair[0], pair[1]))
    for end, members in enumerate((first, second)):
        paired = {pair[end] for pair in pairs}
        if idle := [name for index, name in enumerate(members) if index not in paired]:
            raise SchemaError(
                path, f"without a pair: {', '.join(idle)}. Take them out of the group, or pair them.", given
            )
    return pairs


def _index(name: str, members: Sequence[str], path: Path) -> int:
    if name not in members:
        raise SchemaError(path, f"there is no host {name!r} at this end.{suggestion(name, list(members))}", name)
    return members.index(name)
