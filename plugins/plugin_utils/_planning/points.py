# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One grid point, planned: its parameters, and what every host does at it. Private to this collection."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ...module_utils._protocol import plan as worker_plan
from ...module_utils._protocol.schema import Path, SchemaError
from . import links, matrix, roles, template
from . import parameters as declared_parameters
from . import workload as workloads
from .host_plan import HostPlan, process_of_link
from .hosts import Host, Member, Members, member_names, ports_of
from .links import Links
from .names import Names, of_point
from .plan import PointSummary
from .quantities import duration_s, integer
from .scenario_input import ScenarioInput, scenario_input

ReadFile = Callable[[str, Path], str]


@dataclass(frozen=True)
class Bench:
    """What all points of a plan have in common. ``inputs`` and ``scenarios`` fill up while points are planned."""

    suite: Mapping[str, Any]
    workload: Mapping[str, Any]
    groups: roles.Groups
    hosts: Mapping[str, Host]
    read_file: ReadFile
    inputs: dict[str, str] = field(default_factory=dict)  # sha256 -> content
    scenarios: dict[str, ScenarioInput] = field(default_factory=dict)  # section, resolved -> scenario

    def keep(self, content: str) -> str:
        """Keep a file's content for the workers, return its sha256."""
        sha256 = worker_plan.digest(content.encode("utf-8", "surrogatepass"))
        self.inputs[sha256] = content
        return sha256


class PlannedPoint:
    """Raises SchemaError, blaming the suite's value where it has given one, else the workload."""

    def __init__(
        self,
        bench: Bench,
        given: Mapping[str, tuple[Any, Path]],
        round_: matrix.Round | None = None,
        *,
        test: str | None = None,
        warm_up: bool = False,
    ) -> None:
        self._bench = bench
        self._test = test
        self._warm_up = warm_up
        self._round = round_
        self._groups = round_.groups if round_ else bench.groups
        self._workload = bench.workload
        self._given = given
        self._places = {name: given[name][1] for name in given}
        self._parameters = declared_parameters.values(bench.workload["parameters"], given, ("workload", "parameters"))
        self._names = of_point(bench.workload, self._parameters, self._places)
        try:
            self._links = links.of_point(bench.workload["links"], self._groups, self._names)
            if self._links:
                self._names = self._names.extended(
                    {"links.count": len(self._links.links), "links.spread": self._links.spread_s}
                )
            self._members = self._with_ports()
            roles.check_ports(self._members)
            self._scenario = self._its_scenario()
            self._scenario_sha256 = bench.keep(self._scenario.text) if self._scenario else None
            self._expected_s = self._estimate_s()
            self.documents = {
                member.host.name: self._document(name, member)
                for name, members in self._members.items()
                for member in members
            }
            self.summary = self._summary()
        except SchemaError as problem:
            raise SchemaError(self._blamed(problem.path), problem.problem, problem.value) from problem

    def warmed_up(self, given: Mapping[str, tuple[Any, Path]]) -> PlannedPoint:
        """The same with these parameters, as traffic that is not measured."""
        return PlannedPoint(self._bench, {**self._given, **given}, self._round, test=self._test, warm_up=True)

    def _with_ports(self) -> Members:
        return {
            name: [self._member(name, index, host) for index, host in enumerate(self._groups[name])]
            for name in self._workload["groups"]
        }

    def _member(self, group: str, index: int, name: str) -> Member:
        host = self._bench.hosts[name]
        own = self._links.of_member(group, index) if self._links else ()
        declared = self._workload["groups"][group]
        ports = ports_of(declared, host.first_port, self._names, _place(group), links=len(own))
        return Member(host=host, group=group, index=index, ports=ports, links=own)

    def _its_scenario(self) -> ScenarioInput | None:
        if not self._workload["scenario"]:
            return None
        as_written = {  # the scenario also takes a rate's period
            name: self._given.get(name, (declared["default"], ()))[0]
            for name, declared in self._workload["parameters"].items()
            if declared["type"] == "rate"
        }
        names = self._names.extended(as_written)
        section = _resolved(self._workload["scenario"], names, ("workload", "scenario"))
        known = self._bench.scenarios
        if repr(section) not in known:
            known[repr(section)] = scenario_input(section, self._members, self._bench.read_file)
        return known[repr(section)]

    def _document(self, group: str, member: Member) -> dict[str, Any]:
        planner = HostPlan(
            member=member,
            members=self._members,
            names=member_names(member, self._members, self._names),
            expected_s=self._expected_s,
            scenario_sha256=self._scenario_sha256,
            links=self._links,
            keep=self._bench.keep,
            read_file=self._bench.read_file,
        )
        point = planner.point(self._workload["groups"][group], _place(group))
        return {**point, "retries": "later"} if self._round else point

    def _summary(self) -> PointSummary:
        groups = self._workload["groups"]
        return PointSummary(
            parameters=self._parameters,
            expected_s=self._expected_s,
            t0_groups=tuple(name for name, group in groups.items() if workloads.starts_at_t0(group)),
            max_start_skew_us=self._max_start_skew_us(),
            parsers={name: group["parser"] for name, group in groups.items()},
            receivers=tuple(self._workload["receivers"]),
            links=self._linked(),
            evidence=self._scenario.evidence if self._scenario else {},
            groups=self._round.groups if self._round else {},
            pairs=self._round.pairs if self._round else (),
            test=self._test,
            warm_up=self._warm_up,
            cool_down_s=0.0 if self._warm_up else float(self._bench.suite["cool_down"] or 0.0),
        )

    def _linked(self) -> dict[str, dict[str, dict[str, Any]]]:
        """By host and process: the peer and the instance, for processes that are there once per link."""
        found: dict[str, dict[str, dict[str, Any]]] = {}
        for group, declared in self._workload["groups"].items():
            for member in self._members[group] if self._links else ():
                for name, process in declared["processes"].items():
                    if self._links and process["per"] == "link":
                        found.setdefault(member.host.name, {}).update(_peers(self._links, member, name, self._members))
        return found

    def _estimate_s(self) -> float | None:
        given, path = self._workload["expected_duration"], ("workload", "expected_duration")
        if given is None:
            return self._scenario.expected_s if self._scenario else None
        terms = given if isinstance(given, list) else [given]
        return sum(_product_s(template.render(term, self._names, path), path) for term in terms)

    def _max_start_skew_us(self) -> float | None:
        if self._bench.suite["max_start_skew"] is not None:
            return float(self._bench.suite["max_start_skew"]) * 1e6
        path = ("workload", "max_start_skew")
        skew = template.render(self._workload["max_start_skew"], self._names, path)
        return None if skew is None else duration_s(skew, path) * 1e6

    def _blamed(self, path: Path) -> Path:
        """Where the suite says what stands at ``path`` of the workload, when that is nothing but one parameter."""
        value: Any = {"workload": self._workload}
        for part in path:
            try:
                value = value[part]
            except (KeyError, IndexError, TypeError):
                return path
        names = template.names(value) if isinstance(value, str) else ()
        return self._places.get(names[0], path) if len(names) == 1 else path


def _peers(links: Links, member: Member, process: str, members: Members) -> dict[str, dict[str, Any]]:
    end = links.end(member.group)
    others = members[links.between[1 - end]]
    return {
        process_of_link(process, link.of[end]): {
            "peer": others[link.ends[1 - end]].host.name,
            "instance": link.instance,
        }
        for link in member.links
    }


def _place(group: str) -> Path:
    return ("workload", "groups", group)


def _resolved(value: Any, names: Names, path: Path) -> Any:
    """A part of the workload with all its placeholders resolved."""
    if isinstance(value, Mapping):
        return {key: _resolved(inner, names, (*path, key)) for key, inner in value.items()}
    return template.render(value, names, path)


def _product_s(term: Any, path: Path) -> float:
    """A duration, or so many times one: ``3 * 10``."""
    times, star, each = term.partition(" * ") if isinstance(term, str) else ("", "", "")
    return integer(minimum=0)(times, path) * duration_s(each, path) if star else duration_s(term, path)
