# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Suite + workload + hosts = the plan of a run. Pure but for ``read_file``. Private to this collection.

Everything that can be wrong is found here, before a host is touched. Errors are SchemaErrors whose path begins with the document they
are about: ``suite``, ``workload``, ``groups``, ``steps`` or ``hosts``, so that whoever called can point at the user's own text.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ...module_utils._protocol import plan as worker_plan
from ...module_utils._protocol.schema import Path, SchemaError, suggestion
from . import parameters as declared_parameters
from . import suite as suites
from . import template
from . import workload as workloads
from .host_plan import Host, Member, Members, member_names, point_document, ports_of
from .names import Names, of_point
from .plan import PointSummary, RunPlan, Step, WorkerEntry
from .quantities import duration_s
from .scenario_input import ScenarioInput, scenario_input

ReadFile = Callable[[str, Path], str]


def expand(
    *,
    suite: Any,
    workload: Any,
    groups: Mapping[str, Sequence[str]],
    hosts: Mapping[str, Host],
    run_id: str,
    created_utc: str,
    steps: Any = None,
    read_file: ReadFile,
) -> RunPlan:
    """The plan. ``suite`` and ``workload`` are documents as the user wrote them, ``groups`` binds the workload's groups to hosts.

    ``read_file`` returns the text of a file that a workload or suite names, or raises SchemaError with the path it is given.
    """
    suite = suites.check(suite)
    workload = workloads.check(workload)
    chosen = _chosen_steps(steps, suite, workload)
    _check_groups(workload, groups, hosts)
    if suite["on_host_failure"] == "drop" and not any(group["drop_allowed"] for group in workload["groups"].values()):
        problem = f"the workload {workload['name']} makes no sense with fewer hosts; use abort or retry."
        raise SchemaError(("suite", "on_host_failure"), problem, suite["on_host_failure"])

    inputs: dict[str, str] = {}
    scenarios: dict[str, ScenarioInput] = {}
    points: list[PointSummary] = []
    documents: dict[str, list[dict[str, Any]]] = {name: [] for members in groups.values() for name in members}
    for given in suites.points(suite):
        point = _Point(suite, workload, given, groups, hosts, read_file, inputs, scenarios)
        summary, per_host = point.planned()
        if any(summary.parameters == other.parameters for other in points):
            twice = ", ".join(f"{name}={template.as_text(value)}" for name, value in summary.parameters.items() if name in suite["grid"])
            raise SchemaError(("suite", "grid"), f"the point {twice} is there twice.", suite["grid"])
        points.append(summary)
        for name, document in per_host.items():
            documents[name].append(document)

    samples = suites.order(
        points=len(points), repeats=suite["repeats"], seed=suite["seed"], interleaved=suite["order"] == "interleaved"
    )
    ordered = [sample.point for sample in samples]
    workers = {
        name: _worker_entry(run_id, suite["name"], hosts[name], group, index, documents[name], ordered, inputs)
        for group, members in groups.items()
        for index, name in enumerate(members)
    }
    return RunPlan(
        run_id=run_id,
        suite=suite["name"],
        seed=suite["seed"],
        sha256="",
        created_utc=created_utc,
        workload=_plain(workload),
        groups={name: tuple(groups[name]) for name in workload["groups"]},
        steps=tuple(Step(**step) for step in chosen),
        points=tuple(points),
        samples=samples,
        repeats=suite["repeats"],
        retry_budget=suite["retry_budget"],
        on_host_failure=suite["on_host_failure"],
        workers=workers,
    ).sealed()


def _chosen_steps(steps: Any, suite: Mapping[str, Any], workload: Mapping[str, Any]) -> list[dict[str, str]]:
    """The task's steps, or the suite's, the workload's, the default: the first that is given."""
    groups = workload["groups"]
    for path, given in ((("steps",), steps), (("suite", "steps"), suite["steps"]), (("workload", "steps"), workload["steps"])):
        if given is not None:
            checked: list[dict[str, str]] = workloads.STEPS(given, path)
            workloads.check_steps(checked, groups, path)
            return checked
    return workloads.default_steps(groups)


def _check_groups(workload: Mapping[str, Any], groups: Mapping[str, Sequence[str]], hosts: Mapping[str, Host]) -> None:
    """Every group of the workload has as many hosts as it needs, no host has two roles, no two hosts are in each other's way."""
    for name in groups:
        if name not in workload["groups"]:
            problem = f"the workload {workload['name']} has no group {name!r}.{suggestion(name, list(workload['groups']))}"
            raise SchemaError(("groups", name), problem, name)
    for name, group in workload["groups"].items():
        if name not in groups:
            raise SchemaError(("groups", name), f"is missing: say which hosts are the {name} of the workload {workload['name']}.", groups)
        _check_count(name, group["hosts"], groups[name])
    role: dict[str, str] = {}
    for name, members in groups.items():
        for position, host in enumerate(members):
            if host in role:
                problem = f"the host {host} is there twice." if role[host] == name else f"the host {host} is in {role[host]} too."
                raise SchemaError(("groups", name, position), f"{problem} A host has one role; give it a second inventory name.", host)
            role[host] = name
            if host not in hosts:
                raise SchemaError(("groups", name, position), f"there is no host {host!r}.{suggestion(host, list(hosts))}", host)
    _check_instances([hosts[name] for name in role])


def _check_count(name: str, bounds: Mapping[str, Any], members: Sequence[str]) -> None:
    least, most = bounds["minimum"], bounds["maximum"]
    if len(members) < least or (most is not None and len(members) > most):
        wanted = f"{least}" if most == least else f"at least {least}" if most is None else f"{least} to {most}"
        problem = f"{wanted} hosts are needed, there are {len(members)}" + (f": {', '.join(members)}." if members else ".")
        raise SchemaError(("groups", name), problem, members)


def _check_instances(hosts: Sequence[Host]) -> None:
    seen: dict[tuple[str, str], str] = {}
    for host in hosts:
        key = (host.machine or host.name, host.instance)
        if key in seen:
            problem = (
                f"shares the worker {host.instance!r} of its machine with {seen[key]}; hosts on one machine need a worker instance each."
            )
            raise SchemaError(("hosts", host.name), problem, host.instance)
        seen[key] = host.name


class _Point:
    """One grid point: its parameters, and what every host does at it."""

    def __init__(
        self,
        suite: Mapping[str, Any],
        workload: Mapping[str, Any],
        given: Mapping[str, tuple[Any, Path]],
        groups: Mapping[str, Sequence[str]],
        hosts: Mapping[str, Host],
        read_file: ReadFile,
        inputs: dict[str, str],
        scenarios: dict[str, ScenarioInput],
    ) -> None:
        self.suite, self.workload, self.given = suite, workload, given
        self.read_file, self.inputs = read_file, inputs
        self.places = {name: place for name, (_, place) in given.items()}
        self.parameters = declared_parameters.values(workload["parameters"], given, ("workload", "parameters"))
        self.names = of_point(workload, self.parameters, self.places)
        self.members: Members = {
            name: [
                Member(hosts[host], name, index, ports_of(workload["groups"][name], hosts[host].first_port, self.names, _group(name)))
                for index, host in enumerate(groups[name])
            ]
            for name in workload["groups"]
        }
        self.scenario = self._scenario(scenarios)

    def _scenario(self, known: dict[str, ScenarioInput]) -> ScenarioInput | None:
        if not self.workload["scenario"]:
            return None
        raw = {
            name: self.given.get(name, (declared["default"], ()))[0]
            for name, declared in self.workload["parameters"].items()
            if declared["type"] == "rate"  # as written: the scenario also takes its period
        }
        section = _rendered(self.workload["scenario"], self.names.extended(raw), ("workload", "scenario"))
        key = repr(section)
        if key not in known:
            known[key] = scenario_input(section, self.members, self._blamed, self.read_file)
            self.keep(known[key].text)
        return known[key]

    def keep(self, content: str) -> str:
        """Keep a file's content for the workers, return its sha256."""
        sha256 = worker_plan.digest(content.encode("utf-8", "surrogatepass"))
        self.inputs[sha256] = content
        return sha256

    def _blamed(self, path: Path) -> Path:
        """Where the user wrote what stands at ``path`` of the workload: the parameter, when it is nothing but one."""
        value: Any = {"workload": self.workload}
        for part in path:
            try:
                value = value[part]
            except (KeyError, IndexError, TypeError):
                return path
        if isinstance(value, str):
            names = template.names(value)
            if len(names) == 1 and names[0] in self.places:
                return self.places[names[0]]
        return path

    def planned(self) -> tuple[PointSummary, dict[str, dict[str, Any]]]:
        _check_ports(self.members)
        try:
            expected_s = self._expected_s()
            documents = {
                member.host.name: point_document(
                    self.workload["groups"][name],
                    member,
                    self.members,
                    member_names(member, self.members, self.names),
                    expected_s=expected_s,
                    keep=self.keep,
                    scenario=self.scenario.text if self.scenario else None,
                    read_file=self.read_file,
                    path=_group(name),
                )
                for name, members in self.members.items()
                for member in members
            }
            skew_us = self._max_start_skew_us()
        except SchemaError as problem:
            raise SchemaError(self._blamed(problem.path), problem.problem, problem.value) from problem
        groups = self.workload["groups"]
        return (
            PointSummary(
                parameters=self.parameters,
                expected_s=expected_s,
                t0_groups=tuple(name for name, group in groups.items() if workloads.starts_at_t0(group)),
                max_start_skew_us=skew_us,
                parsers={name: group["parser"] for name, group in groups.items()},
                receivers=tuple(self.workload["receivers"]),
                evidence=self.scenario.evidence if self.scenario else {},
            ),
            documents,
        )

    def _expected_s(self) -> float | None:
        given, path = self.workload["expected_duration"], ("workload", "expected_duration")
        if given is None:
            return self.scenario.expected_s if self.scenario else None
        terms = given if isinstance(given, list) else [given]
        return sum(duration_s(template.render(term, self.names, path), path) for term in terms)

    def _max_start_skew_us(self) -> float | None:
        if self.suite["max_start_skew"] is not None:
            return float(self.suite["max_start_skew"]) * 1e6
        path = ("workload", "max_start_skew")
        skew = template.render(self.workload["max_start_skew"], self.names, path)
        return None if skew is None else duration_s(skew, path) * 1e6


def _group(name: str) -> Path:
    return ("workload", "groups", name)


def _rendered(value: Any, names: Names, path: Path) -> Any:
    """A part of the workload with all its placeholders resolved."""
    if isinstance(value, Mapping):
        return {key: _rendered(inner, names, (*path, key)) for key, inner in value.items()}
    return template.render(value, names, path)


def _check_ports(members: Members) -> None:
    seen: dict[tuple[str, int, str], Member] = {}
    for member in (each for group in members.values() for each in group):
        for port in member.ports.values():
            key = (member.host.address, port.number, port.protocol)
            other = seen.setdefault(key, member)
            if other is not member or Counter(member.ports.values())[port] > 1:
                problem = (
                    f"{member.host.name} and {other.host.name} would both listen on {port.protocol} port {port.number} of"
                    f" {member.host.address}; give them different netbench_address or netbench_port values."
                )
                raise SchemaError(("hosts", member.host.name), problem, member.host.address)


def _worker_entry(
    run_id: str,
    suite: str,
    host: Host,
    group: str,
    index: int,
    points: list[dict[str, Any]],
    samples: list[int],
    inputs: Mapping[str, str],
) -> WorkerEntry:
    used = sorted({sha256 for point in points for sha256 in point["files"].values()})
    document = {
        "schema": worker_plan.SCHEMA,
        "run_id": run_id,
        "suite": suite,
        "host": host.name,
        "group": group,
        "index": index,
        "points": points,
        "samples": samples,
        "inputs": {sha256: inputs[sha256] for sha256 in used},
    }
    try:
        worker_plan.build(document)
    except SchemaError as problem:
        raise SchemaError(("workload", "groups", group), f"its plan for {host.name} is not valid: {problem}", problem.value) from problem
    encoded = worker_plan.encode(document)
    if len(encoded) > worker_plan.LIMIT_BYTES:
        problem_text = f"the plan of {host.name} has {len(encoded)} bytes, over the limit of {worker_plan.LIMIT_BYTES}; use fewer points."
        raise SchemaError(("suite", "grid"), problem_text)
    return WorkerEntry(host.name, group, index, host.address, host.instance, worker_plan.digest(encoded), document)


def _plain(workload: Mapping[str, Any]) -> dict[str, Any]:
    """The workload for the record: without the mark of parameters that have no default."""
    missing = declared_parameters.NO_DEFAULT
    cleaned = {
        name: {key: value for key, value in declared.items() if value is not missing}
        for name, declared in workload["parameters"].items()
    }
    return {**workload, "parameters": cleaned}
