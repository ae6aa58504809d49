# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Suite + workload + hosts = the plan of a run. Pure but for ``read_file``. Private to this collection.

Everything that can be wrong is found here, before a host is touched. Errors are SchemaErrors whose path begins with the
document they are about, ``suite``, ``workload``, ``groups``, ``steps`` or ``hosts``, so that whoever called can point
at the user's own text.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ...module_utils._protocol import plan as worker_plan
from ...module_utils._protocol.schema import Path, SchemaError
from . import expectations, matrix, roles, template, versions, warm_up
from . import parameters as declared_parameters
from . import suite as suites
from . import workload as workloads
from .hosts import Host
from .plan import PointSummary, RunPlan, Step, WorkerEntry
from .points import Bench, PlannedPoint, ReadFile


def expand(
    *,
    suite: Any,
    workload: Any,
    groups: roles.Groups,
    hosts: Mapping[str, Host],
    run_id: str,
    created_utc: str,
    steps: Any = None,
    read_file: ReadFile,
) -> RunPlan:
    """The plan. ``suite`` and ``workload`` are documents as the user wrote them, ``groups`` binds groups to hosts.

    ``read_file(name, place)`` returns the text of a file that a workload or suite names at that place, or raises
    SchemaError.
    """
    suite = suites.check(suite)
    workload = workloads.check(workload)
    chosen = _chosen_steps(steps, suite, workload)
    rounds = _rounds(suite, workload, groups, hosts)
    _check_drop(suite, workload)
    ordered = {name: tuple(groups[name]) for name in workload["groups"]}

    bench = Bench(suite, workload, ordered, hosts, read_file)
    points = [
        PlannedPoint(bench, {**given, **_pairs(each, workload)}, each, test=test)
        for given, test in zip(suites.points(suite), suites.test_names(suite), strict=True)
        for each in rounds
    ]
    _check_distinct([point.summary for point in points], suite)
    expectations.check(suite["expectations"], ("suite", "expectations"))
    samples = suites.order(points=len(points), repeats=suite["repeats"], seed=suite["seed"], how=suite["order"])
    if suite["warm_up"]:
        samples = warm_up.before_each(samples, len(points))
        points += [warm_up.of(point, suite["warm_up"], workload) for point in points]
    common = {"schema": worker_plan.SCHEMA, "run_id": run_id, "suite": suite["name"]}
    order = [sample.point for sample in samples]
    encoder = _Encoder(bench.inputs)
    workers = {}
    for group, members in ordered.items():
        for index, name in enumerate(members):
            if name in workers:
                continue  # of a matrix, in which it has another role too
            document = {
                **common,
                "host": name,
                "group": group,
                "index": index,
                "points": [point.documents.get(name) for point in points],
                "samples": order,
            }
            workers[name] = _worker_entry(document, hosts[name], encoder)
    tools = versions.of_plan({name: entry.document for name, entry in workers.items()}, hosts)
    if suite["versions"] == "same" and (different := versions.differing(tools)):
        problem = f"{'; '.join(different)}. Install the same, or say 'any'."
        raise SchemaError(("suite", "versions"), problem, suite["versions"])
    return RunPlan(
        run_id=run_id,
        suite=suite["name"],
        seed=suite["seed"],
        sha256="",
        created_utc=created_utc,
        workload=_recorded(workload),
        groups=ordered,
        steps=tuple(Step(**step) for step in chosen),
        points=tuple(point.summary for point in points),
        samples=samples,
        repeats=suite["repeats"],
        retry_budget=suite["retry_budget"],
        on_host_failure=suite["on_host_failure"],
        workers=workers,
        continue_on_error=suite["continue_on_error"],
        analysis={name: suite[name] for name in ("expectations", "confidence", "percentiles")},
        versions=tools,
    ).sealed()


def _chosen_steps(steps: Any, suite: Mapping[str, Any], workload: Mapping[str, Any]) -> list[dict[str, str]]:
    """The task's steps, or the suite's, the workload's, the default: the first that is given."""
    groups = workload["groups"]
    sources = ((("steps",), steps), (("suite", "steps"), suite["steps"]), (("workload", "steps"), workload["steps"]))
    for path, given in sources:
        if given is not None:
            checked: list[dict[str, str]] = workloads.STEPS(given, path)
            workloads.check_steps(checked, groups, path)
            return checked
    return workloads.default_steps(groups)


def _rounds(
    suite: Mapping[str, Any], workload: Mapping[str, Any], groups: roles.Groups, hosts: Mapping[str, Host]
) -> list[matrix.Round | None]:
    """The rounds of a matrix; without one, a single None: everybody takes part in everything."""
    wanted = suite["matrix"]
    if wanted is None or not {wanted["clients"], wanted["servers"]} <= set(groups):
        roles.check(workload, groups, hosts)
        if wanted is None:
            return [None]
    path = ("suite", "matrix")
    if set(workload["groups"]) != {wanted["clients"], wanted["servers"]}:
        problem = (
            f"the workload {workload['name']} has the groups {', '.join(workload['groups'])};"
            " a matrix needs one of clients and one of servers, and no other."
        )
        raise SchemaError(path, problem, wanted)
    found = matrix.plan(groups, **wanted, seed=suite["seed"], path=path)
    if wanted["mode"] == "together" and len(found.pairs) > 1 and matrix.PAIRS not in workload["parameters"]:
        problem = (
            f"the workload {workload['name']} has no parameter {matrix.PAIRS!r}, so each of its clients has one"
            " server; all pairs cannot run together. Use isolated or sequential."
        )
        raise SchemaError(path, problem, wanted)
    if workload["scenario"] and wanted["mode"] != "sequential" and len(found.pairs) > 1:
        problem = f"the scenario of {workload['name']} joins every client with every server; use matrix: sequential."
        raise SchemaError(path, problem, wanted)
    for each in found.rounds:
        roles.check(workload, each.groups, hosts)
    roles.check_instances([hosts[name] for name in dict.fromkeys(host for pair in found.pairs for host in pair)])
    return list(found.rounds)


def _pairs(each: matrix.Round | None, workload: Mapping[str, Any]) -> dict[str, tuple[Any, Path]]:
    """What a round says to a workload that can be told who works with whom."""
    if each is None or matrix.PAIRS not in workload["parameters"]:
        return {}
    return {matrix.PAIRS: ([f"{client}>{server}" for client, server in each.pairs], ("suite", "matrix"))}


def _check_drop(suite: Mapping[str, Any], workload: Mapping[str, Any]) -> None:
    if suite["on_host_failure"] == "drop" and not any(group["drop_allowed"] for group in workload["groups"].values()):
        problem = f"the workload {workload['name']} makes no sense with fewer hosts; use abort or retry."
        raise SchemaError(("suite", "on_host_failure"), problem, suite["on_host_failure"])


def _check_distinct(points: list[PointSummary], suite: Mapping[str, Any]) -> None:
    seen = set()
    for point in points:
        key = json.dumps([point.parameters, point.pairs, point.test], sort_keys=True)
        if key in seen:
            varied = {name: template.as_text(point.parameters[name]) for name in suite["grid"]}
            problem = f"the point {', '.join(f'{name}={value}' for name, value in varied.items())} is there twice."
            raise SchemaError(("suite", "grid"), problem, suite["grid"])
        seen.add(key)


class _Encoder:
    """Encodes workers' plans, each input file once however many workers get it."""

    def __init__(self, inputs: Mapping[str, str]) -> None:
        self.inputs = inputs
        self._encoded = {sha256: json.dumps(content).encode("ascii") for sha256, content in inputs.items()}

    def digest(self, document: Mapping[str, Any]) -> tuple[str, int]:
        """The digest and size of ``_protocol.plan.encode``, made faster."""
        used = b",".join(b'"%b":%b' % (name.encode(), self._encoded[name]) for name in sorted(document["inputs"]))
        encoded = worker_plan.encode({**document, "inputs": {}}).replace(b'"inputs":{}', b'"inputs":{%b}' % used, 1)
        return worker_plan.digest(encoded), len(encoded)


def _worker_entry(document: dict[str, Any], host: Host, encoder: _Encoder) -> WorkerEntry:
    used = {sha256 for point in document["points"] if point for sha256 in point["files"].values()}
    document["inputs"] = {sha256: encoder.inputs[sha256] for sha256 in used}
    try:
        worker_plan.build(document)
    except SchemaError as problem:
        text = f"its plan for {host.name} is not valid: {problem}"
        raise SchemaError(("workload", "groups", document["group"]), text, problem.value) from problem
    sha256, size = encoder.digest(document)
    if size > worker_plan.LIMIT_BYTES:
        text = (
            f"the plan of {host.name} has {size} bytes, over the limit of {worker_plan.LIMIT_BYTES}; use fewer points."
        )
        raise SchemaError(("suite", "grid"), text)
    return WorkerEntry(
        host=host.name,
        group=document["group"],
        index=document["index"],
        address=host.address,
        instance=host.instance,
        sha256=sha256,
        document=document,
    )


def _recorded(workload: Mapping[str, Any]) -> dict[str, Any]:
    """The workload as the plan keeps it: without the mark of parameters that have no default."""
    missing = declared_parameters.NO_DEFAULT
    cleaned = {
        name: {key: value for key, value in declared.items() if value is not missing}
        for name, declared in workload["parameters"].items()
    }
    return {**workload, "parameters": cleaned}
