# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What one host runs at one grid point: its part of a worker's plan. Private to this collection."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ...module_utils._protocol.plan import SIGNAL
from ...module_utils._protocol.schema import Path, SchemaError, optional
from . import template
from .hosts import SCENARIO_FILE, Member, Members, base_name
from .links import Link, Links
from .names import Names
from .quantities import bytes_, duration_s
from .workload import ends_by_itself

BASE_ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
READY_DEADLINE_S = 60.0
INNER_DEADLINE_S = 30.0
END_DEADLINE_S = 30.0  # beyond the grace, or beyond three times the expected duration


@dataclass(frozen=True)
class HostPlan:
    """Plans for one host. ``keep`` takes a file's content and returns its sha256, ``read_file`` gets one by name."""

    member: Member
    members: Members
    names: Names
    expected_s: float | None
    scenario_sha256: str | None
    links: Links | None
    keep: Callable[[str], str]
    read_file: Callable[[str, Path], str]

    def point(self, group: Mapping[str, Any], path: Path) -> dict[str, Any]:
        """The point of a worker's plan, see ``_protocol.plan.POINT``."""
        stop = self._stop(group["stop"], (*path, "stop"))
        period_s = self._rendered(group["sampler_period"], (*path, "sampler_period"))
        return {
            "processes": [
                each
                for name, process in group["processes"].items()
                for each in self._processes(name, process, (*path, "processes", name))
            ],
            "states": [
                self._state(name, rules, group, stop, (*path, "states", name))
                for name, rules in group["states"].items()
            ],
            "stop": stop,
            "prepare": [
                self._prepared(each, (*path, "prepare", number)) for number, each in enumerate(group["prepare"])
            ],
            "files": self._files(group["files"], (*path, "files")),
            "outputs": template.render_words(group["outputs"], self.names, (*path, "outputs")),
            "output_limit_bytes": bytes_(
                self._rendered(group["output_limit"], (*path, "output_limit")), (*path, "output_limit")
            ),
            "interface": self._interface(group["interface"], (*path, "interface")),
            "sampler_period_s": optional(duration_s)(period_s, (*path, "sampler_period")),
        }

    def _rendered(self, value: Any, path: Path) -> Any:
        return template.render(value, self.names, path)

    def _duration_s(self, value: Any, path: Path) -> float:
        return duration_s(self._rendered(value, path), path)

    def _processes(self, name: str, process: Mapping[str, Any], path: Path) -> list[dict[str, Any]]:
        """A process of the workload: one, or one for each link of this host, which then knows its peer."""
        if process["per"] == "host" or self.links is None:
            return [self._process(name, process, path)]
        end = self.links.end(self.member.group)
        others = self.members[self.links.between[1 - end]]
        return [
            {
                **replace(self, names=self._names_at(link, end, others[link.ends[1 - end]]))._process(
                    process_of_link(name, link.of[end]), process, path
                ),
                **_peer(others[link.ends[1 - end]].at_link(link.of[1 - end])),
            }
            for link in self.member.links
        ]

    def _names_at(self, link: Link, end: int, peer: Member) -> Names:
        own = {
            "link.number": link.number,
            "link.index": link.of[end],
            "link.instance": link.instance,
            "link.offset": link.offset_s,
            "link.cpu": link.cpu,
        }
        here, there = self.member.at_link(link.of[end]), peer.at_link(link.of[1 - end])
        return self.names.extended({**here.names("host"), **there.names("peer"), **own})

    def _process(self, name: str, process: Mapping[str, Any], path: Path) -> dict[str, Any]:
        host = self.member.host
        words, sha256 = self._program(process["command"], (*path, "command"))
        return {
            "name": name,
            "command": words,
            "environment": {
                **BASE_ENVIRONMENT,
                **self._environment(process, path),
                **host.environment,
                **host.secret_environment,
            },
            "secret_environment": sorted({*process["secret_environment"], *host.secret_environment}),
            "sha256": sha256,
            "offset_s": self._duration_s(process["offset"], (*path, "offset")),
            "cpus": self._cpus(process["cpus"], (*path, "cpus")),
            "priority": self._priority(process["priority"], (*path, "priority")),
            "success": list(process["success"]),
        }

    def _cpus(self, value: Any, path: Path) -> list[int] | None:
        """The host's own, else the workload's."""
        found = self.member.host.cpus
        return list(found) if found else _cpus(self._rendered(value, path), path)

    def _priority(self, value: Any, path: Path) -> int | None:
        rendered = self._rendered(value, path)
        if self.member.host.priority or rendered in (None, ""):
            return self.member.host.priority
        try:
            return int(rendered)
        except (TypeError, ValueError):
            raise SchemaError(path, f"expected a real-time priority from 1 to 99, got {rendered!r}.", value) from None

    def _environment(self, process: Mapping[str, Any], path: Path) -> dict[str, str]:
        """The workload's variables; one whose value is nothing is left out."""
        found = {
            name: self._rendered(value, (*path, "environment", name)) for name, value in process["environment"].items()
        }
        for group, variables in process["environment_for_each"].items():
            for other in self.members[group]:
                each = self.names.extended(other.names("each"))
                for name, value in variables.items():
                    here = (*path, "environment_for_each", group, name)
                    found[template.render_text(name, each, here)] = template.render(value, each, here)
        return {name: template.as_text(value) for name, value in found.items() if value is not None}

    def _words(self, command: Sequence[Any], path: Path) -> list[str]:
        return self._program(command, path)[0]

    def _program(self, command: Sequence[Any], path: Path) -> tuple[list[str], str | None]:
        """The words, names of installed tools replaced by their paths, and the program's sha256 where it is known."""
        words: list[str] = []
        for position, word in enumerate(command):
            if isinstance(word, Mapping):
                words.append(self._tool(template.render_text(word["tool"], self.names, (*path, position, "tool"))))
            else:
                words += template.render_words([word], self.names, (*path, position))
        if not words or not words[0]:
            raise SchemaError(path, f"the command is empty on {self.member.host.name}.", command)
        program = self._tool(words[0])
        tools = self.member.host.tools.values()
        sha256 = next((tool["sha256"] for tool in tools if tool["path"] == program), None)
        return [program, *words[1:]], sha256

    def _tool(self, name: str) -> str:
        """The path of an installed tool; any other name is left for the worker to find."""
        tool = self.member.host.tools.get(name)
        return str(tool["path"]) if tool else name

    def _state(
        self, name: str, rules: Mapping[str, Any], group: Mapping[str, Any], stop: Mapping[str, Any], path: Path
    ) -> dict[str, Any]:
        here = (*path, "deadline")
        given = self._rendered(rules["deadline"], here)
        given_s = None if given is None else duration_s(given, here)
        if name == "ready":
            entry, reached, deadline_s = "at_once", {"rule": "prepared"}, given_s or READY_DEADLINE_S
        elif name == "done":
            reached = {"rule": "stopped"}
            if ends_by_itself(group):
                entry, deadline_s = "by_itself", _end_s(given_s, stop["after_s"] or self.expected_s, stop, here)
            else:
                entry, deadline_s = "at_once", given_s or stop["grace_s"] + END_DEADLINE_S
        else:
            entry, deadline_s = rules["entry"], given_s or INNER_DEADLINE_S
            if given_s is None and entry == "at_t0" and self.links:
                deadline_s += self.links.spread_s
            reached = self._reached(rules["reached"], (*path, "reached"))
        return {"name": name, "entry": entry, "reached": reached, "deadline_s": deadline_s}

    def _reached(self, rule: Mapping[str, Any], path: Path) -> dict[str, Any]:
        if rule["rule"] == "listening":
            wanted = rule["ports"]
            chosen = [port for name, port in self.member.ports.items() if not wanted or base_name(name) in wanted]
            address = self.member.host.bind
            ports = [{"port": port.number, "protocol": port.protocol, "address": address} for port in chosen]
            return {"rule": "listening", "ports": ports}
        if rule["rule"] == "line":
            texts = {key: template.render_text(rule[key], self.names, (*path, key)) for key in ("file", "pattern")}
            return {"rule": "line", **texts}
        if rule["rule"] == "probe":
            period_s = self._duration_s(rule["period"], (*path, "period"))
            return {
                "rule": "probe",
                "command": self._words(rule["command"], (*path, "command")),
                "period_s": period_s,
            }
        return dict(rule)

    def _stop(self, stop: Mapping[str, Any], path: Path) -> dict[str, Any]:
        after = self._rendered(stop.get("after"), (*path, "after"))
        return {
            "rule": stop["rule"],
            "signal": SIGNAL(self._rendered(stop["signal"], (*path, "signal")), (*path, "signal")),
            "grace_s": self._duration_s(stop["grace"], (*path, "grace")),
            "after_s": None if after is None else duration_s(after, (*path, "after")),
        }

    def _prepared(self, each: Mapping[str, Any], path: Path) -> dict[str, Any]:
        undo = None if each["undo"] is None else self._words(each["undo"], (*path, "undo"))
        return {"command": self._words(each["command"], (*path, "command")), "undo": undo}

    def _files(self, files: Mapping[str, Any], path: Path) -> dict[str, str]:
        kept = {name: self.keep(self._content(source, (*path, name))) for name, source in files.items()}
        return kept if self.scenario_sha256 is None else {**kept, SCENARIO_FILE: self.scenario_sha256}

    def _content(self, source: Any, path: Path) -> str:
        if isinstance(source, Mapping):
            here = (*path, "from")
            return self.read_file(template.render_text(source["from"], self.names, here), here)
        return template.render_text(source, self.names, path)

    def _interface(self, workloads: Any, path: Path) -> str | None:
        """The host's own, the workload's, the loopback one for a loopback address; else the worker finds it."""
        found = self.member.host.interface or self._rendered(workloads, path)
        return found or ("lo" if _is_loopback(self.member.host.address) else None)


def _peer(other: Member) -> dict[str, Any]:
    """Where a process finds its server, if that listens for TCP."""
    ports = [port.number for port in other.ports.values() if port.protocol == "tcp"]
    return {"peer": {"port": ports[0], "address": other.host.address}} if ports else {}


def process_of_link(name: str, number: int) -> str:
    """The name of a host's process for its link of that number: ``client``, ``client-1``, ``client-2``, …"""
    return name if number == 0 else f"{name}-{number}"


def _end_s(given_s: float | None, expected_s: float | None, stop: Mapping[str, Any], path: Path) -> float:
    """The deadline of processes that end by themselves; one that they are expected to miss is refused."""
    if given_s is not None:
        if expected_s is not None and given_s <= expected_s:
            problem = f"the deadline of {given_s:g} s is not longer than the expected duration of {expected_s:g} s."
            raise SchemaError(path, problem, given_s)
        return given_s
    if expected_s is None:
        problem = "nothing says how long this takes; give 'expected_duration' in the workload, or a deadline here."
        raise SchemaError(path, problem)
    return 3 * expected_s + float(stop["grace_s"]) + END_DEADLINE_S


def _cpus(value: Any, path: Path) -> list[int] | None:
    if value in (None, "", []):
        return None
    items = value.split(",") if isinstance(value, str) else [value] if isinstance(value, int) else list(value)
    try:
        return [int(item) for item in items]
    except ValueError:
        raise SchemaError(path, f"expected numbers of CPUs, got {value!r}.", value) from None


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"
