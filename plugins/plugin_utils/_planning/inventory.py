# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From what the inventory says to the hosts and groups of a plan. Pure. Private to this collection."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...module_utils._protocol import schema
from ...module_utils._protocol.plan import ENVIRONMENT, NAME, SHA256
from ...module_utils._protocol.schema import Checker, Record, SchemaError, anything, mapping_of, optional, text
from .hosts import DEFAULT_PROGRAM, Host
from .quantities import integer

ADDRESS = text(minimum=1, maximum=255, pattern=r"[^\s/]+", expected="an IP address or a name")

VARIABLES: Mapping[str, Checker] = {
    "netbench_address": ADDRESS,
    "netbench_bind_address": ADDRESS,
    "netbench_port": integer(minimum=1, maximum=65535),
    "netbench_interface": NAME,
    "netbench_cpus": schema.list_of(integer(minimum=0, maximum=65535), minimum=1),
    "netbench_priority": integer(minimum=1, maximum=99),
    "netbench_environment": ENVIRONMENT,
    "netbench_secret_environment": ENVIRONMENT,
    **{f"{name}_tools": mapping_of(schema.mapping_of(anything)) for name in ("netbench", "iperf3", "netperf")},
    "netbench_worker": mapping_of(anything),
}
"""What a plan reads of a host's variables and facts."""

READ = (*VARIABLES, "ansible_host", "ansible_port", "ansible_connection", "worker_instance")

TOOL = Record(path=text(minimum=1), sha256=(optional(SHA256), None), version=(text(maximum=100), ""))


def host(name: str, variables: Mapping[str, Any]) -> Host:
    """A host by its variables: those of :data:`VARIABLES`, and Ansible's ``ansible_host``, ``_port`` and
    ``_connection``.

    Raises SchemaError for a value that is not what it should be.
    """
    found: dict[str, Any] = {}
    for variable, check in VARIABLES.items():
        if variables.get(variable) not in (None, ""):
            found[variable] = check(variables[variable], ("hosts", name, variable))
    address = found.get("netbench_address") or str(variables.get("ansible_host") or name)
    worker = {key: value for key, value in found.get("netbench_worker", {}).items() if value}
    tools = {
        tool: {
            **TOOL({key: value for key, value in facts.items() if key in TOOL.fields}, ("hosts", name, variable, tool)),
            "of": variable.removesuffix("_tools"),
        }
        for variable in VARIABLES
        if variable.endswith("_tools")
        for tool, facts in found.get(variable, {}).items()
    }
    return Host(
        name=name,
        address=address,
        machine=_machine(name, variables),
        bind=found.get("netbench_bind_address") or (address if _is_ip(address) else None),
        tools=tools,
        worker={"program": DEFAULT_PROGRAM, "instance": str(variables.get("worker_instance") or "default"), **worker},
        first_port=found.get("netbench_port"),
        environment=found.get("netbench_environment", {}),
        secret_environment=found.get("netbench_secret_environment", {}),
        interface=found.get("netbench_interface"),
        cpus=tuple(found["netbench_cpus"]) if "netbench_cpus" in found else None,
        priority=found.get("netbench_priority"),
    )


def _machine(name: str, variables: Mapping[str, Any]) -> str:
    """Hosts of the inventory that are reached in the same way are one machine."""
    connection = str(variables.get("ansible_connection") or "ssh").rpartition(".")[2]
    if connection == "local":
        return "local"
    return f"{connection}:{variables.get('ansible_host') or name}:{variables.get('ansible_port') or ''}"


def _is_ip(address: str) -> bool:
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return False
    return True


@dataclass(frozen=True)
class Play:
    """The hosts of the play: all that it began with, those that are left, those of this batch; and the inventory's
    groups."""

    began: Sequence[str]
    left: Sequence[str]
    batch: Sequence[str]
    groups: Mapping[str, Sequence[str]]


def bind(given: Mapping[str, Any], play: Play, *, whole: bool = True) -> dict[str, list[str]]:
    """For each group of the workload its hosts, in the inventory's order, or in that of the given list.

    A value is the name of a group or host, several of them joined by ``:`` or ``,``, or a list of such. Of an
    inventory group the hosts of this play count. Raises SchemaError for unknown names, and for hosts that the play
    has not or has lost; without ``whole`` lost ones are let in, to be told of.
    """
    if set(play.batch) != set(play.left):
        raise SchemaError(
            (), "this play has 'serial', so its hosts come in batches; a barrier needs all of them: remove 'serial'."
        )
    bound = {name: _hosts(value, play, name) for name, value in given.items()}
    lost = [host for hosts in bound.values() for host in hosts if host not in play.left]
    if lost and whole:
        problem = (
            f"lost earlier in this play: {', '.join(lost)}. A benchmark that is silently smaller would be wrong;"
            " repair them and run again."
        )
        raise SchemaError((), problem)
    return bound


def _hosts(value: Any, play: Play, group: str) -> list[str]:
    items = value if isinstance(value, (list, tuple)) else [value]
    hosts: list[str] = []
    for position, item in enumerate(items):
        path = ("groups", group, position) if items is value else ("groups", group)
        if not isinstance(item, str):
            raise SchemaError(path, f"expected a group or a list of hosts, got {schema.kind(item)}.", item)
        known = {*play.groups, *play.began}
        for word in [item] if item in known else [word for word in re.split(r"[,:\s]+", item) if word]:
            if word in play.groups:
                hosts += [host for host in play.groups[word] if host in play.began]
            elif word in play.began:
                hosts.append(word)
            elif word in play.groups.get("all", ()):
                raise SchemaError(
                    path, f"the host {word} is not in this play; add it to the play's 'hosts' (or lift --limit).", item
                )
            else:
                problem = (
                    f"there is no group or host {word!r} in the inventory.{schema.suggestion(word, sorted(known))}"
                )
                raise SchemaError(path, problem, item)
    return hosts
