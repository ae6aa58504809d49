# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hosts as a plan knows them, and what placeholders may say of them. Private to this collection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ...module_utils._protocol.schema import Path, SchemaError
from . import template
from .links import Link
from .names import Names
from .quantities import integer

SCENARIO_FILE = "scenario.json"
DEFAULT_PROGRAM = "/usr/local/lib/netbench-orchestrator/worker.pyz"

port_number = integer(minimum=1, maximum=65535)


@dataclass(frozen=True)
class Host:
    """A host of the inventory. ``bind`` is the address its programs listen on; None: all.

    ``tools`` are installed programs ``{name: {path, sha256, version, of}}``, ``worker`` is ``{program, python,
    instance}``. Hosts with the same ``machine`` are on one machine. ``first_port`` replaces the number of its group's
    first port.
    """

    name: str
    address: str
    machine: str = ""
    bind: str | None = None
    tools: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    worker: Mapping[str, Any] = field(default_factory=dict)
    first_port: int | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    secret_environment: Mapping[str, str] = field(default_factory=dict)
    interface: str | None = None
    cpus: tuple[int, ...] | None = None  # for its processes, instead of the workload's
    priority: int | None = None

    @property
    def instance(self) -> str:
        return str(self.worker.get("instance", "default"))


@dataclass(frozen=True)
class Port:
    number: int
    protocol: str

    def on(self, address: str) -> str:
        """``10.0.0.1:4433``, ``[fd00::1]:4433``."""
        return f"[{address}]:{self.number}" if ":" in address else f"{address}:{self.number}"


@dataclass(frozen=True)
class Member:
    """A host in its group, with its ports at a point."""

    host: Host
    group: str
    index: int
    ports: Mapping[str, Port]
    links: tuple[Link, ...] = ()

    def at_link(self, number: int) -> Member:
        """The member as its link of that number sees it: a port that is there per link has the link's own number."""
        own = {name: self.ports.get(of_link(name, number), port) for name, port in self.ports.items()}
        return replace(self, ports={name: port for name, port in own.items() if LINK_MARK not in name})

    def names(self, prefix: str) -> dict[str, Any]:
        """What placeholders may say of it, see ``placeholders``."""
        address = self.host.address
        return {
            f"{prefix}.name": self.host.name,
            f"{prefix}.address": address,
            f"{prefix}.index": self.index,
            **{f"{prefix}.port.{name}": port.number for name, port in self.ports.items()},
            **{f"{prefix}.socket.{name}": port.on(address) for name, port in self.ports.items()},
        }


Members = Mapping[str, Sequence[Member]]


LINK_MARK = "#"


def of_link(name: str, number: int) -> str:
    """The port ``name`` of a host's link: ``main``, ``main#1``, ``main#2``, …"""
    return name if number == 0 else f"{name}{LINK_MARK}{number}"


def base_name(port: str) -> str:
    return port.partition(LINK_MARK)[0]


def ports_of(
    group: Mapping[str, Any], first_port: int | None, names: Names, path: Path, *, links: int = 0
) -> dict[str, Port]:
    """The ports of a group's member: the workload's numbers, all moved so that the first is ``first_port``.

    A port ``per: link`` is there once for each of the member's ``links``, with consecutive numbers.
    """
    ports: dict[str, Port] = {}
    distance = 0
    for name, declared in group["ports"].items():
        here = (*path, "ports", name)
        number = template.render(declared["number"], names, (*here, "number"))
        number = int(number) if isinstance(number, str) and number.isdecimal() else number
        number = port_number(number, (*here, "number"))
        if first_port is not None and not ports:
            distance = first_port - number
        protocol = template.render(declared["protocol"], names, (*here, "protocol"))
        if protocol not in ("tcp", "udp"):
            raise SchemaError((*here, "protocol"), f"expected tcp or udp, got {protocol!r}.", protocol)
        for turn in range(links if declared["per"] == "link" else 1):
            ports[of_link(name, turn)] = Port(port_number(number + distance + turn, (*here, "number")), protocol)
    return ports


def member_names(member: Member, members: Members, names: Names) -> Names:
    """The names that placeholders can use on this host.

    ``${servers.address}`` and the like are of the member of that group with the host's own index, modulo their count.
    """
    host = member.host
    more: dict[str, Any] = {
        **member.names("host"),
        "host.bind": host.bind or ("::" if ":" in host.address else "0.0.0.0"),
        "host.group": member.group,
        "host.count": len(members[member.group]),
        "worker.python": host.worker.get("python", "python3"),
        "worker.program": host.worker.get("program", DEFAULT_PROGRAM),
        "scenario.file": SCENARIO_FILE,
    }
    for group, others in members.items():
        more |= others[member.index % len(others)].names(group)
        more |= {f"{group}.count": len(others), f"{group}.addresses": [other.host.address for other in others]}
    return names.extended(more)
