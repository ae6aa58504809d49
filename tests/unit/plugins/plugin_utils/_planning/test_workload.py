# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Workload documents: what is filled in, and what is refused with its place."""

from __future__ import annotations

import copy
import datetime
import functools

import pytest
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._planning import workload as workloads

SERVERS = {
    "ports": {"main": {"number": "${port}"}},
    "processes": {"server": {"command": ["serve", "${host.port.main}"]}},
    "states": {"running": {"reached": {"rule": "listening"}}},
    "stop": {"rule": "signal"},
}
CLIENTS = {
    "processes": {"client": {"command": ["call", "${servers.socket.main}"]}},
    "states": {"running": {"entry": "at_t0", "reached": {"rule": "started"}}},
}
WORKLOAD = {
    "name": "trial",
    "parameters": {"port": {"type": "integer", "default": 80, "description": "d"}},
    "groups": {"servers": SERVERS, "clients": CLIENTS},
    "expected_duration": "10s",
}


def changed(path, value):
    """The workload with something put at ``path``; ``...`` takes it away."""
    document = copy.deepcopy(WORKLOAD)
    here = document
    for part in path[:-1]:
        here = here.setdefault(part, {}) if isinstance(here, dict) else here[part]
    if value is ...:
        del here[path[-1]]
    else:
        here[path[-1]] = value
    return document


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (float("nan"), "expected a finite number."),
        ({"a": [float("inf")]}, "expected a finite number."),
        (10**400, "expected a smaller number, got a huge number."),
        (datetime.date(2026, 11, 21), "expected a number, got date."),
        (functools.reduce(lambda inner, _depth: [inner], range(400), "x"), "is nested too deeply."),
    ],
)
def test_what_no_plan_can_hold_is_refused(refused, value, problem):
    document = changed(("derived", "more"), {"from": "port", "values": {}, "otherwise": value})
    assert refused(workloads.check, document)[1] == problem


SERVERS_ALONE = {"netserver", "iperf3_server"}  # kept up for clients of one's own


@pytest.mark.parametrize("name", sorted(workloads.shipped()))
def test_shipped_workloads_are_valid(planning, name):
    workload = workloads.check(planning.shipped(name))
    assert workload["name"] == name
    assert workload["description"]
    assert list(workload["groups"]) == ["servers", "clients"][: 1 if name in SERVERS_ALONE else 2]


def test_these_are_shipped():
    both = {"netbench", "pynetbench", "command", "iperf3", "netperf"}
    assert set(workloads.shipped()) == both | SERVERS_ALONE


def test_states_are_completed():
    group = workloads.check(changed(("groups", "clients", "states"), {"warm": {"reached": {"rule": "started"}}}))
    assert list(group["groups"]["clients"]["states"]) == ["ready", "warm", "done"]
    plain = workloads.check(changed(("groups", "clients", "states"), ...))
    assert list(plain["groups"]["clients"]["states"]) == ["ready", "running", "done"]


def test_default_steps_of_servers_and_clients():
    steps = workloads.default_steps(workloads.check(WORKLOAD)["groups"])
    assert [(step["group"], step["state"]) for step in steps] == [
        ("servers", "ready"),
        ("clients", "ready"),
        ("servers", "running"),
        ("clients", "running"),
        ("clients", "done"),
        ("servers", "done"),
    ]


def test_default_steps_release_t0_groups_last_and_end_what_is_ended_last():
    document = changed(("groups",), {"clients": CLIENTS, "monitors": {**SERVERS}, "servers": SERVERS})
    steps = workloads.default_steps(workloads.check(document)["groups"])
    assert [(step["group"], step["state"]) for step in steps[3:]] == [
        ("monitors", "running"),
        ("servers", "running"),
        ("clients", "running"),
        ("clients", "done"),
        ("servers", "done"),
        ("monitors", "done"),
    ]


@pytest.mark.parametrize(
    ("path", "value", "place", "problem"),
    [
        (("name",), ..., ("name",), "is missing."),
        (("grops",), {}, ("grops",), "Did you mean 'groups'?"),
        (("groups",), {}, ("groups",), "at least one group"),
        (("groups", "host"), CLIENTS, ("groups", "host"), "a word of the placeholders"),
        (("groups", "clients", "processes"), {}, ("groups", "clients", "processes"), "at least one process"),
        (
            ("groups", "clients", "proceses"),
            {},
            ("groups", "clients", "proceses"),
            "Did you mean 'processes'?",
        ),
        (
            ("groups", "clients", "processes", "client", "command"),
            "call",
            ("groups", "clients", "processes", "client", "command"),
            "expected a list, got text.",
        ),
        (
            ("groups", "clients", "processes", "client", "command"),
            ["call", "${servres.address}"],
            ("groups", "clients", "processes", "client", "command", 1),
            "Did you mean 'servers.address'?",
        ),
        (
            ("groups", "clients", "processes", "client", "environment_for_each"),
            {"server": {}},
            ("groups", "clients", "processes", "client", "environment_for_each", "server"),
            "Did you mean 'servers'?",
        ),
        (
            ("groups", "servers", "states", "running", "reached"),
            {"rule": "listening", "ports": ["mian"]},
            ("groups", "servers", "states", "running", "reached", "ports", 0),
            "Did you mean 'main'?",
        ),
        (
            ("groups", "clients", "states", "running", "reached"),
            {"rule": "listening"},
            ("groups", "clients", "states", "running", "entry"),
            "its rule must be 'started'",
        ),
        (
            ("groups", "servers", "ports"),
            {},
            ("groups", "servers", "states", "running", "reached"),
            "the group has no ports to listen on",
        ),
        (
            ("groups", "servers", "states", "running", "reached", "rule"),
            "listenin",
            ("groups", "servers", "states", "running", "reached", "rule"),
            "Did you mean 'listening'?",
        ),
        (("groups", "servers", "states", "failed"), {}, ("groups", "servers", "states", "failed"), "no state to enter"),
        (
            ("groups", "servers", "hosts"),
            {"minimum": 3, "maximum": 2},
            ("groups", "servers", "hosts", "maximum"),
            "below",
        ),
        (
            ("groups", "servers", "ports", "main", "number"),
            "${prot}",
            ("groups", "servers", "ports", "main", "number"),
            "port",
        ),
        (("receivers",), ["client"], ("receivers", 0), "Did you mean 'clients'?"),
        (
            ("derived",),
            {"port": {"from": "port", "values": {}, "otherwise": 1}},
            ("derived", "port"),
            "a parameter is named",
        ),
        (
            ("derived",),
            {"x": {"from": "prot", "values": {}, "otherwise": 1}},
            ("derived", "x", "from"),
            "Did you mean 'port'?",
        ),
        (("scenario",), {"driver": "tcp", "clients": "callers"}, ("scenario", "clients"), "no group 'callers'"),
        (
            ("steps",),
            [{"group": "servers", "state": "ready"}],
            ("steps",),
            "the state 'running' of servers is missing.",
        ),
        (
            ("steps",),
            [{"group": "servers", "state": "done"}],
            ("steps", 0, "state"),
            "in the order ready, running, done",
        ),
        (("steps",), [{"group": "servers", "state": "runing"}], ("steps", 0, "state"), "Did you mean 'running'?"),
        (("steps",), [{"group": "server", "state": "ready"}], ("steps", 0, "group"), "Did you mean 'servers'?"),
    ],
)
def test_refused(refused, path, value, place, problem):
    found_place, found = refused(workloads.check, changed(path, value))
    assert found_place == ("workload", *place)
    assert problem in found
