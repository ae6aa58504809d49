# SPDX-License-Identifier: GPL-3.0-or-later
"""Links of a workload: who works with whom, with which port, when and on which CPU."""

from __future__ import annotations

import pytest
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._planning import links
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._planning.links import of_point
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._planning.names import Names
from hypothesis import given
from hypothesis import strategies as st


def section(**given_):
    return {"between": ["clients", "servers"], "instances": 1, "pairs": None, "stagger": 0, "cpus": None, **given_}


def groups(clients, servers):
    return {"clients": [f"c{n}" for n in range(clients)], "servers": [f"s{n}" for n in range(servers)]}


def processes(plan, host):
    return plan.workers[host].document["points"][0]["processes"]


@given(st.integers(1, 12), st.integers(1, 12), st.integers(1, 4))
def test_every_host_is_used_and_every_link_has_a_number_of_its_own_at_both_ends(clients, servers, instances):
    found = of_point(section(instances=instances), groups(clients, servers), Names({}, {}))
    assert len(found.links) == max(clients, servers) * instances
    for end, (group, count) in enumerate((("clients", clients), ("servers", servers))):
        for index in range(count):
            own = found.of_member(group, index)
            assert [link.of[end] for link in own] == list(range(len(own)))
            assert own


def test_all_with_all_and_named_pairs():
    every = of_point(section(pairs=["all"]), groups(2, 3), Names({}, {}))
    assert [link.ends for link in every.links] == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]
    named = of_point(section(pairs=["c1>s0", "c0>s1"]), groups(2, 2), Names({}, {}))
    assert [link.ends for link in named.links] == [(1, 0), (0, 1)]


def test_starts_are_staggered_over_all_links_and_cpus_go_round_on_each_host():
    found = of_point(section(instances=3, stagger=2.0, cpus=[4, 6]), groups(2, 1), Names({}, {}))
    assert [link.offset_s for link in found.links] == [0, 2, 4, 6, 8, 10]
    assert [link.cpu for link in found.links] == [4, 6, 4, 4, 6, 4]
    assert found.spread_s == 10


@pytest.mark.parametrize(
    ("pairs", "problem"),
    [
        (["c0-s0"], "expected a pair, like c0>s0, got 'c0-s0'."),
        (["c0>s7"], "there is no host 's7' at this end. Known: s0, s1."),
        (["c0>s0", "c0>s0"], "the pair c0>s0 is there twice; use instances."),
        (["c0>s0"], "without a pair: c1. Take them out of the group, or pair them."),
    ],
)
def test_pairs_that_make_no_sense_are_refused(refused, pairs, problem):
    assert refused(of_point, section(pairs=pairs), groups(2, 2), Names({}, {}))[1] == problem


def test_each_iperf3_client_has_a_server_and_a_port_of_its_own(planning):
    plan = planning.planned("iperf3", servers=1, clients=2, parameters={"instances": 2, "port": 6000})
    ports = [each["command"][each["command"].index("--port") + 1] for each in processes(plan, "s0")]
    assert ports == ["6000", "6001", "6002", "6003"]
    asked = [(each["command"][2], each["command"][4]) for host in ("c0", "c1") for each in processes(plan, host)]
    assert asked == [("10.0.0.0", port) for port in ports]
    running = plan.workers["s0"].document["points"][0]["states"][1]
    assert [str(port["port"]) for port in running["reached"]["ports"]] == ports
    assert plan.points[0].links["c1"] == {
        "client": {"peer": "s0", "instance": 0},
        "client-1": {"peer": "s0", "instance": 1},
    }


def test_a_client_of_three_servers_runs_a_process_for_each(planning):
    plan = planning.planned("iperf3", servers=3, clients=1)
    assert [each["command"][2] for each in processes(plan, "c0")] == ["10.0.0.0", "10.0.0.1", "10.0.0.2"]
    assert [len(processes(plan, f"s{number}")) for number in range(3)] == [1, 1, 1]


def test_a_staggered_start_is_waited_for(planning):
    plan = planning.planned("iperf3", servers=1, clients=2, parameters={"stagger_start": "40s"})
    running, done = plan.workers["c1"].document["points"][0]["states"][1:]
    assert running["deadline_s"] == 70
    assert plan.points[0].expected_s == 50
    assert done["deadline_s"] == 3 * 50 + 35
    assert processes(plan, "c1")[0]["offset_s"] == 40


def test_links_must_reach_who_wants_them(planning, refused):
    workload = planning.shipped("command")
    workload["groups"]["clients"]["processes"]["client"]["per"] = "link"
    path, problem = refused(planning.planned, workload, parameters={"server_command": ["a"], "client_command": ["b"]})
    assert (path[-1], problem) == ("per", "the workload's 'links' do not reach clients.")
    workload["links"] = {"between": ["clients", "severs"]}
    assert "Did you mean 'servers'?" in refused(planning.planned, workload)[1]


def test_placeholders_of_a_link_are_for_processes_that_have_one(planning, refused):
    workload = planning.shipped("iperf3")
    workload["groups"]["clients"]["processes"]["client"]["per"] = "host"
    assert "unknown placeholder ${peer.address}" in refused(planning.planned, workload)[1]


def test_the_limit_of_instances_is_told(refused):
    assert str(links.MOST_INSTANCES) in refused(of_point, section(instances=1001), groups(1, 1), Names({}, {}))[1]
