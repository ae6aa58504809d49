# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A workload document: checked whole before anything is planned with it. Private to this collection.

What a workload says, key by key, is in ``docs/workloads.md``. A checked workload is plain data with every default
filled in; texts still hold their placeholders. :func:`check` also finds, in every text, placeholders that nothing can
ever resolve, so that a slip shows when the workload is loaded and not when a rarely used branch is planned.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path as FilePath
from typing import Any

from ...module_utils._protocol import schema
from ...module_utils._protocol.plan import NAME, RESERVED_STATES, STATE
from ...module_utils._protocol.schema import (
    Path,
    Record,
    SchemaError,
    boolean,
    choice,
    integer,
    list_of,
    mapping_of,
    optional,
    text,
)
from . import placeholders
from .parameters import PARAMETER, PARAMETER_NAME, check_declarations

FOLDER = FilePath(__file__).parent / "workloads"
GROUP_NAME = text(pattern=r"[a-z][a-z0-9_]{0,39}", expected="a lower-case word")
NAMESPACES = (
    "host",
    "each",
    "worker",
    "scenario",
    "link",
    "links",
    "peer",
)  # of placeholders; no group may have such a name

TEXT = text()


def _number(value: Any, path: Path) -> Any:
    """A number as it is: a whole one stays whole."""
    schema.number()(value, path)
    return value


def _data(value: Any, path: Path) -> Any:
    """What JSON can hold, and so a plan: no dates, no infinity, nothing without end."""
    if len(path) > 50:
        raise SchemaError(path, "is nested too deeply.", value)
    if isinstance(value, Mapping):
        return mapping_of(_data)(value, path)
    if isinstance(value, (list, tuple)):
        return list_of(_data)(value, path)
    return value if value is None or isinstance(value, (str, bool)) else _number(value, path)


SCALAR = schema.either(text=TEXT, number=_number, boolean=boolean)  # resolved and checked at each point
WORD = schema.either(text=TEXT, mapping=Record(tool=TEXT))
COMMAND = list_of(WORD, minimum=1, maximum=1000)
ENVIRONMENT = mapping_of(SCALAR)

REACHED = schema.variant(
    "rule",
    started=Record(),
    listening=Record(ports=(optional(list_of(NAME, minimum=1)), None)),  # null: all ports of the group
    line=Record(file=TEXT, pattern=TEXT),
    probe=Record(command=COMMAND, period=(SCALAR, "100ms")),
)
INNER_STATE = Record(entry=(choice("at_once", "at_t0"), "at_once"), reached=REACHED, deadline=(optional(SCALAR), None))
END_STATE = Record(deadline=(optional(SCALAR), None))  # ready and done: only their deadline can be chosen


def _states(value: Any, path: Path) -> dict[str, Any]:
    """The states of a group, complete and in order: ``ready``, the workload's own (default ``running``), ``done``."""
    given = mapping_of(schema.anything, key=STATE, maximum=50)(value, path)
    for name in given:
        if name in RESERVED_STATES:
            raise SchemaError((*path, name), f"{name!r} is what a sample comes to, no state to enter.", name)
    ends = {name: END_STATE(given.get(name, {}), (*path, name)) for name in ("ready", "done")}
    inner = {name: INNER_STATE(state, (*path, name)) for name, state in given.items() if name not in ends}
    if not inner:
        inner = {"running": INNER_STATE({"reached": {"rule": "started"}}, path)}
    return {"ready": ends["ready"], **inner, "done": ends["done"]}


PROCESS = Record(
    command=COMMAND,
    environment=(ENVIRONMENT, dict),
    environment_for_each=(mapping_of(mapping_of(SCALAR), key=GROUP_NAME), dict),
    secret_environment=(list_of(TEXT), list),
    cpus=(schema.either(text=TEXT, list=list_of(integer(minimum=0)), nothing=schema.anything), None),
    priority=(optional(SCALAR), None),
    offset=(SCALAR, 0),
    success=(list_of(integer(minimum=0, maximum=255), minimum=1), lambda: [0]),
    per=(choice("host", "link"), "host"),  # once, or once for each of the host's links
)

GROUP = Record(
    hosts=(
        Record(minimum=(integer(minimum=1), 1), maximum=(optional(integer(minimum=1)), None)),
        lambda: {"minimum": 1, "maximum": None},
    ),
    ports=(
        mapping_of(Record(number=SCALAR, protocol=(TEXT, "tcp"), per=(choice("host", "link"), "host")), key=NAME),
        dict,
    ),
    processes=mapping_of(PROCESS, key=NAME),
    states=(_states, lambda: _states({}, ())),
    stop=(
        schema.variant(
            "rule",
            exit=Record(signal=(TEXT, "TERM"), grace=(SCALAR, "5s")),
            signal=Record(signal=(TEXT, "TERM"), grace=(SCALAR, "5s"), after=(optional(SCALAR), None)),
        ),
        lambda: {"rule": "exit", "signal": "TERM", "grace": "5s"},
    ),
    prepare=(list_of(Record(command=COMMAND, undo=(optional(COMMAND), None))), list),
    files=(mapping_of(schema.either(text=TEXT, mapping=Record(**{"from": TEXT})), key=NAME), dict),
    outputs=(list_of(TEXT), list),
    parser=(optional(NAME), None),
    interface=(optional(TEXT), None),
    sampler_period=(optional(SCALAR), "1s"),
    output_limit=(SCALAR, "64MiB"),
    drop_allowed=(boolean, False),
)

STEPS = list_of(Record(group=GROUP_NAME, state=STATE), minimum=1)

SCENARIO = Record(
    servers=(GROUP_NAME, "servers"),
    clients=(GROUP_NAME, "clients"),
    driver=TEXT,
    multiplex=(SCALAR, False),
    generator=(TEXT, "incast"),
    parameters=(mapping_of(SCALAR), dict),
    file=(optional(TEXT), None),  # the user's own scenario, instead of a generated one
    certificates=(SCALAR, "auto"),
    expected_rate=(optional(SCALAR), None),  # of one host's network: for the expected duration
)

CASE = text(maximum=200)  # a value as text; "" is that of a parameter without one

LINKS = Record(
    between=list_of(GROUP_NAME, minimum=2, maximum=2),
    instances=(SCALAR, 1),
    pairs=(schema.either(text=TEXT, list=list_of(TEXT), nothing=schema.anything), None),
    stagger=(SCALAR, 0),
    cpus=(schema.either(text=TEXT, list=list_of(integer(minimum=0)), nothing=schema.anything), None),
)

WORKLOAD = Record(
    schema=(integer(minimum=1, maximum=1), 1),
    name=NAME,
    description=(text(), ""),
    parameters=(mapping_of(PARAMETER, key=PARAMETER_NAME), dict),
    derived=(
        mapping_of(
            Record(**{"from": PARAMETER_NAME, "values": mapping_of(_data, key=CASE), "otherwise": _data}),
            key=PARAMETER_NAME,
        ),
        dict,
    ),
    groups=mapping_of(GROUP, key=GROUP_NAME, maximum=100),
    receivers=(list_of(GROUP_NAME), list),
    steps=(optional(STEPS), None),
    scenario=(optional(SCENARIO), None),
    links=(optional(LINKS), None),
    expected_duration=(optional(schema.either(text=TEXT, number=schema.number(minimum=0), list=list_of(SCALAR))), None),
    max_start_skew=(optional(SCALAR), None),
)


def shipped() -> dict[str, FilePath]:
    """The files of the collection's own workloads, by name."""
    return {path.stem: path for path in sorted(FOLDER.glob("*.yml"))}


def check(document: Any, path: Path = ("workload",)) -> dict[str, Any]:
    """The workload with defaults filled in. Raises SchemaError with the place of what is wrong."""
    workload: dict[str, Any] = WORKLOAD(document, path)
    check_declarations(workload["parameters"], (*path, "parameters"))
    groups = workload["groups"]
    if not groups:
        raise SchemaError((*path, "groups"), "at least one group is needed.", workload["groups"])
    for name, group in groups.items():
        _check_group(name, group, groups, (*path, "groups", name))
    for position, name in enumerate(workload["receivers"]):
        _known_group(name, groups, (*path, "receivers", position))
    linked = workload["links"]["between"] if workload["links"] else ()
    for position, name in enumerate(linked):
        _known_group(name, groups, (*path, "links", "between", position))
    if linked and linked[0] == linked[1]:
        raise SchemaError((*path, "links", "between"), "links lead from one group to another.", linked)
    for name, group in groups.items():
        _check_per(name, group, linked, (*path, "groups", name))
    if workload["scenario"]:
        for role in ("servers", "clients"):
            _known_group(workload["scenario"][role], groups, (*path, "scenario", role))
    if workload["steps"] is not None:
        check_steps(workload["steps"], groups, (*path, "steps"))
    placeholders.check(workload, path)
    return workload


def _check_group(name: str, group: Mapping[str, Any], groups: Mapping[str, Any], path: Path) -> None:
    if name in NAMESPACES:
        raise SchemaError(path, f"{name!r} is a word of the placeholders; give the group another name.", name)
    if not group["processes"]:
        raise SchemaError((*path, "processes"), "at least one process is needed.", group["processes"])
    least, most = group["hosts"]["minimum"], group["hosts"]["maximum"]
    if most is not None and most < least:
        raise SchemaError((*path, "hosts", "maximum"), f"is below the minimum of {least}.", most)
    for position, (state, rules) in enumerate(group["states"].items()):
        reached = rules.get("reached", {})
        here = (*path, "states", state)
        if rules.get("entry") == "at_t0" and (position != 1 or reached["rule"] != "started"):
            problem = "only the first state after 'ready' can be entered at T0, and its rule must be 'started'."
            raise SchemaError((*here, "entry"), problem, rules["entry"])
        if reached.get("rule") == "listening":
            for place, port in enumerate(reached["ports"] or ()):
                if port not in group["ports"]:
                    problem = f"the group has no port {port!r}.{schema.suggestion(port, list(group['ports']))}"
                    raise SchemaError((*here, "reached", "ports", place), problem, port)
            if not group["ports"]:
                raise SchemaError(
                    (*here, "reached"), "the group has no ports to listen on; name them in 'ports'.", reached
                )
    for process_name, process in group["processes"].items():
        for other in process["environment_for_each"]:
            _known_group(other, groups, (*path, "processes", process_name, "environment_for_each", other))


def _check_per(name: str, group: Mapping[str, Any], linked: Sequence[str], path: Path) -> None:
    for kind in ("ports", "processes"):
        for each, declared in group[kind].items():
            if declared["per"] == "link" and name not in linked:
                problem = f"the workload's 'links' do not reach {name}."
                raise SchemaError((*path, kind, each, "per"), problem, declared["per"])


def _known_group(name: str, groups: Mapping[str, Any], path: Path) -> None:
    if name not in groups:
        raise SchemaError(path, f"the workload has no group {name!r}.{schema.suggestion(name, list(groups))}", name)


def check_steps(steps: list[dict[str, str]], groups: Mapping[str, Any], path: Path) -> None:
    """Every group passes through its states once, in their order, from ``ready`` to ``done``."""
    for position, step in enumerate(steps):
        _known_group(step["group"], groups, (*path, position, "group"))
    for name, group in groups.items():
        expected = list(group["states"])
        taken = [(position, step["state"]) for position, step in enumerate(steps) if step["group"] == name]
        for place, (position, state) in enumerate(taken):
            if state not in expected:
                problem = f"{name} have no state {state!r}.{schema.suggestion(state, expected)}"
                raise SchemaError((*path, position, "state"), problem, state)
            if place >= len(expected) or state != expected[place]:
                problem = f"the states of {name} come in the order {', '.join(expected)}, each once."
                raise SchemaError((*path, position, "state"), problem, state)
        if len(taken) < len(expected):
            raise SchemaError(path, f"the state {expected[len(taken)]!r} of {name} is missing.", steps)


def default_steps(groups: Mapping[str, Any]) -> list[dict[str, str]]:
    """All ready; then up, group by group, those that start at T0 last; then down, last first, those that are ended
    last.

    So for servers and clients: both ready, servers running, clients running, clients done, servers done.
    """
    at_t0 = [name for name, group in groups.items() if starts_at_t0(group)]
    up = [name for name in groups if name not in at_t0] + at_t0
    ended = [name for name, group in groups.items() if not ends_by_itself(group)]
    down = [name for name in reversed(list(groups)) if name not in ended] + list(reversed(ended))
    return [
        *({"group": name, "state": "ready"} for name in groups),
        *({"group": name, "state": state} for name in up for state in list(groups[name]["states"])[1:-1]),
        *({"group": name, "state": "done"} for name in down),
    ]


def starts_at_t0(group: Mapping[str, Any]) -> bool:
    return any(state.get("entry") == "at_t0" for state in group["states"].values())


def ends_by_itself(group: Mapping[str, Any]) -> bool:
    return group["stop"]["rule"] == "exit" or group["stop"]["after"] is not None
