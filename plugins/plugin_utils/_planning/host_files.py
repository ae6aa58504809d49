# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lists of hosts that people have from other systems. Pure. Private to this collection.

===================  ================================================================================================
``hosts.yaml``       netperf-orchestrate: ``hosts: [{name, address, role, ssh_user, ssh_port, ssh_key}]``, role server,
                     client or both
text                 netperf-orchestrate: one address per line, ``#`` begins a comment; the role is the file's
``cluster.json``     FrankenPaxos: ``{"<f>": {"<role>": [address, …]}}``, for each number of tolerated faults
===================  ================================================================================================

All become :class:`ListedHost`, whose groups are ``servers``, ``clients``, and one for each role that is named
otherwise.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from ...module_utils._protocol.schema import Record, choice, list_of, mapping_of, optional, suggestion, text
from .documents import Document, FileProblem, numbered_lines, read_json, read_yaml
from .quantities import integer

SERVERS, CLIENTS, BOTH = "servers", "clients", "both"
ROLES: Mapping[str, tuple[str, ...]] = {
    "server": (SERVERS,),
    "client": (CLIENTS,),
    "both": (SERVERS, CLIENTS, BOTH),
}
USUAL = {"hosts.yaml": "hosts", "hosts.yml": "hosts", "cluster.json": "cluster"}
_WORD = r"[A-Za-z0-9_.:%\[\]-]{1,255}"
NAME = text(pattern=_WORD, expected="a name without spaces")
ADDRESS = text(pattern=_WORD, expected="an IP address or a host name")

HOSTS = Record(
    hosts=list_of(
        Record(
            name=NAME,
            address=ADDRESS,
            role=choice(*ROLES),
            ssh_user=(optional(text(minimum=1, pattern=r"[^\s-]\S*", expected="a user")), None),
            ssh_port=(optional(integer(minimum=1, maximum=65535)), None),
            ssh_key=(optional(text(minimum=1)), None),
        ),
        minimum=1,
    )
)
CLUSTERS = mapping_of(mapping_of(list_of(ADDRESS, minimum=1)))


@dataclass(frozen=True)
class ListedHost:
    """A host of a list; ``line`` is where it stands in ``file``. What the list does not say is None."""

    name: str
    address: str
    groups: tuple[str, ...]
    file: str
    line: int
    user: str | None = None
    port: int | None = None
    key: str | None = None


def hosts_yaml(content: str, file: str) -> list[ListedHost]:
    """netperf-orchestrate's ``hosts.yaml``. Raises FileProblem."""
    document = read_yaml(content, file)
    found = [
        ListedHost(
            name=each["name"],
            address=each["address"],
            groups=ROLES[each["role"]],
            file=file,
            line=document.lines["hosts", position],
            user=each["ssh_user"],
            port=each["ssh_port"],
            key=each["ssh_key"],
        )
        for position, each in enumerate(document.checked(HOSTS)["hosts"])
    ]
    _refuse_twins(found, ("name", "address"))
    return found


def addresses(content: str, file: str, group: str) -> list[ListedHost]:
    """One address per line, all of one group. Raises FileProblem."""
    found = []
    for number, line in numbered_lines(content):
        if not re.fullmatch(_WORD, line):
            raise FileProblem(file, number, f"expected one address, got {line[:80]!r}.")
        found.append(ListedHost(line, line, (group,), file, number))
    if not found:
        raise FileProblem(file, None, "there is no address in this file; write one per line.")
    _refuse_twins(found, ("address",))
    return found


def cluster_json(content: str, file: str, faults: str | None = None) -> list[ListedHost]:
    """FrankenPaxos' ``cluster.json``: the hosts for so many ``faults``, or the only ones that there are. Raises
    FileProblem.

    Every role is a group; hosts of ``clients`` are the clients, all others the servers.
    """
    document = read_json(content, file)
    clusters: dict[str, dict[str, list[str]]] = document.checked(CLUSTERS)
    chosen = _chosen(document, clusters, faults)
    found: list[ListedHost] = []
    for role, members in clusters[chosen].items():
        here = [
            ListedHost(address, address, _groups(role), file, document.lines[chosen, role, position])
            for position, address in enumerate(members)
        ]
        _refuse_twins(here, ("address",))
        found += here
    if not found:
        raise document.problem((chosen,), "has no roles.")
    return merged(found)


def _chosen(document: Document, clusters: Mapping[str, object], faults: str | None) -> str:
    known = ", ".join(clusters) or "none"
    if faults is None:
        if len(clusters) != 1:
            raise document.problem((), f"say for how many faults (f): {known}.")
        return next(iter(clusters))
    if faults not in clusters:
        raise document.problem((), f"there is no cluster for f = {faults}.{suggestion(faults, list(clusters))}")
    return faults


def _groups(role: str) -> tuple[str, ...]:
    own = re.sub(r"[^A-Za-z0-9_]+", "_", role)
    side = CLIENTS if own.lower() in ("client", CLIENTS) else SERVERS
    return (side,) if own.lower() in ("client", "server", CLIENTS, SERVERS) else (side, own)


def merged(hosts: Iterable[ListedHost]) -> list[ListedHost]:
    """Each address once, in all its groups; who serves and asks is in ``both`` too."""
    found: dict[str, ListedHost] = {}
    for host in hosts:
        key = _same(host.address)
        known = found.setdefault(key, host)
        groups = tuple(dict.fromkeys((*known.groups, *host.groups)))
        found[key] = replace(known, groups=groups)
    both = {SERVERS, CLIENTS}
    return [
        replace(host, groups=tuple(dict.fromkeys((*host.groups, BOTH)))) if both <= set(host.groups) else host
        for host in found.values()
    ]


def grouped(hosts: Iterable[ListedHost]) -> dict[str, list[str]]:
    """Each group's hosts, by their names in :func:`merged`, in the order of the files."""
    listed = list(hosts)
    whole = {_same(host.address): host for host in merged(listed)}
    groups: dict[str, list[str]] = {SERVERS: [], CLIENTS: []}
    for host in listed:
        for group in host.groups:
            names = groups.setdefault(group, [])
            name = whole[_same(host.address)].name
            if name not in names:
                names.append(name)
    both = [host.name for host in whole.values() if BOTH in host.groups]
    return {**groups, BOTH: both} if both else groups


def refuse_lonely(hosts: Sequence[ListedHost]) -> None:
    """A host cannot be client and server of the same pair. Raises FileProblem when there is no other pair."""
    servers = [host for host in hosts if SERVERS in host.groups]
    clients = [host for host in hosts if CLIENTS in host.groups]
    if len(servers) == len(clients) == 1 and servers[0].name == clients[0].name:
        host = servers[0]
        problem = f"{host.name} would be client and server of the same pair, and there is no other; list a second host."
        raise FileProblem(host.file, host.line, problem)


def _refuse_twins(hosts: Iterable[ListedHost], attributes: Sequence[str]) -> None:
    for attribute in attributes:
        seen: dict[str, ListedHost] = {}
        for host in hosts:
            key = _same(getattr(host, attribute))
            if key in seen:
                problem = f"the {attribute} {getattr(host, attribute)} is in line {seen[key].line} already."
                raise FileProblem(host.file, host.line, problem)
            seen[key] = host


def _same(address: str) -> str:
    """One text for all ways to write one address (``::1`` and ``0:0::1``)."""
    try:
        return str(ipaddress.ip_address(address.strip("[]")))
    except ValueError:
        return address.lower()


def kind_of(content: str, name: str) -> str | None:
    """What a file is, by its name and its look: hosts, cluster, clients, servers; None for anything else."""
    stem, _dot, ending = name.lower().rpartition(".")
    if ending == "txt":
        return stem if stem in (CLIENTS, SERVERS) else None
    if f"{stem}.{ending}" in USUAL and not list(numbered_lines(content)):
        return USUAL[f"{stem}.{ending}"]  # so that somebody says that it is empty
    try:
        if ending in ("yml", "yaml"):
            data = read_yaml(content, name).data
            return "hosts" if isinstance(data, dict) and isinstance(data.get("hosts"), list) else None
        if ending == "json":
            data = read_json(content, name).data
            return "cluster" if isinstance(data, dict) and data and all(map(_is_cluster, data.values())) else None
    except FileProblem:
        return None
    return None


def _is_cluster(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(members, list) for members in value.values())
