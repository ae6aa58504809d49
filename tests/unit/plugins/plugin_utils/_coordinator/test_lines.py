# SPDX-License-Identifier: GPL-3.0-or-later

"""What the record says of a sample, where that is more than what the walk has decided."""

from __future__ import annotations

from ansible_collections.netbench.orchestrator.plugins.plugin_utils._coordinator import lines
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._coordinator.measured import measure
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._coordinator.walk import Walk

DIED = "the worker died while sample 0 was in state 'running'"
REFUSED = "client exited with status 1"


def said(failures: dict[str, str]) -> str:
    walk = Walk(verdict="failed", culprit="client2", reason=f"in state 'running': {REFUSED}")
    verdict, reason = lines._verdict(walk, {}, failures, measure({}, ("clients",)), None)
    assert verdict == "failed"
    assert reason is not None
    return reason


def test_a_cause_that_is_heard_of_after_its_consequence_is_named_as_well() -> None:
    """A server's worker died; its clients said first that nobody listens there any more."""
    reason = said({"client2": REFUSED, "server2": DIED})
    assert reason == f"client2: in state 'running': {REFUSED}; also server2: {DIED}"


def test_a_failure_of_one_host_says_no_more() -> None:
    assert said({"client2": REFUSED}) == f"client2: in state 'running': {REFUSED}"


def test_many_failures_stay_readable() -> None:
    reason = said({f"client{number}": "x" * 1000 for number in range(500)})
    assert len(reason) < 1000
