# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who plays which role: groups of the workload against hosts of the inventory. Private to this collection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...module_utils._protocol.schema import SchemaError, suggestion
from .hosts import Host, Member, Members

Groups = Mapping[str, Sequence[str]]


def check(workload: Mapping[str, Any], groups: Groups, hosts: Mapping[str, Host]) -> None:
    """Every group of the workload has as many hosts as it needs, and no host has two roles. Raises SchemaError."""
    known = list(workload["groups"])
    for name in groups:
        if name not in known:
            problem = f"the workload {workload['name']} has no group {name!r}.{suggestion(name, known)}"
            raise SchemaError(("groups", name), problem, name)
    for name, group in workload["groups"].items():
        if name not in groups:
            problem = f"is missing: say which hosts are the {name} of the workload {workload['name']}."
            raise SchemaError(("groups", name), problem, groups)
        _check_count(name, group["hosts"], groups[name])
    _check_roles(groups, hosts)
    check_instances([hosts[name] for members in groups.values() for name in members])


def _check_count(name: str, bounds: Mapping[str, Any], members: Sequence[str]) -> None:
    least, most = bounds["minimum"], bounds["maximum"]
    if len(members) >= least and (most is None or len(members) <= most):
        return
    wanted = f"at least {least}" if most is None else str(least) if most == least else f"{least} to {most}"
    there = f"there are {len(members)}: {', '.join(members)}" if members else "this play has none of them"
    raise SchemaError(("groups", name), f"hosts needed: {wanted}; {there}.", members)


def _check_roles(groups: Groups, hosts: Mapping[str, Host]) -> None:
    role: dict[str, str] = {}
    for name, members in groups.items():
        for position, host in enumerate(members):
            if host not in hosts:
                problem = f"there is no host {host!r}.{suggestion(host, list(hosts))}"
                raise SchemaError(("groups", name, position), problem, host)
            if host in role:
                where = "there twice" if role[host] == name else f"in {role[host]} too"
                problem = f"the host {host} is {where}. A host has one role; give it a second inventory name."
                raise SchemaError(("groups", name, position), problem, host)
            role[host] = name


def check_instances(hosts: Sequence[Host]) -> None:
    """Hosts on one machine have a worker each. Raises SchemaError."""
    seen: dict[tuple[str, str], str] = {}
    for host in hosts:
        key = (host.machine or host.name, host.instance)
        if key in seen:
            problem = (
                f"shares the worker {host.instance!r} of its machine with {seen[key]}."
                " Hosts on one machine need a worker instance each (worker_instance)."
            )
            raise SchemaError(("hosts", host.name, "worker_instance"), problem, host.instance)
        seen[key] = host.name


def check_ports(members: Members) -> None:
    """No two hosts listen at the same address and port. Raises SchemaError."""
    seen: dict[tuple[str, int, str], tuple[Member, str]] = {}
    for member in (each for group in members.values() for each in group):
        for name, port in member.ports.items():
            key = (member.host.address, port.number, port.protocol)
            if key in seen:
                other, other_name = seen[key]
                problem = (
                    f"{member.host.name} ({name}) and {other.host.name} ({other_name}) would both listen on"
                    f" {port.protocol} port {port.number} of {member.host.address}."
                    " Give them another netbench_address or netbench_port."
                )
                raise SchemaError(("hosts", member.host.name, "netbench_address"), problem, member.host.address)
            seen[key] = (member, name)
