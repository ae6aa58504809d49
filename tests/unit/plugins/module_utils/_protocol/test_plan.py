# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans: what a worker accepts, and that everything else is refused with its place."""

from __future__ import annotations

import contextlib
import json

import pytest
from ansible_collections.netbench.orchestrator.plugins.module_utils._protocol import plan
from ansible_collections.netbench.orchestrator.plugins.module_utils._protocol.schema import SchemaError
from hypothesis import given
from hypothesis import strategies as st

INPUT = "scenario"


def document():
    return {
        "schema": 1, "run_id": "run", "suite": "incast", "host": "client1", "group": "clients", "index": 0,
        "points": [
            {
                "processes": [{"name": "client", "command": ["driver", "x"], "environment": {"PORT": "1"}}],
                "states": [
                    {"name": "ready", "reached": {"rule": "prepared"}, "deadline_s": 10},
                    {"name": "running", "entry": "at_t0", "reached": {"rule": "started"}, "deadline_s": 5},
                    {"name": "done", "entry": "by_itself", "reached": {"rule": "stopped"}, "deadline_s": 60},
                ],
                "stop": {"rule": "exit"},
                "files": {"scenario.json": plan.digest(INPUT.encode())},
            }
        ],
        "samples": [0, 0],
        "inputs": {plan.digest(INPUT.encode()): INPUT},
    }  # fmt: skip


def changed(path, value):
    whole = document()
    place = whole
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = value
    return whole


def test_a_plan_survives_its_encoding():
    encoded = plan.encode(document())
    known = plan.parse(encoded)
    assert plan.encode(json.loads(encoded)) == encoded
    assert known.point(1).launch.name == "running"
    assert known.point(0).stop.by_itself
    assert known.points[0].processes[0].success == (0,)


STATE = ("points", 0, "states")


@pytest.mark.parametrize(
    ("path", "value", "problem"),
    [
        (("schema",), 2, "schema: expected at most 1, got 2."),
        (("run_id",), "../x", "run_id: expected letters"),
        (("samples",), [1], "samples[0]: there is no point 1."),
        (("samples",), [], "samples: expected 1 to"),
        (("inputs",), {}, "points[0].files.scenario.json: its content is not among the inputs."),
        (("inputs", plan.digest(INPUT.encode())), "other", "the content has another hash."),
        (("points", 0, "files"), {"../x": plan.digest(INPUT.encode())}, "points[0].files.../x: expected letters"),
        (("points", 0, "outputs"), ["a/b"], "points[0].outputs[0]: expected letters"),
        (("points", 0, "processes", 0, "name"), "../x", "points[0].processes[0].name: expected letters"),
        (("points", 0, "processes", 0, "environment"), {"A=B": "x"}, "expected the name of a variable"),
        (("points", 0, "processes", 0, "environment"), {"A": "x\0"}, "a NUL character is not allowed"),
        ((*STATE, 0, "name"), "warm", "the first state must be 'ready'"),
        ((*STATE, 1, "name"), "done", "named twice or reserved"),
        ((*STATE, 1, "name"), "failed", "named twice or reserved"),
        ((*STATE, 1, "reached"), {"rule": "stopped"}, "the rule 'stopped' does not fit the state 'running'."),
        ((*STATE, 1, "reached"), {"rule": "listening", "ports": [{"port": 1}]}, "entered at T0, with rule 'started'"),
        ((*STATE, 2, "entry"), "at_t0", "only the state after 'ready' can be entered at T0"),
        ((*STATE, 1, "reached"), {"rule": "line", "file": "x", "pattern": "("}, "is not a regular expression"),
        (("points", 0, "files"), {"seal.json": plan.digest(INPUT.encode())}, "the worker writes a file of this name"),
        (("points", 0, "files"), {"client.stdout": plan.digest(INPUT.encode())}, "the worker writes a file of this"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_with_its_place(path, value, problem):
    with pytest.raises(SchemaError) as caught:
        plan.build(changed(path, value))
    assert problem in str(caught.value)


def test_two_processes_of_one_name_are_refused():
    process = document()["points"][0]["processes"][0]
    with pytest.raises(SchemaError, match="two processes are named 'client'"):
        plan.build(changed(("points", 0, "processes"), [process, process]))


@pytest.mark.parametrize("encoded", [b"", b"[]", b"null", b"\xff", b"[" * 100_000, b'{"schema":1' + b"0" * 5000 + b"}"])
def test_what_is_no_plan_is_refused(encoded):
    with pytest.raises(SchemaError):
        plan.parse(encoded)


VALUES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.lists(st.integers(), max_size=2)
)


def places(value, path=()):
    if path:
        yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inner:
        yield from places(each, (*path, key))


@given(st.sampled_from(list(places(document()))), VALUES)
def test_a_plan_with_anything_changed_is_whole_or_refused(path, value):
    with contextlib.suppress(SchemaError):
        known = plan.build(changed(path, value))
        points = [known.point(sample) for sample in range(len(known.samples))]
        assert all(point is None or point.names[-1] == "done" for point in points)  # None: it has no part in it
