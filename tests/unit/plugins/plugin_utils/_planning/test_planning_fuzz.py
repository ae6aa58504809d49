# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever stands in a workload or a suite: a valid plan, or an error with a place. Never anything else."""

from __future__ import annotations

import copy

from ansible_collections.netbench.orchestrator.plugins.module_utils._protocol import plan as worker_plan
from ansible_collections.netbench.orchestrator.plugins.module_utils._protocol.schema import SchemaError
from hypothesis import event, given, settings
from hypothesis import strategies as st

WORDS = [
    "",
    "x",
    "10s",
    "1MB",
    "tcp",
    "running",
    "${port}",
    "${host.address}",
    "${nothing}",
    "${",
    "$$",
    "0",
    "a/b",
    "\0",
]
SCALARS = st.one_of(
    st.sampled_from(WORDS), st.none(), st.booleans(), st.integers(-2, 2**70), st.floats(), st.text(max_size=5)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS) | st.text(max_size=5), inner),
    max_leaves=5,
)
SUITE = {
    "name": "trial",
    "parameters": {"duration": "1s"},
    "grid": {"port": [1, 2]},
    "repeats": 2,
    "max_start_skew": "1ms",
}


def places(document, path=()):
    """The path of everything in a document."""
    yield path
    if isinstance(document, (dict, list)):
        for key in document if isinstance(document, dict) else range(len(document)):
            yield from places(document[key], (*path, key))


def changed(document, path, value):
    document = copy.deepcopy(document)
    here = document
    for part in path[:-1]:
        here = here[part]
    if not path:
        return value
    here[path[-1]] = value
    return document


@settings(max_examples=80, deadline=None)
@given(data=st.data(), name=st.sampled_from(("netbench", "pynetbench", "command")))
def test_changed_documents(planning, data, name):
    workload, suite = planning.shipped(name), dict(SUITE)
    if name == "command":
        suite["parameters"] = {"server_command": ["s"], "client_command": ["c", "${servers.address}"]}
    for _change in range(data.draw(st.integers(1, 2))):
        value = data.draw(VALUES)
        if data.draw(st.booleans()):
            workload = changed(workload, data.draw(st.sampled_from(sorted(places(workload), key=repr))), value)
        else:
            suite = changed(suite, data.draw(st.sampled_from(sorted(places(suite), key=repr))), value)
    try:
        plan = planning.raw_plan(suite, workload)
    except SchemaError as problem:
        refused = problem
        event("refused")
    else:
        event("planned")
        for entry in plan.workers.values():
            worker_plan.parse(entry.encoded)
        return
    assert refused.problem
    assert refused.path[:1] in ((), ("suite",), ("workload",), ("groups",), ("hosts",))
