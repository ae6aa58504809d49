# SPDX-License-Identifier: GPL-3.0-or-later

"""The barrier by exhaustion: coordinator and workers together, every order of events, with things going wrong."""

from __future__ import annotations

import pytest

from .simulation import Simulation, World


def invariants(simulation: Simulation):
    servers = [i for i, host in enumerate(simulation.hosts) if host.startswith("s")]
    clients = [i for i, host in enumerate(simulation.hosts) if host.startswith("c")]

    def check(world: World, is_end: bool) -> None:
        if world.released & set(clients):
            assert all(world.walk.rank(simulation.hosts[i]) >= 1 for i in servers), (
                "a client is released before every server is observed running"
            )
        assert world.verdicts <= 1, "a sample has more than one verdict"
        if world.walk.verdict == "ok":
            assert all(status.state == "done" and status.phase == "reached" for status in world.workers), (
                "ok, but not every worker is done"
            )
        for status in world.workers:
            assert not (status.state == "done" and status.reason), "done stands for a failed process"
        if world.walk.verdict and world.walk.verdict != "ok":
            assert not world.survey or not world.walk.surveying, "something would be released after an abort"
        if is_end:
            assert world.walk.finished, "somebody waits although nothing can happen any more"
            assert world.verdicts == 1, "a sample without a verdict"

    return check


@pytest.mark.parametrize(
    ("servers", "clients", "faults"),
    [
        (2, 1, {}),
        (1, 2, {}),
        (1, 2, {"failure": 1}),
        (1, 2, {"crash": 1}),
        (2, 1, {"abort": 1}),
        (2, 1, {"duplicate": 1}),
        (1, 1, {"deadline": 1, "failure": 1}),
        (1, 1, {"crash": 1, "abort": 1}),
    ],
)
def test_every_order_of_events_keeps_the_invariants(servers, clients, faults):
    simulation = Simulation(servers, clients, **faults)
    assert simulation.explore(invariants(simulation)) > 50
