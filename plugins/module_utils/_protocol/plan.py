# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The plan of one worker: everything it will run, decided before a host is touched. Private to this collection.

A plan is JSON. ``points`` are the grid points (processes, states, files), ``samples`` names for each sample, in
order, its point; so a suite of 200 samples stays small. A point that is null has no part for this worker: it is not
asked for anything in its samples. ``inputs`` holds file contents by their sha256. The worker
checks a plan with :func:`parse` before it stores it, and again before it uses it; the coordinator checks what it is
about to send.

States of a point are ordered: ``ready`` first, ``done`` last. The processes are made and held at their gates in
``ready``, released in the state after it (at T0, or at once), and gone when ``done`` is reached.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from . import schema
from .schema import Record, SchemaError, choice, integer, list_of, mapping_of, number, optional, text

SCHEMA = 1
LIMIT_BYTES = 64 * 1024 * 1024

NAME = text(pattern=r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}", expected="letters, digits, '_', '.', '-'")
STATE = text(pattern=r"[a-z][a-z0-9_]{0,39}", expected="a lower-case word")
SHA256 = text(pattern=r"[0-9a-f]{64}", expected="a sha256 in hex")
COMMAND = list_of(text(), minimum=1, maximum=1000)
ENVIRONMENT = mapping_of(
    text(), key=text(pattern=r"[A-Za-z_][A-Za-z0-9_]*", expected="the name of a variable", maximum=200)
)
SECONDS = number(minimum=0.001, maximum=7 * 86400)
SIGNAL = choice("TERM", "INT", "HUP", "QUIT", "USR1", "USR2", "KILL")


def _expression(value: Any, path: schema.Path) -> str:
    """A regular expression of Python's ``re``."""
    pattern: str = text(minimum=1, maximum=1000)(value, path)
    try:
        re.compile(pattern)
    except (re.error, RecursionError) as problem:
        raise SchemaError(path, f"is not a regular expression: {problem}.", value) from problem
    return pattern


PORT = Record(
    port=integer(minimum=1, maximum=65535),
    protocol=(choice("tcp", "udp"), "tcp"),
    address=(optional(text(maximum=100)), None),
)

REACHED = schema.variant(
    "rule",
    prepared=Record(),  # files placed, binaries checked, processes held at their gates
    started=Record(),  # every process has executed its program
    listening=Record(ports=list_of(PORT, minimum=1)),  # observed, and owned by the sample's processes
    line=Record(file=NAME, pattern=_expression),  # a line of that file matches (re.search)
    probe=Record(command=COMMAND, period_s=(SECONDS, 0.1)),  # this command exits 0
    stopped=Record(),  # processes ended as they should, none is left, outputs sealed
)

STATE_RECORD = Record(
    name=STATE,
    entry=(choice("at_once", "at_t0", "by_itself"), "at_once"),
    reached=REACHED,
    deadline_s=SECONDS,
)

PROCESS = Record(
    name=NAME,
    command=COMMAND,
    environment=(ENVIRONMENT, dict),
    secret_environment=(list_of(text(maximum=200)), list),  # names whose values never leave the plan
    sha256=(optional(SHA256), None),  # of the program's file, when it is known
    offset_s=(number(minimum=0, maximum=86400), 0.0),  # start this long after T0
    # These two are favours: a host that does not grant one says so in the facts, and the process starts without.
    cpus=(optional(list_of(integer(minimum=0, maximum=65535), minimum=1)), None),
    priority=(optional(integer(minimum=1, maximum=99)), None),  # real-time (SCHED_FIFO)
    success=(list_of(integer(minimum=0, maximum=255)), lambda: [0]),  # exit statuses that count as success
    peer=(optional(PORT), None),  # the server that it talks to: when it fails, can that be reached at all?
)

STOP = Record(
    rule=choice("exit", "signal"),  # the processes end by themselves, or the worker ends them
    signal=(SIGNAL, "TERM"),
    grace_s=(number(minimum=0, maximum=600), 5.0),  # from the signal to SIGKILL
    after_s=(optional(SECONDS), None),  # rule signal: end them this long after T0 without being asked
)

PREPARE = Record(command=COMMAND, undo=(optional(COMMAND), None))

POINT = Record(
    processes=list_of(PROCESS, minimum=1, maximum=1000),
    states=list_of(STATE_RECORD, minimum=3, maximum=50),
    stop=STOP,
    prepare=(list_of(PREPARE), list),
    files=(mapping_of(SHA256, key=NAME), dict),  # name in the sample's directory -> input
    outputs=(list_of(NAME), list),  # files that must exist at the end
    output_limit_bytes=(integer(minimum=1), 64 * 1024 * 1024),  # for each of stdout and stderr
    interface=(optional(NAME), None),  # for the sampler's counters; default: the one of the default route
    sampler_period_s=(optional(number(minimum=0.1, maximum=60)), 1.0),  # null: no sampler
    retries=(
        choice("at_once", "later"),
        "at_once",
    ),  # later: of all samples first the first attempts, then the second …
)

PLAN = Record(
    schema=integer(minimum=SCHEMA, maximum=SCHEMA),
    run_id=NAME,
    suite=NAME,
    host=text(minimum=1, maximum=200),
    group=text(minimum=1, maximum=200),
    index=integer(minimum=0),
    points=list_of(optional(POINT), minimum=1),
    samples=list_of(integer(minimum=0), minimum=1, maximum=1_000_000),
    inputs=(mapping_of(text(maximum=LIMIT_BYTES), key=SHA256), dict),
)


@dataclass(frozen=True)
class Process:
    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    secret_environment: tuple[str, ...]
    sha256: str | None
    offset_s: float
    cpus: tuple[int, ...] | None
    priority: int | None
    success: tuple[int, ...]
    peer: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class State:
    name: str
    entry: str  # at_once | at_t0 | by_itself
    reached: Mapping[str, Any]  # {"rule": …, …}
    deadline_s: float


@dataclass(frozen=True)
class Stop:
    rule: str  # exit | signal
    signal: str
    grace_s: float
    after_s: float | None

    @property
    def by_itself(self) -> bool:
        """``done`` comes without being asked for: the processes exit, or the worker ends them after ``after_s``."""
        return self.rule == "exit" or self.after_s is not None


@dataclass(frozen=True)
class Point:
    processes: tuple[Process, ...]
    states: tuple[State, ...]
    stop: Stop
    prepare: tuple[Mapping[str, Any], ...]
    files: Mapping[str, str]
    outputs: tuple[str, ...]
    output_limit_bytes: int
    interface: str | None
    sampler_period_s: float | None
    retries: str = "at_once"

    def state(self, name: str) -> State:
        return next(state for state in self.states if state.name == name)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(state.name for state in self.states)

    @property
    def launch(self) -> State:
        """The state that releases the processes: the one after ``ready``."""
        return self.states[1]


@dataclass(frozen=True)
class Plan:
    run_id: str
    suite: str
    host: str
    group: str
    index: int
    points: tuple[Point | None, ...]
    samples: tuple[int, ...]
    inputs: Mapping[str, str]

    def point(self, sample: int) -> Point | None:
        """None when this worker has no part in the sample."""
        return self.points[self.samples[sample]]


def encode(document: Mapping[str, Any]) -> bytes:
    """The canonical bytes of a plan: what is hashed, sent and stored."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")


def digest(encoded: bytes) -> str:
    return hashlib.sha256(encoded).hexdigest()


def parse(encoded: bytes) -> Plan:
    """A plan from its bytes. Raises SchemaError with the place of what is wrong."""
    if len(encoded) > LIMIT_BYTES:
        raise SchemaError((), f"a plan of {len(encoded)} bytes is over the limit of {LIMIT_BYTES}.")
    try:
        document = json.loads(encoded.decode("utf-8"))
    except (ValueError, RecursionError) as problem:
        raise SchemaError((), f"a plan must be JSON ({type(problem).__name__}).") from problem
    return build(document)


def build(document: Mapping[str, Any]) -> Plan:
    """A plan from its JSON document, checked whole."""
    checked = PLAN(document, ())
    for sha256, content in checked["inputs"].items():
        if digest(content.encode("utf-8", "surrogatepass")) != sha256:
            raise SchemaError(("inputs", sha256), "the content has another hash.")
    points = tuple(
        point and _point(point, checked["inputs"], ("points", i)) for i, point in enumerate(checked["points"])
    )
    for position, index in enumerate(checked["samples"]):
        if index >= len(points):
            raise SchemaError(("samples", position), f"there is no point {index}.", index)
    return Plan(
        run_id=checked["run_id"],
        suite=checked["suite"],
        host=checked["host"],
        group=checked["group"],
        index=checked["index"],
        points=points,
        samples=tuple(checked["samples"]),
        inputs=checked["inputs"],
    )


def _point(record: dict[str, Any], inputs: Mapping[str, str], path: schema.Path) -> Point:
    states = tuple(State(**state) for state in record["states"])
    _check_states(states, (*path, "states"))
    taken = {f"{process['name']}.{kind}" for process in record["processes"] for kind in ("stdout", "stderr")}
    for name, sha256 in record["files"].items():
        if name in taken or name in RESERVED_FILES:
            raise SchemaError((*path, "files", name), "the worker writes a file of this name itself.", name)
        if sha256 not in inputs:
            raise SchemaError((*path, "files", name), "its content is not among the inputs.", name)
    names = [process["name"] for process in record["processes"]]
    for name in names:
        if names.count(name) > 1:
            raise SchemaError((*path, "processes"), f"two processes are named {name!r}.", name)
    return Point(
        processes=tuple(
            Process(
                name=process["name"],
                command=tuple(process["command"]),
                environment=process["environment"],
                secret_environment=tuple(process["secret_environment"]),
                sha256=process["sha256"],
                offset_s=process["offset_s"],
                cpus=tuple(process["cpus"]) if process["cpus"] is not None else None,
                priority=process["priority"],
                success=tuple(process["success"]),
                peer=process["peer"],
            )
            for process in record["processes"]
        ),
        states=states,
        stop=Stop(**record["stop"]),
        prepare=tuple(record["prepare"]),
        files=record["files"],
        outputs=tuple(record["outputs"]),
        output_limit_bytes=record["output_limit_bytes"],
        interface=record["interface"],
        sampler_period_s=record["sampler_period_s"],
        retries=record["retries"],
    )


def _check_states(states: tuple[State, ...], path: schema.Path) -> None:
    names = [state.name for state in states]
    if names[0] != "ready" or names[-1] != "done":
        raise SchemaError(path, "the first state must be 'ready' and the last 'done', got {}.".format(", ".join(names)))
    for position, state in enumerate(states):
        here = (*path, position)
        if state.name in RESERVED_STATES or names.count(state.name) > 1:
            raise SchemaError(here, f"the state {state.name!r} is named twice or reserved.", state.name)
        rule = state.reached["rule"]
        if (rule == "prepared") != (state.name == "ready") or (rule == "stopped") != (state.name == "done"):
            raise SchemaError((*here, "reached"), f"the rule {rule!r} does not fit the state {state.name!r}.")
        if state.entry == "at_t0" and (position != 1 or rule != "started"):
            raise SchemaError(
                (*here, "entry"), "only the state after 'ready' can be entered at T0, with rule 'started'."
            )


RESERVED_FILES = ("seal.json", "sampler.jsonl", "prepare.log")
RESERVED_STATES = ("idle", "failed", "aborted")
