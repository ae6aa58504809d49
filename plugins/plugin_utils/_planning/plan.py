# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The plan of a run: what the coordinator walks, and what each worker is given. Private to this collection.

:class:`RunPlan` is made by :func:`.expansion.expand`, written to ``results/<run_id>/plan.json`` (0600: environments may
hold secrets) and read back by the coordinator. Its JSON keeps each input file once, however many workers get it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from ...module_utils._protocol import plan as worker_plan
from ...module_utils._protocol.schema import SchemaError

SCHEMA = 1
FILE_NAME = "plan.json"
HIDDEN = "********"


@dataclass(frozen=True)
class Step:
    """The coordinator brings every worker of ``group`` to ``state`` before it looks at the next step."""

    group: str
    state: str


@dataclass(frozen=True)
class Sample:
    """One execution of one point. Samples are numbered from 0 in the order of execution, repeats from 1."""

    sample: int
    point: int
    repeat: int


@dataclass(frozen=True)
class PointSummary:
    """One grid point, as the coordinator and the report need it (what the workers run is in their documents).

    ``parameters`` are all parameters of the workload with the values used here (bytes in bytes, rates in bit/s,
    durations in s). ``expected_s`` is the expected time from T0 to the end of the last client, None when the workload
    cannot know it. ``t0_groups`` are the groups whose processes start at T0. ``max_start_skew_us`` None: any skew is
    valid. ``parsers`` names for each group the parser of its outputs, or None. ``receivers`` are the groups whose
    received bytes count as goodput. ``evidence`` holds, by host, the least payload a completed sample has moved:
    ``{rx_bytes, tx_bytes, exact}``. ``groups`` are the hosts that take part, when they are not those of the plan: at a
    round of a matrix, whose ``pairs`` (client, server) are measured in it. ``test`` is the suite's name for it. A
    ``warm_up`` is traffic that is not measured. ``cool_down_s`` of quiet come after each sample. ``links`` names, by
    host and process, the peer and the instance of each process that is there once per link.
    """

    parameters: Mapping[str, Any]
    expected_s: float | None
    t0_groups: tuple[str, ...]
    max_start_skew_us: float | None
    parsers: Mapping[str, str | None]
    receivers: tuple[str, ...]
    evidence: Mapping[str, Mapping[str, Any]]
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    pairs: tuple[tuple[str, str], ...] = ()
    links: Mapping[str, Mapping[str, Mapping[str, Any]]] = field(default_factory=dict)
    test: str | None = None
    warm_up: bool = False
    cool_down_s: float = 0.0

    @property
    def named(self) -> dict[str, Any]:
        """The parameters, and the name of the test before them."""
        return {**({"test_name": self.test} if self.test else {}), **self.parameters}


@dataclass(frozen=True)
class WorkerEntry:
    """One host of the run. ``document`` passes the worker's own check (``_protocol.plan.build``), ``sha256`` is its
    digest."""

    host: str
    group: str
    index: int
    address: str
    instance: str
    sha256: str
    document: Mapping[str, Any]

    @property
    def encoded(self) -> bytes:
        """The bytes that the worker receives, stores and hashes."""
        return worker_plan.encode(self.document)


@dataclass(frozen=True)
class RunPlan:
    """A suite expanded for given hosts. ``workload`` is the checked document; ``sha256`` covers everything else
    here."""

    run_id: str
    suite: str
    seed: int
    sha256: str
    created_utc: str
    workload: Mapping[str, Any]
    groups: Mapping[str, tuple[str, ...]]
    steps: tuple[Step, ...]
    points: tuple[PointSummary, ...]
    samples: tuple[Sample, ...]
    repeats: int
    retry_budget: int
    on_host_failure: str  # abort | retry | drop
    workers: Mapping[str, WorkerEntry]
    continue_on_error: bool = True
    analysis: Mapping[str, Any] = field(default_factory=dict)  # how results are judged: see the suite
    versions: Mapping[str, Mapping[str, Sequence[str]]] = field(default_factory=dict)  # what -> version -> hosts

    @property
    def is_matrix(self) -> bool:
        """Whether pairs of hosts are measured, in rounds."""
        return any(point.pairs for point in self.points)

    def groups_at(self, point: int) -> Mapping[str, tuple[str, ...]]:
        """Who takes part at a point."""
        return self.points[point].groups or self.groups

    @property
    def expected_s(self) -> float | None:
        """Expected seconds in all windows together, None when a point's are unknown."""
        points = [self.points[sample.point] for sample in self.samples]
        each = [None if point.expected_s is None else point.expected_s + point.cool_down_s for point in points]
        return None if None in each else sum(seconds for seconds in each if seconds is not None)

    def same_run(self, other: RunPlan) -> bool:
        """Whether the other plan runs the same samples of the same programs on the same hosts.

        Certificates and dates may differ.
        """

        def essence(plan: RunPlan) -> tuple[Any, ...]:
            places = {name: (entry.address, entry.instance) for name, entry in plan.workers.items()}
            points = [(point.named, point.evidence, point.groups, point.pairs, point.warm_up) for point in plan.points]
            programs = {name: _programs(entry.document) for name, entry in plan.workers.items()}
            return (
                plan.workload,
                plan.groups,
                plan.steps,
                plan.samples,
                points,
                plan.retry_budget,
                plan.on_host_failure,
                places,
                programs,
            )

        return essence(self) == essence(other)

    def sealed(self) -> RunPlan:
        """The same plan with its ``sha256`` filled in."""
        return replace(self, sha256=_digest(to_document(replace(self, sha256=""))))


def to_document(plan: RunPlan) -> dict[str, Any]:
    """The plan as plain JSON data, input files once in ``inputs``."""
    inputs: dict[str, str] = {}
    workers = {}
    for host, entry in plan.workers.items():
        inputs.update(entry.document["inputs"])
        document = {**entry.document, "inputs": sorted(entry.document["inputs"])}
        workers[host] = {**{name: getattr(entry, name) for name in _ENTRY_FIELDS}, "document": document}
    return {
        "schema": SCHEMA,
        **{name: getattr(plan, name) for name in _PLAIN_FIELDS},
        "workload": dict(plan.workload),
        "groups": {name: list(hosts) for name, hosts in plan.groups.items()},
        "steps": [asdict(step) for step in plan.steps],
        "points": [_plain_point(point) for point in plan.points],
        "samples": [asdict(sample) for sample in plan.samples],
        "workers": workers,
        "inputs": inputs,
        "continue_on_error": plan.continue_on_error,
        "analysis": dict(plan.analysis),
        "versions": {what: {each: list(hosts) for each, hosts in of.items()} for what, of in plan.versions.items()},
    }


def _programs(document: Mapping[str, Any]) -> list[Any]:
    """What one host executes at each point, and from which input files."""
    return [
        point
        and [
            [(process["command"], process["sha256"]) for process in point["processes"]],
            {
                name: _without_certificates(document["inputs"].get(sha256, ""))
                for name, sha256 in point["files"].items()
            },
        ]
        for point in document["points"]
    ]


def _without_certificates(text: str) -> Any:
    """A scenario without its certificates, which are made anew for each plan; any other text as it is."""
    try:
        scenario = json.loads(text)
    except ValueError:
        return text
    return {**scenario, "certificates": None, "id": None} if isinstance(scenario, dict) else text


def without_secrets(plan: RunPlan) -> dict[str, Any]:
    """The plan for the record when its run is over: no secret values, no contents of files. It cannot be walked."""
    document = to_document(plan)
    for worker in document["workers"].values():
        worker["document"] = {
            **worker["document"],
            "points": [point and _masked(point) for point in worker["document"]["points"]],
        }
    return {**document, "inputs": {}, "over": True}


def _masked(point: Mapping[str, Any]) -> dict[str, Any]:
    processes = []
    for process in point["processes"]:
        hidden = dict.fromkeys(process["secret_environment"], HIDDEN)
        shown = {name: hidden.get(name, value) for name, value in process["environment"].items()}
        processes.append({**process, "environment": shown})
    return {**point, "processes": processes}


def to_json(plan: RunPlan) -> str:
    return json.dumps(to_document(plan), separators=(",", ":"), allow_nan=False) + "\n"


def from_json(text: str) -> RunPlan:
    """The plan written by :func:`to_json`. Raises SchemaError when it is not one, or was changed since."""
    try:
        document = json.loads(text)
        if document["schema"] != SCHEMA:
            raise SchemaError(("schema",), f"expected {SCHEMA}, got {document['schema']!r:.40}; make the plan again.")
        if document.get("over"):
            raise SchemaError((), "its run is over, and the plan was kept without what it takes to run it.")
        plan = _from_document(document)
        found = _digest({**to_document(plan), "sha256": ""})
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as problem:
        if isinstance(problem, SchemaError):
            raise
        why = ascii(f"{type(problem).__name__}: {problem}"[:200])[1:-1]
        raise SchemaError((), f"this is not a plan of a run ({why}); make it again.") from problem
    if found != plan.sha256:
        raise SchemaError(("sha256",), "the plan was changed after it was made; make it again.")
    return plan


def read(path: Path) -> RunPlan:
    """The plan in this file. Raises OSError; SchemaError also when somebody else may have written it, since hosts will
    execute it."""
    with open(path, encoding="utf-8") as file:
        for found, writers in ((os.fstat(file.fileno()), 0o022), (os.stat(path.parent), 0o002)):
            if found.st_uid not in (os.getuid(), 0) or found.st_mode & writers:
                why = "the plan is refused: it and its folder must be yours, and nobody else's to write."
                raise SchemaError((), why)
        return from_json(file.read())


_PLAIN_FIELDS = ("run_id", "suite", "seed", "sha256", "created_utc", "repeats", "retry_budget", "on_host_failure")
_ENTRY_FIELDS = ("host", "group", "index", "address", "instance", "sha256")


def _plain_point(point: PointSummary) -> dict[str, Any]:
    return {
        "parameters": dict(point.parameters),
        "expected_s": point.expected_s,
        "t0_groups": list(point.t0_groups),
        "max_start_skew_us": point.max_start_skew_us,
        "parsers": dict(point.parsers),
        "receivers": list(point.receivers),
        "evidence": {host: dict(figures) for host, figures in point.evidence.items()},
        **({"groups": {name: list(hosts) for name, hosts in point.groups.items()}} if point.groups else {}),
        **({"pairs": [list(pair) for pair in point.pairs]} if point.pairs else {}),
        **({"test": point.test} if point.test else {}),
        **({"warm_up": True} if point.warm_up else {}),
        **({"cool_down_s": point.cool_down_s} if point.cool_down_s else {}),
        "links": {host: dict(processes) for host, processes in point.links.items()},
    }


def _from_document(document: Mapping[str, Any]) -> RunPlan:
    inputs = document["inputs"]
    workers = {}
    for host, entry in document["workers"].items():
        whole = {**entry["document"], "inputs": {sha256: inputs[sha256] for sha256 in entry["document"]["inputs"]}}
        workers[host] = WorkerEntry(**{name: entry[name] for name in _ENTRY_FIELDS}, document=whole)
    return RunPlan(
        **{name: document[name] for name in _PLAIN_FIELDS},
        workload=document["workload"],
        groups={name: tuple(hosts) for name, hosts in document["groups"].items()},
        steps=tuple(Step(**step) for step in document["steps"]),
        points=tuple(_point_summary(point) for point in document["points"]),
        samples=tuple(Sample(**sample) for sample in document["samples"]),
        workers=workers,
        continue_on_error=document.get("continue_on_error", True),
        analysis=document.get("analysis", {}),
        versions=document.get("versions", {}),
    )


def _point_summary(point: Mapping[str, Any]) -> PointSummary:
    tuples = {
        "t0_groups": tuple(point["t0_groups"]),
        "receivers": tuple(point["receivers"]),
        "groups": {name: tuple(hosts) for name, hosts in point.get("groups", {}).items()},
        "pairs": tuple((client, server) for client, server in point.get("pairs", ())),
    }
    return PointSummary(**{**point, **tuples})


def _digest(document: Mapping[str, Any]) -> str:
    return hashlib.sha256(
        json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")
    ).hexdigest()
