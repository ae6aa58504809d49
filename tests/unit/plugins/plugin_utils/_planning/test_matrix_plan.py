# SPDX-License-Identifier: GPL-3.0-or-later
"""A matrix in a plan: each round is a point of its own, with its own hosts, and nobody else has a part in it."""

from __future__ import annotations

import itertools
import time

import pytest
from ansible_collections.netbench.orchestrator.plugins.module_utils._protocol import machine
from ansible_collections.netbench.orchestrator.plugins.module_utils._protocol import plan as worker_plan
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._planning import plan as plans
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._planning.table import describe

LINKED = {"pairs": {"type": "list", "default": None, "description": "Who works with whom."}}


def server_of(plan, client, point):
    """The address that a client is told at a point."""
    command = plan.workers[client].document["points"][point]["processes"][0]["command"]
    return command[command.index("-c") + 1]


def test_every_pair_once_and_each_client_with_the_server_of_its_pair(planning):
    plan = planning.planned("command", servers=3, clients=4, matrix="isolated")
    addresses = {name: entry.address for name, entry in plan.workers.items()}
    pairs = [pair for point in plan.points for pair in point.pairs]
    assert sorted(pairs) == sorted(itertools.product(plan.groups["clients"], plan.groups["servers"]))
    assert len(plan.points) == len(plan.samples) == 4
    for number, point in enumerate(plan.points):
        assert plan.groups_at(number) == point.groups
        taking_part = {host for pair in point.pairs for host in pair}
        for name, entry in plan.workers.items():
            assert (entry.document["points"][number] is not None) == (name in taking_part)
        for client, server in point.pairs:
            assert server_of(plan, client, number) == addresses[server]
    for entry in plan.workers.values():
        assert worker_plan.parse(entry.encoded).points.count(None) == entry.document["points"].count(None)
    assert plans.from_json(plans.to_json(plan)) == plan
    assert plan.same_run(plans.from_json(plans.to_json(plan)))
    assert plans.without_secrets(plan)["points"][0]["pairs"]


def test_hosts_that_are_both_change_their_role_from_round_to_round(planning):
    groups = {"clients": ["h0", "h1", "h2"], "servers": ["h0", "h1", "h2"]}
    hosts = {name: planning.host(name, number) for number, name in enumerate(groups["clients"])}
    plan = planning.planned("command", groups=groups, hosts=hosts, matrix={"mode": "isolated"})
    assert sorted(plan.workers) == ["h0", "h1", "h2"]
    assert sorted(pair for point in plan.points for pair in point.pairs) == sorted(itertools.permutations(hosts, 2))
    states = {point and point["stop"]["rule"] for point in plan.workers["h0"].document["points"]}
    assert states == {"exit", "signal", None}


def test_modes_and_grid(planning):
    grid = {"duration": ["1s", "2s"]}
    plan = planning.planned("command", servers=2, clients=2, matrix="sequential", grid=grid, repeats=3)
    assert (len(plan.points), len(plan.samples)) == (2 * 4, 2 * 4 * 3)
    assert plan.expected_s == 4 * 3 * (1 + 2)
    lines = describe(plan, commands=True)
    assert "  matrix: 4 pairs in 4 rounds, one at a time" in lines
    assert any("c0>s1" in line for line in lines)
    isolated = describe(planning.planned("command", servers=2, clients=3, matrix="isolated"), commands=False)
    assert "  matrix: 6 pairs in 3 rounds, up to 2 at a time" in isolated


def test_together_is_for_workloads_that_can_be_told_the_pairs(planning, refused):
    path, problem = refused(planning.planned, "command", matrix="together")
    assert path == ("suite", "matrix")
    assert "has no parameter 'pairs'" in problem
    workload = planning.shipped("command")
    workload["parameters"] |= LINKED
    plan = planning.planned(workload, servers=2, clients=2, matrix="together", parameters={
        "server_command": ["true"], "client_command": ["true"],
    })  # fmt: skip
    assert len(plan.samples) == 1
    assert plan.points[0].parameters["pairs"] == ["c0>s0", "c0>s1", "c1>s0", "c1>s1"]


def test_a_mode_or_group_that_is_not_there_is_refused(planning, refused):
    path, problem = refused(planning.planned, "command", matrix="isolatd")
    assert path == ("suite", "matrix", "mode")
    assert problem.endswith("Did you mean 'isolated'?")
    path, problem = refused(planning.planned, "command", matrix={"clients": "load"})
    assert "a matrix needs one of clients and one of servers" in problem
    hosts = {"h0": planning.host("h0", 0)}
    path, problem = refused(
        planning.planned, "command", groups={"clients": ["h0"], "servers": ["h0"]}, hosts=hosts, matrix="isolated"
    )
    assert "h0 would be client and server of the same pair" in problem


def test_a_worker_takes_later_attempts_of_earlier_samples_in_a_matrix_only(planning):
    def enters(plan, host, first, second):
        point = worker_plan.parse(plan.workers[host].encoded).points
        parsed = next(each for each in point if each)
        status = machine.Status(*first, state="done", phase=machine.ENDED)
        return machine.step(status, machine.Enter(*second, "ready"), parsed)[1][0]

    rounds = planning.planned("command", matrix="sequential")
    assert isinstance(enters(rounds, "c0", (5, 1), (3, 2)), machine.Prepare)
    assert enters(rounds, "c0", (3, 2), (5, 1)).kind == "refused"
    plain = planning.planned("command")
    assert enters(plain, "c0", (5, 1), (3, 2)).kind == "refused"
    assert isinstance(enters(plain, "c0", (3, 2), (5, 1)), machine.Prepare)


def test_a_hundred_clients_and_ten_servers_are_planned_within_a_second(planning):
    began = time.process_time()  # others may use this machine too
    plan = planning.planned("command", servers=10, clients=100, matrix="isolated")
    assert time.process_time() - began < 1.0
    assert (len(plan.points), sum(len(point.pairs) for point in plan.points)) == (100, 1000)


@pytest.mark.parametrize("mode", ["isolated", "sequential"])
def test_the_seed_decides_the_order_of_rounds(planning, mode):
    first = planning.planned("command", servers=3, clients=3, matrix=mode, seed=1)
    again = planning.planned("command", servers=3, clients=3, matrix=mode, seed=1)
    other = planning.planned("command", servers=3, clients=3, matrix=mode, seed=2)
    assert first == again
    assert [first.points[s.point].pairs for s in first.samples] != [other.points[s.point].pairs for s in other.samples]
