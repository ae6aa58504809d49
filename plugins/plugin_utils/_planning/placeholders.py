# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Placeholders that nothing can ever resolve, found when a workload is loaded. Private to this collection.

Which names there are depends on where a placeholder stands: parameters and derived values everywhere; facts of the
host and of the groups in all that is resolved for each host; ``each.*`` in ``environment_for_each``. ``names`` and
``host_plan`` fill them in.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ...module_utils._protocol.schema import Path, SchemaError, suggestion
from . import template

OF_A_MEMBER = ("name", "address", "index")
OF_A_HOST = (*OF_A_MEMBER, "bind", "group", "count")
OF_A_GROUP = (*OF_A_MEMBER, "count", "addresses")
OF_A_LINK = ("link.number", "link.index", "link.instance", "link.offset", "link.cpu")
OF_THE_LINKS = ("links.count", "links.spread")
OF_THE_WORKER = ("worker.python", "worker.program", "scenario.file")


def check(workload: Mapping[str, Any], path: Path) -> None:
    """Raise SchemaError for the first unknown placeholder, with a suggestion."""
    groups = workload["groups"]
    linked = workload["links"]
    everywhere = [*workload["parameters"], *workload["derived"], *(OF_THE_LINKS if linked else ())]
    if linked:
        _resolvable(linked, [*workload["parameters"], *workload["derived"]], (*path, "links"))
    of_groups = [known for name, group in groups.items() for known in _names(name, OF_A_GROUP, group)]
    of_hosts = [*everywhere, *of_groups, *OF_THE_WORKER]
    for key in ("expected_duration", "max_start_skew", "scenario"):
        _resolvable(workload[key], everywhere, (*path, key))
    ends = linked["between"] if linked else ()
    of_links = [*OF_A_LINK] if linked else []
    of_links += [known for end in ends for known in _names("peer", OF_A_MEMBER, groups[end])]
    in_derived = [*of_hosts, *_names("host", OF_A_HOST, {"ports": {}}), *of_links]
    _check_derived(workload, in_derived, (*path, "derived"))
    for name, group in groups.items():
        here = (*path, "groups", name)
        known = [*of_hosts, *_names("host", OF_A_HOST, group)]
        _resolvable(group["ports"], everywhere, (*here, "ports"))
        for key in ("states", "stop", "prepare", "files", "outputs", "interface", "sampler_period", "output_limit"):
            _resolvable(group[key], known, (*here, key))
        for process_name, process in group["processes"].items():
            place = (*here, "processes", process_name)
            if process["per"] == "link":
                peer = next(other for other in linked["between"] if other != name)
                of_links = [*known, *OF_A_LINK, *_names("peer", OF_A_MEMBER, groups[peer])]
            else:
                of_links = known
            for key in ("command", "environment", "cpus", "priority", "offset"):
                _resolvable(process[key], of_links, (*place, key))
            for other, variables in process["environment_for_each"].items():
                each = [*known, *_names("each", OF_A_MEMBER, groups[other])]
                _resolvable(variables, each, (*place, "environment_for_each", other))
                _resolvable(list(variables), each, (*place, "environment_for_each", other))


def _names(prefix: str, facts: Iterable[str], group: Mapping[str, Any]) -> list[str]:
    ports = [f"{kind}.{port}" for kind in ("port", "socket") for port in group["ports"]]
    return [f"{prefix}.{fact}" for fact in (*facts, *ports)]


def _check_derived(workload: Mapping[str, Any], known: list[str], path: Path) -> None:
    sources = list(workload["parameters"])
    for name, rule in workload["derived"].items():
        if name in workload["parameters"]:
            raise SchemaError((*path, name), f"a parameter is named {name!r} too.", name)
        if rule["from"] not in sources:
            problem = f"there is no parameter {rule['from']!r} above it.{suggestion(rule['from'], sources)}"
            raise SchemaError((*path, name, "from"), problem, rule["from"])
        for key in ("values", "otherwise"):
            _resolvable(rule[key], known, (*path, name, key))
        sources.append(name)


def _resolvable(value: Any, known: Iterable[str], path: Path) -> None:
    for place, found in _texts(value, path):
        for name in template.names(found, place):
            if name not in known:
                raise template.unknown(name, known, found, place)


def _texts(value: Any, path: Path) -> Iterator[tuple[Path, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _texts(inner, (*path, key))
    elif isinstance(value, (list, tuple)):
        for position, inner in enumerate(value):
            yield from _texts(inner, (*path, position))
