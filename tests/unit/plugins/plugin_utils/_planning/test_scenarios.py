# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The generator: its scenarios are valid, stable, and move on loopback what they promise."""

from __future__ import annotations

import json
import re

import pytest
from ansible_collections.netbench.orchestrator.plugins.module_utils._netbench import scenario
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._planning import scenarios
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._planning.scenarios import GeneratorError, generate
from hypothesis import given, settings
from hypothesis import strategies as st

from ...module_utils._netbench.loopback import play

hosts = st.integers(1, 3)
sizes = st.integers(1, 100_000) | st.sampled_from(["1KB", "64KiB", "80Kb"])
rates = st.none() | st.sampled_from(["50MB/10ms", "1GBps", "8Gbps"])
requests = st.fixed_dictionaries(
    {},
    optional={
        "request_size": sizes,
        "response_size": sizes,
        "response_delay": st.sampled_from(["0s", "1ms", 0.002]),
        "count": st.integers(1, 4),
        "connections": st.integers(1, 3),
        "client_send_rate": rates,
        "client_receive_rate": rates,
        "server_send_rate": rates,
        "server_receive_rate": rates,
    },
)
pings = st.fixed_dictionaries(
    {"time": st.sampled_from(["2ms", "5ms"]), "size": st.sampled_from(["1KB", "1KB, 10KB", [1, 2, 3]])},
    optional={"connections": st.integers(1, 3)},
)
kinds = st.one_of(
    st.tuples(st.sampled_from(["incast", "request_response"]), requests),
    st.tuples(st.just("ping"), pings),
    st.tuples(st.just("connect"), st.fixed_dictionaries({"connections": st.integers(1, 5)})),
)


@given(kinds, hosts, hosts)
@settings(max_examples=40, deadline=None)
def test_generated_scenarios_move_what_they_promise(kind_and_parameters, servers, clients):
    kind, parameters = kind_and_parameters
    document = generate(kind, servers=servers, clients=clients, parameters=parameters)
    read = scenario.parse(json.dumps(document))
    for driver in ("tcp", "pynetbench"):
        scenario.check(read, driver=driver, servers=servers, clients=clients)
    assert {**scenario.dump(read), "certificates": []} == document
    played = play(document)
    assert played.failed_connections == 0
    for role, moved in (("client", played.clients), ("server", played.servers)):
        for index, counters in enumerate(moved):
            least = scenario.thresholds(read, role, index)
            assert least.exact == (kind != "ping")
            if least.exact:
                assert (counters.rx_bytes, counters.tx_bytes) == (least.rx_bytes, least.tx_bytes)
            assert counters.rx_bytes >= least.rx_bytes
            assert counters.tx_bytes >= least.tx_bytes


def test_incast_is_every_client_to_all_servers_at_once():
    document = generate("incast", servers=3, clients=2, parameters={"connections": 2, "response_size": "4MB"})
    connects = [
        [thread[0]["connect"] for thread in client["scenario"][0]["scope"]["threads"]] for client in document["clients"]
    ]
    assert [len(client) for client in connects] == [6, 6]
    for server in range(3):
        numbers = [one["server_connection_id"] for client in connects for one in client if one["server_id"] == server]
        assert numbers == [0, 1, 2, 3]
        assert len(document["servers"][server]["connections"]) == 4
    read = scenario.parse(json.dumps(document))
    assert scenario.expected_bytes(read, "client", 1) == scenario.Traffic(rx_bytes=24_000_000, tx_bytes=6_000)


def test_one_client_and_two_servers_are_the_originals_request_response():
    document = generate("request_response", servers=2, clients=1, parameters={"client_send_rate": "10MBps"})
    assert document["traces"] == ["lbl", "request", "response"]
    assert document["clients"][0]["connections"][0]["ops"] == [
        {"open_bidirectional_stream": {"stream_id": 0}},
        {"send_rate": {"stream_id": 0, "bytes": 10_000_000, "period_ms": 1000}},
        {
            "profile": {
                "trace_id": 0,
                "operations": [
                    {"profile": {"trace_id": 1, "operations": [{"send": {"stream_id": 0, "bytes": 1000}}]}},
                    {"profile": {"trace_id": 2, "operations": [{"receive": {"stream_id": 0, "bytes": 10_000_000}}]}},
                ],
            }
        },
        {"send_finish": {"stream_id": 0}},
        {"receive_finish": {"stream_id": 0}},
    ]
    assert document["clients"][0]["scenario"] == [
        {
            "scope": {
                "threads": [
                    [{"connect": {"server_id": server, "server_connection_id": 0, "client_connection_id": 0}}]
                    for server in (0, 1)
                ]
            }
        }
    ]


def test_parallel_requests_have_a_stream_each_and_may_wait_for_the_one_before():
    parameters = {"parallel": True, "count": 3, "response_unblock": "10KB"}
    read = scenario.parse(json.dumps(generate("incast", servers=1, clients=1, parameters=parameters)))
    scenario.check(read, driver="tcp", multiplex=True)
    with pytest.raises(scenario.ScenarioError, match="one stream per connection"):
        scenario.check(read, driver="tcp")
    assert scenario.expected_bytes(read, "client", 0) == scenario.Traffic(rx_bytes=30_000_000, tx_bytes=3_000)


def test_a_duration_repeats_requests_for_that_time():
    parameters = {"duration": "150ms", "response_size": "100KB"}
    document = generate("incast", servers=2, clients=2, parameters=parameters)
    played = play(document)
    assert 0.15 <= played.elapsed_s < 10
    assert played.failed_connections == 0
    assert played.histograms["lbl"].record()["count"] > 10
    moved = sum(client.rx_bytes for client in played.clients), sum(server.tx_bytes for server in played.servers)
    assert 0 < moved[0] <= moved[1]


def test_ids_are_stable_and_look_like_the_originals():
    def made(**parameters):
        return generate("incast", servers=2, clients=2, parameters=parameters)

    assert made() == made()
    assert made()["id"] != made(request_size=999)["id"]
    ids = {made(request_size=size)["id"] for size in range(1, 200)}
    assert len(ids) == 199
    assert all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9-]{41}[A-Za-z0-9]", one) for one in ids)


def test_parameters_take_the_originals_defaults_and_words():
    assert generate("incast", servers=1, clients=1, parameters={"count": None}) == generate(
        "incast",
        servers=1,
        clients=1,
        parameters={"count": "1", "parallel": "no", "client_send_rate": "NONE", "response_size": "10MB"},
    )
    defaults = generate("ping", servers=1, clients=1, parameters={})
    assert [name for name in defaults["traces"] if name.startswith("ping")] == [
        "ping 1KB",
        "ping 10KB",
        "ping 100KB",
        "ping 1MB",
    ]
    assert len(generate("connect", servers=1, clients=1, parameters={})["clients"][0]["scenario"]) == 1000


@pytest.mark.parametrize(
    ("kind", "parameters", "message"),
    [
        ("incats", {}, "unknown kind of scenario 'incats'; did you mean 'incast'?"),
        ("incast", {"respose_size": 1}, "unknown parameter 'respose_size'; did you mean 'response_size'?"),
        ("ping", {"time": "10"}, "time: '10' is no duration"),
        ("incast", {"response_size": "10 apples"}, "response_size: '10 apples' is no amount of data"),
        ("incast", {"response_size": 0}, "response_size: 0 bytes are no request"),
        ("incast", {"client_send_rate": "10MB"}, "client_send_rate: '10MB' is no rate"),
        ("incast", {"count": 0}, "count: 0 is not a whole number from 1"),
        ("incast", {"count": True}, "count: True is not a whole number from 1"),
        ("incast", {"parallel": "maybe"}, "parallel: 'maybe' is not true or false"),
        ("incast", {"duration": "1s", "count": 2}, "duration: repeats request after request"),
        ("incast", {"response_unblock": 1}, "response_unblock: only matters between parallel requests"),
        ("connect", {"duration": "1s"}, "unknown parameter 'duration'; known are: connections"),
        ("ping", {"size": []}, "size: at least one size is needed"),
        ("connect", {"connections": 100_000}, "connections: 2 servers × 1 clients × 100000 connections are more than"),
    ],
)
def test_what_makes_no_scenario_is_refused_by_name(kind, parameters, message):
    with pytest.raises(GeneratorError) as caught:
        generate(kind, servers=2, clients=1, parameters=parameters)
    assert str(caught.value).startswith(message)


def test_a_scenario_needs_hosts():
    with pytest.raises(GeneratorError, match="servers: a scenario needs at least one, not 0"):
        generate("incast", servers=0, clients=1, parameters={})


def test_a_scenario_of_many_hosts_can_be_read():
    text = json.dumps(generate("incast", servers=50, clients=50, parameters={}))
    scenario.check(scenario.parse(text), servers=50, clients=50)


def test_every_kind_is_documented_by_its_name():
    assert scenarios.KINDS == ("incast", "request_response", "ping", "connect")
