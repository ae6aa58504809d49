# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What one host runs at one grid point: its part of a worker's plan. Private to this collection."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...module_utils._protocol.plan import SIGNAL
from ...module_utils._protocol.schema import Path, SchemaError, integer, optional
from . import template
from .names import Names
from .quantities import bytes_, duration_s
from .workload import ends_by_itself

BASE_ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
SCENARIO_FILE = "scenario.json"
READY_DEADLINE_S = 60.0
INNER_DEADLINE_S = 30.0
END_DEADLINE_S = 30.0  # beyond the grace, or beyond three times the expected duration

port_number = integer(minimum=1, maximum=65535)


@dataclass(frozen=True)
class Host:
    """What the plan needs to know of a host. ``bind`` is where its programs listen; None: everywhere.

    ``tools`` are installed programs ``{name: {path, sha256}}``, ``worker`` is ``{program, python, instance}``, ``machine`` tells whether two
    hosts of the inventory are one machine, ``first_port`` replaces the number of its group's first port (others keep their distance).
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

    @property
    def instance(self) -> str:
        return str(self.worker.get("instance", "default"))


@dataclass(frozen=True)
class Port:
    number: int
    protocol: str


@dataclass(frozen=True)
class Member:
    """A host in its group, with its ports at the point."""

    host: Host
    group: str
    index: int
    ports: Mapping[str, Port]

    def names(self, prefix: str) -> dict[str, Any]:
        """The placeholders that others use for it, see ``workload.member_names``."""
        ports = {f"{prefix}.port.{name}": port.number for name, port in self.ports.items()}
        return {f"{prefix}.name": self.host.name, f"{prefix}.address": self.host.address, f"{prefix}.index": self.index, **ports}


Members = Mapping[str, Sequence[Member]]


def ports_of(group: Mapping[str, Any], first_port: int | None, names: Names, path: Path) -> dict[str, Port]:
    """The ports of a group's member: the workload's numbers, moved so that the first is ``first_port``."""
    ports: dict[str, Port] = {}
    distance = 0
    for name, declared in group["ports"].items():
        here = (*path, "ports", name)
        number = template.render(declared["number"], names, (*here, "number"))
        number = port_number(int(number) if isinstance(number, str) and number.isdecimal() else number, (*here, "number"))
        if first_port is not None and not ports:
            distance = first_port - number
        protocol = template.render(declared["protocol"], names, (*here, "protocol"))
        if protocol not in ("tcp", "udp"):
            raise SchemaError((*here, "protocol"), f"expected tcp or udp, got {protocol!r}.", protocol)
        ports[name] = Port(port_number(number + distance, (*here, "number")), protocol)
    return ports


def member_names(member: Member, members: Members, names: Names) -> Names:
    """The names that placeholders can use on this host."""
    host = member.host
    more: dict[str, Any] = {
        **member.names("host"),
        "host.bind": host.bind or ("::" if ":" in host.address else "0.0.0.0"),
        "host.group": member.group,
        "host.count": len(members[member.group]),
        "worker.python": host.worker.get("python", "python3"),
        "worker.program": host.worker.get("program", "worker.pyz"),
        "scenario.file": SCENARIO_FILE,
    }
    for group, others in members.items():
        more |= others[member.index % len(others)].names(group)
        more |= {f"{group}.count": len(others), f"{group}.addresses": [other.host.address for other in others]}
    return names.extended(more)


def point_document(
    group: Mapping[str, Any],
    member: Member,
    members: Members,
    names: Names,
    *,
    expected_s: float | None,
    keep: Callable[[str], str],
    scenario: str | None,
    read_file: Callable[[str, Path], str],
    path: Path,
) -> dict[str, Any]:
    """One point of a worker's plan. ``keep`` keeps a file's content and returns its sha256; ``scenario`` is its content."""
    commands = _Commands(member, names)
    stop = _stop(group["stop"], names, (*path, "stop"))
    files = {name: keep(_content(source, names, read_file, (*path, "files", name))) for name, source in group["files"].items()}
    if scenario is not None:
        files[SCENARIO_FILE] = keep(scenario)
    interface = template.render(group["interface"], names, (*path, "interface"))
    return {
        "processes": [
            _process(name, process, commands, members, (*path, "processes", name)) for name, process in group["processes"].items()
        ],
        "states": _states(group, commands, stop, expected_s, path),
        "stop": stop,
        "prepare": [
            {
                "command": commands.words(one["command"], (*path, "prepare", position, "command")),
                "undo": None if one["undo"] is None else commands.words(one["undo"], (*path, "prepare", position, "undo")),
            }
            for position, one in enumerate(group["prepare"])
        ],
        "files": files,
        "outputs": template.render_words(group["outputs"], names, (*path, "outputs")),
        "output_limit_bytes": bytes_(template.render(group["output_limit"], names), (*path, "output_limit")),
        "interface": member.host.interface or interface or ("lo" if _is_loopback(member.host.address) else None),
        "sampler_period_s": optional(duration_s)(template.render(group["sampler_period"], names), (*path, "sampler_period")),
    }


class _Commands:
    """Words of commands for one host: placeholders resolved, names of installed tools replaced by their paths."""

    def __init__(self, member: Member, names: Names) -> None:
        self.member = member
        self.names = names

    def words(self, command: Sequence[Any], path: Path) -> list[str]:
        return self.program(command, path)[0]

    def program(self, command: Sequence[Any], path: Path) -> tuple[list[str], str | None]:
        """The words, and the sha256 of the program where it is known."""
        words: list[str] = []
        for position, word in enumerate(command):
            if isinstance(word, Mapping):
                tool = template.render_text(word["tool"], self.names, (*path, position))
                words.append(self._tool(tool).get("path", tool))
            else:
                words += template.render_words([word], self.names, (*path, position))
        if not words or not words[0]:
            raise SchemaError(path, f"the command is empty on {self.member.host.name}.", command)
        path_of_program = self._tool(words[0]).get("path", words[0])
        tools = self.member.host.tools.values()
        sha256 = next((tool.get("sha256") for tool in tools if tool.get("path") == path_of_program), None)
        return [path_of_program, *words[1:]], sha256

    def _tool(self, name: str) -> Mapping[str, Any]:
        return self.member.host.tools.get(name, {}) if "/" not in name else {}


def _process(name: str, process: Mapping[str, Any], commands: _Commands, members: Members, path: Path) -> dict[str, Any]:
    names, host = commands.names, commands.member.host
    words, sha256 = commands.program(process["command"], (*path, "command"))
    environment: dict[str, Any] = {
        key: template.render(value, names, (*path, "environment", key)) for key, value in process["environment"].items()
    }
    for group, variables in process["environment_for_each"].items():
        for other in members[group]:
            each = names.extended(other.names("each"))
            for key, value in variables.items():
                here = (*path, "environment_for_each", group, key)
                environment[template.render_text(key, each, here)] = template.render(value, each, here)
    given = {key: template.as_text(value) for key, value in environment.items() if value is not None}
    return {
        "name": name,
        "command": words,
        "environment": {**BASE_ENVIRONMENT, **given, **host.environment, **host.secret_environment},
        "secret_environment": sorted({*process["secret_environment"], *host.secret_environment}),
        "sha256": sha256,
        "offset_s": duration_s(template.render(process["offset"], names), (*path, "offset")),
        "cpus": _cpus(template.render(process["cpus"], names), (*path, "cpus")),
        "success": list(process["success"]),
    }


def _cpus(value: Any, path: Path) -> list[int] | None:
    if value in (None, "", []):
        return None
    items = value.split(",") if isinstance(value, str) else [value] if isinstance(value, int) else list(value)
    try:
        return [int(item) for item in items]
    except ValueError:
        raise SchemaError(path, f"expected numbers of CPUs, got {value!r}.", value) from None


def _states(
    group: Mapping[str, Any], commands: _Commands, stop: Mapping[str, Any], expected_s: float | None, path: Path
) -> list[dict[str, Any]]:
    states = []
    for name, rules in group["states"].items():
        here = (*path, "states", name)
        deadline = template.render(rules["deadline"], commands.names)
        deadline_s = None if deadline is None else duration_s(deadline, (*here, "deadline"))
        if name == "ready":
            entry, reached, default_s = "at_once", {"rule": "prepared"}, READY_DEADLINE_S
        elif name == "done":
            by_itself = ends_by_itself(group)
            entry, reached = "by_itself" if by_itself else "at_once", {"rule": "stopped"}
            default_s = done_deadline_s(deadline_s, expected_s, stop, by_itself=by_itself, path=(*here, "deadline"))
        else:
            entry, default_s = rules["entry"], INNER_DEADLINE_S
            reached = _reached(rules["reached"], commands, (*here, "reached"))
        states.append({"name": name, "entry": entry, "reached": reached, "deadline_s": deadline_s or default_s})
    return states


def done_deadline_s(
    given_s: float | None, expected_s: float | None, stop: Mapping[str, Any], *, by_itself: bool, path: Path
) -> float:
    """The deadline of ``done``. Raises SchemaError when it must fail, or nobody can know it."""
    expected_s = stop["after_s"] or expected_s
    if not by_itself:
        return given_s or float(stop["grace_s"]) + END_DEADLINE_S
    if given_s is not None:
        if expected_s is not None and given_s <= expected_s:
            problem = f"the deadline of {given_s:g} s is not longer than the expected duration of {expected_s:g} s."
            raise SchemaError(path, problem, given_s)
        return given_s
    if expected_s is None:
        problem = "nothing says how long this takes; give 'expected_duration' in the workload, or a deadline here."
        raise SchemaError(path, problem)
    return 3 * expected_s + float(stop["grace_s"]) + END_DEADLINE_S


def _reached(rule: Mapping[str, Any], commands: _Commands, path: Path) -> dict[str, Any]:
    names, member = commands.names, commands.member
    if rule["rule"] == "listening":
        ports = [member.ports[name] for name in rule["ports"] or member.ports]
        listed = [{"port": port.number, "protocol": port.protocol, "address": member.host.bind} for port in ports]
        return {"rule": "listening", "ports": listed}
    if rule["rule"] == "line":
        rendered = {key: template.render_text(rule[key], names, (*path, key)) for key in ("file", "pattern")}
        return {"rule": "line", **rendered}
    if rule["rule"] == "probe":
        period_s = duration_s(template.render(rule["period"], names), (*path, "period"))
        return {"rule": "probe", "command": commands.words(rule["command"], (*path, "command")), "period_s": period_s}
    return dict(rule)


def _stop(stop: Mapping[str, Any], names: Names, path: Path) -> dict[str, Any]:
    after = template.render(stop.get("after"), names)
    return {
        "rule": stop["rule"],
        "signal": SIGNAL(template.render(stop["signal"], names), (*path, "signal")),
        "grace_s": duration_s(template.render(stop["grace"], names), (*path, "grace")),
        "after_s": None if after is None else duration_s(after, (*path, "after")),
    }


def _content(source: Any, names: Names, read_file: Callable[[str, Path], str], path: Path) -> str:
    if isinstance(source, Mapping):
        return read_file(template.render_text(source["from"], names, (*path, "from")), (*path, "from"))
    return template.render_text(source, names, path)


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"


