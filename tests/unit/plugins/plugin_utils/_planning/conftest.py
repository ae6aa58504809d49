# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of planning share: a bench of hosts, and a short way to a plan."""

from __future__ import annotations

import copy
import functools
from types import SimpleNamespace

import pytest
import yaml
from ansible_collections.netbench.orchestrator.plugins.module_utils._protocol.schema import SchemaError
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._planning import workload as workloads
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._planning.expansion import expand
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._planning.hosts import Host

COMMAND = {
    "server_command": ["iperf3", "-s", "-p", "${host.port.main}"],
    "client_command": ["iperf3", "-c", "${servers.address}", "-p", "${servers.port.main}", "-t", "${duration}"],
}


@functools.lru_cache
def _read(name):
    return yaml.safe_load(workloads.shipped()[name].read_text(encoding="utf-8"))


def shipped(name):
    return copy.deepcopy(_read(name))


def host(name, number, **more):
    address = f"10.0.{number // 256}.{number % 256}"
    return Host(**{"name": name, "address": address, "machine": name, "bind": address, **more})


def bench(servers, clients):
    groups = {
        "servers": [f"s{number}" for number in range(servers)],
        "clients": [f"c{number}" for number in range(clients)],
    }
    names = [name for members in groups.values() for name in members]
    return groups, {name: host(name, number) for number, name in enumerate(names)}


def no_file(name, place):
    raise SchemaError(place, f"there is no file {name}.", name)


def planned(workload="netbench", *, servers=3, clients=2, groups=None, hosts=None, files=None, steps=None, **suite):
    """The plan of a suite; ``workload`` is a document or the name of a shipped one."""
    own_groups, own_hosts = bench(servers, clients)
    document = shipped(workload) if isinstance(workload, str) else workload
    if workload == "command":
        suite["parameters"] = {**COMMAND, **suite.get("parameters", {})}
    return expand(
        suite={"name": "trial", **suite},
        workload=document,
        groups=groups or own_groups,
        hosts=hosts or own_hosts,
        run_id="20261121T110500Z-trial-abcd",
        created_utc="2026-11-21T11:05:00Z",
        steps=steps,
        read_file=(lambda name, place: files[name]) if files else no_file,
    )


def raw_plan(suite, workload):
    """The plan of these two documents, whatever they are."""
    groups, hosts = bench(2, 1)
    return expand(
        suite=suite,
        workload=workload,
        groups=groups,
        hosts=hosts,
        run_id="run",
        created_utc="2026-11-21T11:05:00Z",
        read_file=no_file,
    )


@pytest.fixture(scope="session")
def planning():
    return SimpleNamespace(planned=planned, raw_plan=raw_plan, shipped=shipped, host=host, bench=bench)


@pytest.fixture(scope="session")
def refused():
    """``refused(call)`` is the SchemaError that it raises, as ``(path, problem)``."""

    def refused(call, *arguments, **named):
        with pytest.raises(SchemaError) as caught:
            call(*arguments, **named)
        return caught.value.path, caught.value.problem

    return refused
