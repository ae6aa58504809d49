# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts that cannot be attached to: all of them are named; of a matrix they are left out."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._coordinator import fleet as fleets
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._coordinator.errors import (
    CoordinatorError,
    HostError,
)


@pytest.fixture
def opened(monkeypatch):
    def opened(broken, *, all_needed):
        async def deliver(self, endpoint):
            if endpoint.host in broken:
                raise HostError(endpoint.host, "no route")

        async def nothing(*arguments):
            return None

        monkeypatch.setattr(fleets.Joining, "deliver", deliver)
        monkeypatch.setattr(fleets.Fleet, "_attach", nothing)
        monkeypatch.setattr(fleets.remote, "hush", nothing)
        hosts = {name: SimpleNamespace(host=name, speaks=False) for name in ("a", "b", "c")}
        fleet = fleets.Fleet(
            run_id="r",
            coordinator="c",
            endpoints=hosts,
            plans={},
            lease_s=1.0,
            on_event=lambda host, kind, message: None,
            may_take_over=lambda run_id: False,
        )
        return asyncio.run(fleet.open(all_needed=all_needed))

    return opened


def test_every_host_that_failed_is_named(opened):
    with pytest.raises(CoordinatorError, match=r"2 of 3 hosts cannot take part:\n  a, b: no route"):
        opened({"a", "b"}, all_needed=True)


def test_a_matrix_goes_on_with_those_that_are_there(opened):
    assert opened({"b"}, all_needed=False) == {"b": "no route"}
    assert opened(set(), all_needed=True) == {}
    with pytest.raises(CoordinatorError, match="3 of 3 hosts"):
        opened({"a", "b", "c"}, all_needed=False)
