# SPDX-License-Identifier: GPL-3.0-or-later
"""Which hosts a run may go on without, and which come back."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._coordinator.absence import Absence


def absence(minimum: int = 1) -> Absence:
    """A plan of two servers, which are all needed, and three clients."""
    groups = {
        "servers": {"drop_allowed": False, "hosts": {"minimum": 1}},
        "clients": {"drop_allowed": True, "hosts": {"minimum": minimum}},
    }
    plan: Any = SimpleNamespace(
        workload={"name": "w", "groups": groups}, groups={"servers": ("s1", "s2"), "clients": ("c1", "c2", "c3")}
    )
    return Absence(plan)


@pytest.mark.parametrize(
    ("hosts", "minimum", "objection"),
    [
        ({"c1"}, 1, None),
        ({"c1", "c3"}, 1, None),
        ({"c1", "c2", "c3"}, 1, "c1, c2, c3: 0 clients would be left, and 1 are needed"),
        ({"c2"}, 3, "c2: 2 clients would be left, and 3 are needed"),
        ({"c1", "s2"}, 1, "s2: the workload w makes no sense with fewer servers (drop_allowed)"),
    ],
)
def test_a_group_makes_sense_with_fewer_hosts_or_does_not(hosts: set[str], minimum: int, objection: str | None) -> None:
    assert absence(minimum).objection(hosts) == objection


def test_those_that_are_missing_already_count() -> None:
    here = absence()
    here.drop({"c1": "it burns", "c2": "it floats"}, lost=True)
    assert here.objection({"c3"}) == "c1, c2, c3: 0 clients would be left, and 1 are needed"


def test_a_host_that_was_lost_may_come_back_once_and_one_that_failed_may_not() -> None:
    here = absence()
    here.drop({"c1": "the worker is lost"}, lost=True)
    here.drop({"c2": "exited with status 3"}, lost=False)
    assert here.may_return() == ["c1"]
    here.back("c1")
    assert here.missing == {"c2": "exited with status 3"}
    here.drop({"c1": "the worker is lost"}, lost=True)
    assert here.may_return() == []
