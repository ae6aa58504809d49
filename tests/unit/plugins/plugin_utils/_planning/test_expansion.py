# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole plans: what the workers get is valid, complete, and theirs; what cannot run is refused before that."""

from __future__ import annotations

import json
import os
import time
from dataclasses import replace

import pytest
from ansible_collections.netbench.orchestrator.plugins.module_utils._netbench import scenario as scenarios
from ansible_collections.netbench.orchestrator.plugins.module_utils._protocol import plan as worker_plan
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._planning import plan as plans
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._planning.scenarios import generate
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._planning.table import describe
from hypothesis import given, settings
from hypothesis import strategies as st


def texts(value):
    """Every text in a document, keys included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from (*texts(key), *texts(inner))
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from texts(inner)


@settings(max_examples=25, deadline=None)
@given(
    workload=st.sampled_from(("netbench", "pynetbench", "command")),
    servers=st.integers(1, 5),
    clients=st.integers(1, 5),
    ports=st.lists(st.integers(1024, 60000), min_size=1, max_size=4, unique=True),
    repeats=st.integers(1, 3),
    seed=st.integers(0, 1000),
)
def test_every_worker_gets_a_valid_plan(planning, workload, servers, clients, ports, repeats, seed):
    same = {"servers": servers, "clients": clients, "grid": {"port": ports}, "repeats": repeats, "seed": seed}
    plan = planning.planned(workload, **same)
    assert set(plan.workers) == {name for members in plan.groups.values() for name in members}
    for name, entry in plan.workers.items():
        built = worker_plan.parse(entry.encoded)
        assert (built.host, built.group, built.index) == (name, entry.group, plan.groups[entry.group].index(name))
        assert entry.sha256 == worker_plan.digest(entry.encoded)
        assert list(built.samples) == [sample.point for sample in plan.samples]
        assert not [text for text in texts(entry.document["points"]) if "${" in text]
    read = plans.from_json(plans.to_json(plan))
    assert read == plan
    assert list(read.groups) == ["servers", "clients"]
    assert read.same_run(plan)
    assert planning.planned(workload, **same) == plan


def point_of(plan, host, point=0):
    return plan.workers[host].document["points"][point]


@pytest.mark.parametrize(
    ("driver", "collector", "expected"),
    [
        ("tcp", False, ["--tx-buffer=0B"]),
        ("native-tls", False, ["--tx-buffer=0B"]),
        ("s2n-quic", False, []),
        ("tcp", True, []),
    ],
)
def test_drivers_that_would_hang_with_a_buffer_get_none(planning, driver, collector, expected):
    """The collector hands no arguments on: there the option would be an error."""
    plan = planning.planned("netbench", parameters={"driver": driver, "collector": collector})
    for host in ("s0", "c0"):
        command = point_of(plan, host)["processes"][0]["command"]
        assert [word for word in command if "buffer" in word] == expected


def test_netbench_environment(planning):
    plan = planning.planned("netbench", servers=2, clients=2, parameters={"driver": "s2n-quic", "max_mtu": 1500})
    server, client = point_of(plan, "s1"), point_of(plan, "c1")
    program = "s2n-netbench-driver-server-s2n-quic"
    assert server["processes"][0]["command"] == [program, "--ip", "10.0.0.1", "scenario.json"]
    assert {
        name: value for name, value in server["processes"][0]["environment"].items() if name not in ("PATH", "LC_ALL")
    } == {
        "SCENARIO": "scenario.json",
        "SERVER_ID": "1",
        "PORT": "4433",
        "LOCAL_IP": "10.0.0.1",
        "TRACE": "throughput",
        "MAX_MTU": "1500",
    }
    assert client["processes"][0]["environment"]["CLIENT_ID"] == "1"
    assert client["processes"][0]["environment"]["SERVER_0"] == "10.0.0.0:4433"
    assert client["processes"][0]["environment"]["SERVER_1"] == "10.0.0.1:4433"
    assert server["states"][1]["reached"]["ports"] == [{"port": 4433, "protocol": "udp", "address": "10.0.0.1"}]
    assert server["stop"]["rule"] == "signal"
    assert [state["entry"] for state in client["states"]] == ["at_once", "at_t0", "by_itself"]
    assert plan.points[0].t0_groups == ("clients",)
    assert plan.points[0].receivers == ("clients",)


@pytest.mark.parametrize(("driver", "certificates"), [("tcp", 0), ("s2n-quic", 3), ("s2n-tls", 3), ("native-tls", 3)])
def test_scenario_and_certificates(planning, driver, certificates):
    plan = planning.planned("netbench", servers=2, clients=3, parameters={"driver": driver, "response_size": "1MB"})
    inputs = plan.workers["c0"].document["inputs"]
    scenario = scenarios.parse(inputs[point_of(plan, "c0")["files"]["scenario.json"]])
    assert (len(scenario.servers), len(scenario.clients)) == (2, 3)
    assert len(scenario.certificates) == certificates
    assert plan.points[0].evidence["c2"] == {"rx_bytes": 2_000_000, "tx_bytes": 2_000, "exact": True}
    assert plan.points[0].evidence["s1"] == {"rx_bytes": 3_000, "tx_bytes": 3_000_000, "exact": True}


def test_drivers_of_the_grid_share_nothing_they_must_not(planning):
    plan = planning.planned("netbench", grid={"driver": ["tcp", "s2n-quic"]})
    files = [point_of(plan, "s0", point)["files"]["scenario.json"] for point in (0, 1)]
    assert files[0] != files[1]
    assert set(plan.workers["s0"].document["inputs"]) == set(files)


def test_own_driver_and_collector(planning):
    parameters = {"own_drivers": ["mine"], "driver": "mine", "transport": "udp", "collector": True}
    point = point_of(planning.planned("netbench", parameters=parameters), "s0")
    assert point["processes"][0]["command"] == [
        "s2n-netbench-collector",
        "s2n-netbench-driver-server-mine",
        "-s",
        "scenario.json",
    ]
    assert point["states"][1]["reached"]["ports"][0]["protocol"] == "udp"


def test_installed_tools_are_used_by_path_and_checksum(planning):
    groups, hosts = planning.bench(1, 1)
    tools = {
        "s2n-netbench-driver-server-tcp": {"path": "/opt/server", "sha256": "a" * 64},
        "s2n-netbench-collector": {"path": "/opt/collector", "sha256": "b" * 64},
    }
    hosts["s0"] = planning.host("s0", 0, tools=tools)
    plain = point_of(planning.planned("netbench", groups=groups, hosts=hosts), "s0")["processes"][0]
    assert (plain["command"][0], plain["sha256"]) == ("/opt/server", "a" * 64)
    with_collector = planning.planned("netbench", groups=groups, hosts=hosts, parameters={"collector": True})
    process = point_of(with_collector, "s0")["processes"][0]
    assert (process["command"][:2], process["sha256"]) == (["/opt/collector", "/opt/server"], "b" * 64)


def test_pynetbench_runs_the_workers_own_program(planning):
    groups, hosts = planning.bench(1, 1)
    hosts["c0"] = planning.host("c0", 1, worker={"python": "/usr/bin/python3.9", "program": "/w.pyz", "instance": "i"})
    plan = planning.planned("pynetbench", groups=groups, hosts=hosts, parameters={"duration": "5s"})
    process = point_of(plan, "c0")["processes"][0]
    assert process["command"] == ["/usr/bin/python3.9", "/w.pyz", "pynetbench", "client", "scenario.json"]
    assert process["environment"]["STATISTICS"] == "statistics.jsonl"
    assert plan.workers["c0"].instance == "i"
    assert plan.points[0].expected_s == pytest.approx(5, abs=0.1)


def test_command_pairs_clients_with_servers(planning):
    plan = planning.planned("command", servers=2, clients=3, parameters={"duration": "7s"})
    targets = [point_of(plan, client)["processes"][0]["command"][2] for client in ("c0", "c1", "c2")]
    assert targets == ["10.0.0.0", "10.0.0.1", "10.0.0.0"]
    assert point_of(plan, "c0")["processes"][0]["command"][-1] == "7"
    assert plan.expected_s == 7


def test_ports_interfaces_and_environment_of_a_host(planning):
    groups, hosts = planning.bench(2, 1)
    own = {"environment": {"X": "1"}, "secret_environment": {"TOKEN": "canary"}, "interface": "eth9"}
    hosts["s1"] = planning.host("s1", 1, address="10.0.0.0", first_port=9000, **own)
    plan = planning.planned("command", groups=groups, hosts=hosts)
    server = point_of(plan, "s1")
    process = server["processes"][0]
    assert process["command"][-1] == "9000"
    assert (process["environment"]["X"], process["environment"]["TOKEN"]) == ("1", "canary")
    assert process["secret_environment"] == ["TOKEN"]
    assert server["interface"] == "eth9"


def test_addresses_of_ipv6_are_bracketed_and_loopback_is_lo(planning):
    groups, hosts = planning.bench(1, 1)
    hosts["s0"] = planning.host("s0", 0, address="::1", bind="::1")
    plan = planning.planned("netbench", groups=groups, hosts=hosts)
    assert point_of(plan, "c0")["processes"][0]["environment"]["SERVER_0"] == "[::1]:4433"
    assert (point_of(plan, "s0")["interface"], point_of(plan, "c0")["interface"]) == ("lo", None)


def test_own_scenario_file(planning):
    generated = planning.planned("netbench", servers=2, clients=1)
    text = next(iter(generated.workers["c0"].document["inputs"].values()))
    plan = planning.planned(
        "netbench", servers=2, clients=1, files={"my.json": text}, parameters={"scenario_file": "my.json"}
    )
    assert plan.points[0].evidence == generated.points[0].evidence


def test_steps_of_the_task_win(planning):
    steps = [
        {"group": group, "state": state} for group in ("servers", "clients") for state in ("ready", "running", "done")
    ]
    plan = planning.planned("command", steps=steps)
    assert [(step.group, step.state) for step in plan.steps][:3] == [
        ("servers", "ready"),
        ("servers", "running"),
        ("servers", "done"),
    ]


def test_deadlines_follow_the_expected_duration(planning):
    deadlines = [state["deadline_s"] for state in point_of(planning.planned("command"), "c0")["states"]]
    assert deadlines == [60, 30, 3 * 10 + 5 + 30]
    assert point_of(planning.planned("command", parameters={"deadline": "11s"}), "c0")["states"][2]["deadline_s"] == 11


def own(servers, **more):
    """A workload with one group and one process."""
    return {"name": "own", "groups": {"servers": servers}, "expected_duration": 1, **more}


def test_workload_of_one_group_with_everything(planning):
    servers = {
        "ports": {"a": {"number": 7000}, "b": {"number": 7001, "protocol": "udp"}},
        "prepare": [{"command": ["sysctl", "-w", "x=${host.index}"], "undo": ["sysctl", "-w", "x=0"]}],
        "files": {"conf": "listen ${host.bind}:${host.port.a}\n", "data": {"from": "data.txt"}},
        "outputs": ["out-${host.index}.txt"],
        "processes": {
            "p": {
                "command": ["p", "-c", "conf"],
                "cpus": "0,1",
                "priority": "40",
                "offset": "250ms",
                "success": [0, 3],
            },
            "q": {"command": [{"tool": "q"}], "environment": {"N": "${servers.count}", "ALL": "${servers.addresses}"}},
        },
        "states": {
            "warm": {"reached": {"rule": "line", "file": "p.stdout", "pattern": "ready on ${host.port.b}"}},
            "running": {"reached": {"rule": "probe", "command": ["nc", "-z", "${host.address}"]}, "deadline": "5s"},
        },
        "stop": {"rule": "signal", "after": "2s", "grace": "1s", "signal": "INT"},
        "sampler_period": None,
    }
    groups = {"servers": ["s0", "s1"]}
    plan = planning.planned(own(servers), servers=2, groups=groups, files={"data.txt": "DATA"})
    point = worker_plan.build(plan.workers["s1"].document).points[0]
    inputs = plan.workers["s1"].document["inputs"]
    assert {name: inputs[sha256] for name, sha256 in point.files.items()} == {
        "conf": "listen 10.0.0.1:7000\n",
        "data": "DATA",
    }
    assert point.names == ("ready", "warm", "running", "done")
    assert point.state("warm").reached == {"rule": "line", "file": "p.stdout", "pattern": "ready on 7001"}
    assert point.state("running").reached == {"rule": "probe", "command": ["nc", "-z", "10.0.0.1"], "period_s": 0.1}
    assert point.stop.by_itself
    assert (point.state("done").entry, point.sampler_period_s) == ("by_itself", None)
    assert point.prepare == ({"command": ["sysctl", "-w", "x=1"], "undo": ["sysctl", "-w", "x=0"]},)
    p, q = point.processes
    assert (p.cpus, p.priority, p.offset_s, p.success) == ((0, 1), 40, 0.25, (0, 3))
    assert (q.cpus, q.priority) == (None, None)
    assert (q.environment["N"], q.environment["ALL"]) == ("2", "10.0.0.0,10.0.0.1")
    assert point.outputs == ("out-1.txt",)


def test_a_changed_plan_is_refused(planning, refused):
    text = plans.to_json(planning.planned("command"))
    document = json.loads(text)
    document["workers"]["c0"]["address"] = "192.0.2.1"
    assert "was changed" in refused(plans.from_json, json.dumps(document))[1]
    assert "not a plan" in refused(plans.from_json, "[]")[1]
    assert "not a plan" in refused(plans.from_json, "{")[1]
    assert "make the plan again" in refused(plans.from_json, '{"schema": 99}')[1]
    assert "not a plan" in refused(plans.from_json, '{"schema": 1, "a": ' + "[" * 5000)[1]
    document = json.loads(text)
    for odd in ({"seed": float("inf")}, {"points": [{"\x1b": 1}]}, {"workers": {"c0": []}}, {"workload": "x"}):
        problem = refused(plans.from_json, json.dumps({**document, **odd}).replace("Infinity", "1e999"))[1]
        assert problem.isprintable()
        assert "not a plan" in problem


def test_a_plan_that_others_may_have_written_is_refused(planning, refused, tmp_path, monkeypatch):
    """It is what hosts execute; and a results folder may be where many may write."""
    path = tmp_path / "run" / plans.FILE_NAME
    path.parent.mkdir(mode=0o755)
    path.write_text(plans.to_json(planning.planned()))
    path.chmod(0o600)
    assert plans.read(path).run_id
    for changed, mode in ((path, 0o620), (path, 0o602), (path.parent, 0o777)):
        before = changed.stat().st_mode
        changed.chmod(mode)
        assert "must be yours" in refused(plans.read, path)[1]
        changed.chmod(before)
    if os.getuid() == 0:
        os.chown(path, 4243, -1)  # what is root's may be read by anybody
    monkeypatch.setattr(plans.os, "getuid", lambda: 4242)
    assert "must be yours" in refused(plans.read, path)[1]


def mapped(**groups):
    return {"groups": {"servers": ["s0", "s1", "s2"], "clients": ["c0", "c1"], **groups}}


OTHER_COUNT = json.dumps(generate("incast", servers=1, clients=2, parameters={}))


@pytest.mark.parametrize(
    ("workload", "suite", "path", "problem"),
    [
        (
            "netbench",
            {"grid": {"driver": ["tcp", "s2n-quik"]}},
            ("suite", "grid", "driver", 1),
            "Did you mean 's2n-quic'?",
        ),
        ("netbench", {"parameters": {"drivr": "tcp"}}, ("suite", "parameters", "drivr"), "Did you mean 'driver'?"),
        (
            "netbench",
            {"parameters": {"response_size": "10 apples"}},
            ("suite", "parameters", "response_size"),
            "is no amount of data",
        ),
        (
            "netbench",
            {"parameters": {"scenario": "incst"}},
            ("suite", "parameters", "scenario"),
            "Did you mean 'incast'?",
        ),
        (
            "netbench",
            {"parameters": {"scenario": "ping", "count": 3}},
            ("suite", "parameters", "count"),
            "the scenario ping: unknown parameter 'count'",
        ),
        (
            "netbench",
            {"parameters": {"driver": "tcp", "count": 3, "parallel": True}},
            ("workload", "scenario", "parameters"),
            "one stream per connection",
        ),
        (
            "netbench",
            {"parameters": {"scenario_file": "o.json"}, "files": {"o.json": OTHER_COUNT}},
            ("suite", "parameters", "scenario_file"),
            "the scenario o.json: servers: the scenario is made for 1 servers, but there are 3 hosts",
        ),
        (
            "netbench",
            {"parameters": {"scenario_file": "o.json"}, "files": {"o.json": '{"id": "x", "servers": []}'}},
            ("suite", "parameters", "scenario_file"),
            "the key 'clients' is missing",
        ),
        (
            "netbench",
            {"parameters": {"scenario_file": "gone.json"}},
            ("suite", "parameters", "scenario_file"),
            "there is no file gone.json.",
        ),
        (
            "netbench",
            {"grid": {"duration": ["10s", "60s"]}, "parameters": {"deadline": "30s"}},
            ("suite", "parameters", "deadline"),
            "the deadline of 30 s is not longer than the expected duration of 60 s.",
        ),
        ("netbench", {"grid": {"port": [4433, 4433]}}, ("suite", "grid"), "the point port=4433 is there twice."),
        ("netbench", {"on_host_failure": "drop"}, ("suite", "on_host_failure"), "no sense with fewer hosts"),
        ("netbench", {"steps": [{"group": "servers", "state": "ready"}]}, ("steps",), "is missing."),
        (
            "netbench",
            mapped(servers=[]),
            ("groups", "servers"),
            "hosts needed: at least 1; this play has none of them.",
        ),
        ("netbench", mapped(server=["s0"]), ("groups", "server"), "Did you mean 'servers'?"),
        ("netbench", {"groups": {"servers": ["s0"]}}, ("groups", "clients"), "is missing: say which hosts"),
        ("netbench", mapped(clients=["c0", "c0"]), ("groups", "clients", 1), "the host c0 is there twice."),
        ("netbench", mapped(clients=["s1"]), ("groups", "clients", 0), "the host s1 is in servers too."),
        ("netbench", mapped(clients=["c9"]), ("groups", "clients", 0), "there is no host 'c9'."),
    ],
)
def test_refused(planning, refused, workload, suite, path, problem):
    found_path, found = refused(planning.planned, workload, **suite)
    assert found_path == path
    assert problem in found


def test_command_needs_its_commands(planning, refused):
    document = planning.shipped("command")
    path, problem = refused(planning.planned, document)
    assert path == ("suite", "parameters", "server_command")
    assert problem.startswith("is missing. The server's command")


def test_placeholders_in_a_users_command_are_checked(planning, refused):
    wrong = {"server_command": ["iperf3", "-p", "${host.port.mian}"]}
    path, problem = refused(planning.planned, "command", parameters=wrong)
    assert path == ("suite", "parameters", "server_command", 2)
    assert "Did you mean 'host.port.main'?" in problem


def test_parameters_that_need_each_other_are_refused(planning, refused):
    wrong = {"server_command": ["${client_command}"], "client_command": ["${server_command}"]}
    assert (
        "it needs itself: server_command -> client_command" in refused(planning.planned, "command", parameters=wrong)[1]
    )


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"s1": {"address": "10.0.0.0"}}, "s1 (main) and s0 (main) would both listen on tcp port 4433 of 10.0.0.0."),
        ({"s1": {"machine": "s0"}}, "shares the worker 'default' of its machine with s0."),
    ],
)
def test_hosts_in_each_others_way(planning, refused, change, problem):
    groups, hosts = planning.bench(2, 1)
    hosts |= {name: planning.host(name, 1, **fields) for name, fields in change.items()}
    path, found = refused(planning.planned, "netbench", groups=groups, hosts=hosts)
    assert path[:2] == ("hosts", "s1")
    assert problem in found


def test_hosts_on_one_machine_with_workers_of_their_own(planning):
    groups, hosts = planning.bench(2, 1)
    for number, name in enumerate(hosts):
        hosts[name] = planning.host(name, number, machine="local", worker={"instance": name})
    assert len(planning.planned("netbench", groups=groups, hosts=hosts).workers) == 3


def test_too_few_hosts_for_the_workload(planning, refused):
    servers = {"hosts": {"minimum": 2, "maximum": 2}, "processes": {"p": {"command": ["p"]}}}
    for count in (1, 3):
        members = [f"s{number}" for number in range(count)]
        path, problem = refused(planning.planned, own(servers), groups={"servers": members})
        assert path == ("groups", "servers")
        assert problem == f"hosts needed: 2; there are {count}: {', '.join(members)}."


def test_unknown_duration_is_refused(planning, refused):
    document = {"name": "own", "groups": {"servers": {"processes": {"p": {"command": ["p"]}}}}}
    path, problem = refused(planning.planned, document, groups={"servers": ["s0"]})
    assert path == ("workload", "groups", "servers", "states", "done", "deadline")
    assert "nothing says how long this takes" in problem


def test_an_invalid_worker_plan_names_the_host(planning, refused):
    servers = {"processes": {"p": {"command": ["p"], "environment": {"1X": "y"}}}}
    path, problem = refused(planning.planned, own(servers), groups={"servers": ["s0"]})
    assert path == ("workload", "groups", "servers")
    assert "its plan for s0 is not valid: points[0].processes[0].environment.1X" in problem


def test_a_hundred_hosts_and_two_hundred_samples(planning):
    begun = time.perf_counter()
    plan = planning.planned("netbench", servers=90, clients=10, grid={"driver": ["tcp", "s2n-quic"]}, repeats=100)
    assert len(plan.samples) == 200
    assert time.perf_counter() - begun < 60  # 0.4 s on a quiet machine; the bound only catches a change of order


def test_same_run_is_about_what_runs_where(planning):
    plan = planning.planned("netbench", parameters={"driver": "s2n-quic"})
    again = planning.planned("netbench", parameters={"driver": "s2n-quic"})
    assert plan != again  # certificates are made anew
    assert plan.same_run(again)
    assert not plan.same_run(planning.planned("netbench", parameters={"driver": "s2n-quic"}, repeats=2))
    assert not plan.same_run(planning.planned("netbench", parameters={"driver": "s2n-tls"}))
    host, entry = next(iter(plan.workers.items()))
    point = entry.document["points"][0]
    rebuilt = {**point, "processes": [{**process, "sha256": "0" * 64} for process in point["processes"]]}
    other = replace(entry, document={**entry.document, "points": [rebuilt]})
    assert not plan.same_run(replace(plan, workers={**plan.workers, host: other})), "another build is another run"


def test_a_plan_whose_run_is_over_keeps_no_secrets(planning, refused):
    groups, hosts = planning.bench(1, 1)
    hosts["c0"] = planning.host("c0", 1, secret_environment={"TOKEN": "canary-3"}, environment={"PLAIN": "seen"})
    plan = planning.planned("netbench", groups=groups, hosts=hosts, parameters={"driver": "s2n-quic"})
    text = json.dumps(plans.without_secrets(plan))
    assert "canary-3" in plans.to_json(plan)
    assert "canary-3" not in text
    assert "PRIVATE KEY" not in text
    assert "seen" in text
    assert "its run is over" in refused(plans.from_json, text)[1]


# What would make a run other than it is meant


@pytest.mark.parametrize(
    ("name", "words", "expected"),
    [
        ("global_arguments", ["-l", "600"], "-l is given by the parameter 'duration'; use that."),
        ("global_arguments", ["-c", "-l600"], "-l is given by the parameter 'duration'; use that."),
        ("arguments", ["-d", "send", "-l", "30"], "-l is given by the parameter 'duration'; use that."),
        ("global_arguments", ["-I", "99,5"], "-I is given by the parameter 'confidence'; use that."),
    ],
)
def test_netperf_runs_no_longer_than_its_deadline_knows(planning, refused, name, words, expected):
    path, problem = refused(planning.planned, "netperf", parameters={name: words})
    assert (path[:3], problem) == (("suite", "parameters", name), expected)


def test_iperf3_runs_no_longer_than_its_deadline_knows(planning, refused):
    problem = refused(planning.planned, "iperf3", parameters={"arguments": ["--time=600"]})[1]
    assert problem == "--time is given by the parameter 'duration'; use that."


def test_netperf_s_own_repeats_are_expected(planning):
    plan = planning.planned("netperf", parameters={"confidence": "99,5", "iterations": 5, "duration": "2s"})
    process = plan.workers["c0"].document["points"][0]["processes"][0]
    assert process["command"][process["command"].index("-I") :][:4] == ["-I", "99,5", "-i", "5,3"]
    assert plan.expected_s == 10
    assert "-I" not in planning.planned("netperf").workers["c0"].document["points"][0]["processes"][0]["command"]


def test_versions_that_differ_are_said_or_refused(planning, refused):
    def tools(version):
        tool = {"sha256": None, "version": version, "of": "netperf"}
        return {name: {"path": f"/usr/bin/{name}", **tool} for name in ("netperf", "netserver")}

    groups = {"servers": ["a"], "clients": ["b"]}
    hosts = {name: planning.host(name, number, tools=tools("2.7.0")) for number, name in enumerate("ab")}
    same = planning.planned("netperf", groups=groups, hosts=hosts, versions="same")
    assert same.versions == {"netperf": {"2.7.0": ["a", "b"]}}
    hosts["b"] = planning.host("b", 1, tools=tools("2.6.0"))
    told = "netperf differs between hosts: 2.6.0 on b; 2.7.0 on a"
    assert f"  {told}" in describe(planning.planned("netperf", groups=groups, hosts=hosts), commands=False)
    path, problem = refused(planning.planned, "netperf", groups=groups, hosts=hosts, versions="same")
    assert (path, problem) == (("suite", "versions"), f"{told}. Install the same, or say 'any'.")


@pytest.mark.parametrize("workload", ["netperf", "iperf3"])
def test_a_duration_that_the_tool_would_take_for_none_is_refused(planning, refused, workload):
    """Both cut off the fraction, and 0 means without end to them."""
    for duration, problem in (("1500ms", "1500ms is no whole number of seconds"), ("0s", "0s is below the minimum")):
        assert refused(planning.planned, workload, parameters={"duration": duration})[1].startswith(problem)
    assert refused(planning.planned, workload, warm_up="500ms")[0] == ("suite", "warm_up")
