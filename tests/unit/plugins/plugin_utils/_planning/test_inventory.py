# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From variables of the inventory to hosts and groups."""

from __future__ import annotations

import pytest
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._planning import inventory

GROUPS = {
    "all": ["s1", "s2", "c1", "c2", "far"],
    "servers": ["s1", "s2"],
    "clients": ["c1", "c2"],
    "edge": ["s2", "c2", "far"],
}
HERE = ["s1", "s2", "c1", "c2"]


def play(*, left=None, batch=None):
    left = left or HERE
    return inventory.Play(began=HERE, left=left, batch=batch or left, groups=GROUPS)


@pytest.mark.parametrize(
    ("given", "hosts"),
    [
        ("servers", ["s1", "s2"]),
        ("edge", ["s2", "c2"]),
        ("c2", ["c2"]),
        ("servers:c1", ["s1", "s2", "c1"]),
        ("c2,c1", ["c2", "c1"]),
        (["c2", "c1"], ["c2", "c1"]),
        (["servers", "c1"], ["s1", "s2", "c1"]),
        ([], []),
    ],
)
def test_bind(given, hosts):
    assert inventory.bind({"any": given}, play()) == {"any": hosts}


@pytest.mark.parametrize(
    ("given", "the_play", "path", "problem"),
    [
        ("server", play(), ("groups", "any"), "no group or host 'server' in the inventory. Did you mean 'servers'?"),
        (["s1", "s9"], play(), ("groups", "any", 1), "no group or host 's9'"),
        ("far", play(), ("groups", "any"), "the host far is not in this play"),
        ({"s1": None}, play(), ("groups", "any"), "expected a group or a list of hosts, got a mapping."),
        (["s1", 7], play(), ("groups", "any", 1), "expected a group or a list of hosts, got a number."),
        ("servers", play(left=["s1", "c1", "c2"]), (), "lost earlier in this play: s2."),
        ("servers", play(batch=["s1", "s2"]), (), "remove 'serial'"),
    ],
)
def test_bind_refuses(refused, given, the_play, path, problem):
    found_path, found = refused(inventory.bind, {"any": given}, the_play)
    assert found_path == path
    assert problem in found


def test_a_lost_host_that_is_not_needed_does_not_matter():
    assert inventory.bind({"any": "s1"}, play(left=["s1", "c1", "c2"])) == {"any": ["s1"]}


@pytest.mark.parametrize(
    ("variables", "address", "bind"),
    [
        ({}, "s1", None),
        ({"ansible_host": "10.0.0.9"}, "10.0.0.9", "10.0.0.9"),
        ({"ansible_host": "bastion", "netbench_address": "10.0.0.1"}, "10.0.0.1", "10.0.0.1"),
        ({"netbench_address": "203.0.113.1", "netbench_bind_address": "10.0.0.1"}, "203.0.113.1", "10.0.0.1"),
        ({"netbench_address": "fd00::1"}, "fd00::1", "fd00::1"),
        ({"netbench_address": "", "ansible_host": "h"}, "h", None),
    ],
)
def test_addresses(variables, address, bind):
    host = inventory.host("s1", variables)
    assert (host.address, host.bind) == (address, bind)


def test_facts_of_a_host():
    variables = {
        "netbench_port": 9000,
        "netbench_interface": "eth1",
        "netbench_environment": {"A": "1"},
        "netbench_secret_environment": {"B": "2"},
        "netbench_tools": {"iperf3": {"path": "/usr/bin/iperf3", "sha256": "0" * 64, "version": "3.12"}},
        "netbench_worker": {"python": "/usr/bin/python3", "program": "/w.pyz", "instance": "s1", "active_run": None},
    }
    host = inventory.host("s1", variables)
    assert (host.first_port, host.interface, host.instance) == (9000, "eth1", "s1")
    assert (host.environment, host.secret_environment) == ({"A": "1"}, {"B": "2"})
    told = {"path": "/usr/bin/iperf3", "sha256": "0" * 64, "version": "3.12"}
    assert host.tools == {"iperf3": {**told, "of": "netbench"}}
    assert host.worker["program"] == "/w.pyz"
    assert inventory.host("s1", {"worker_instance": "x"}).instance == "x"


def test_machines():
    def machine(**variables):
        return inventory.host("s1", variables).machine

    assert machine(ansible_connection="local") == machine(ansible_connection="ansible.builtin.local")
    assert machine(ansible_host="h") == machine(ansible_host="h", ansible_connection="ssh")
    assert machine(ansible_host="h") != machine(ansible_host="h", ansible_port=2222)
    assert machine(ansible_host="h") != machine(ansible_connection="local", ansible_host="h")


@pytest.mark.parametrize(
    ("variables", "variable", "problem"),
    [
        ({"netbench_port": "nine"}, "netbench_port", "expected a whole number, got text."),
        ({"netbench_port": 70000}, "netbench_port", "expected at most 65535"),
        ({"netbench_address": ["10.0.0.1"]}, "netbench_address", "expected text, got a list."),
        ({"netbench_address": "10.0.0.1/24"}, "netbench_address", "expected an IP address or a name"),
        ({"netbench_environment": {"1X": "a"}}, "netbench_environment", "expected the name of a variable"),
        ({"netbench_environment": {"X": 1}}, "netbench_environment", "expected text, got a number."),
        ({"netbench_tools": {"x": {}}}, "netbench_tools", "is missing."),
        ({"netbench_tools": {"x": {"path": "/x", "sha256": "no"}}}, "netbench_tools", "expected a sha256 in hex"),
    ],
)
def test_wrong_variables(refused, variables, variable, problem):
    path, found = refused(inventory.host, "s1", variables)
    assert path[:3] == ("hosts", "s1", variable)
    assert problem in found
