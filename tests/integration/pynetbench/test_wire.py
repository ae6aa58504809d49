# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""pynetbench and the real drivers play the same generated scenarios, with each other, and agree on every byte."""

from __future__ import annotations

import json
import re
import signal

import pytest
from ansible_collections.netbench.orchestrator.plugins.module_utils._netbench import scenario
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._planning.certificates import with_certificates
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._planning.scenarios import generate

PAIRS = [
    pytest.param("pynetbench", "pynetbench", id="python-python"),
    pytest.param("tcp", "pynetbench", id="real-server-python-client"),
    pytest.param("pynetbench", "tcp", id="python-server-real-client"),
    pytest.param("tcp", "tcp", id="real-real"),
]
FIXED = {
    "incast": ("incast", {"response_size": "20MB"}),
    "many-connections": ("incast", {"response_size": "100KB", "connections": 20}),
    "one-after-the-other": (
        "request_response",
        {"response_size": "1MB", "count": 5, "connections": 2, "response_delay": "2ms"},
    ),
    "rates": (
        "request_response",
        {
            "request_size": "300KB",
            "response_size": "300KB",
            "client_send_rate": "100KB/20ms",
            "server_send_rate": "100KB/20ms",
        },
    ),
    "connect": ("connect", {"connections": 25}),
}
TIMED = {
    "incast": ("incast", {"response_size": "1MB", "duration": "400ms"}),
    "ping": ("ping", {"size": "1KB,100KB", "time": "200ms"}),
}


@pytest.mark.parametrize(("server", "client"), PAIRS)
@pytest.mark.parametrize("name", FIXED)
def test_every_byte_arrives(hosts, name, server, client):
    kind, parameters = FIXED[name]
    document = generate(kind, servers=3, clients=2, parameters=parameters)
    read = scenario.parse(json.dumps(document))
    clients, servers = hosts.run(document, server=server, client=client)
    assert [one.returncode for one in clients] == [0, 0], [one.output for one in (*clients, *servers)]
    assert [one.returncode for one in servers] == [-signal.SIGTERM] * 3
    for role, ended in (("client", clients), ("server", servers)):
        for index, one in enumerate(ended):
            assert "error" not in one.output.lower()
            if one.statistics:  # real drivers have none
                expected = scenario.expected_bytes(read, role, index)
                assert (one.end()["rx_bytes"], one.end()["tx_bytes"]) == (expected.rx_bytes, expected.tx_bytes)
                assert one.end()["status"] == "ok"


@pytest.mark.parametrize(("server", "client"), PAIRS)
@pytest.mark.parametrize("name", TIMED)
def test_an_exchange_bounded_by_time_ends_well(hosts, name, server, client):
    kind, parameters = TIMED[name]
    document = generate(kind, servers=2, clients=2, parameters=parameters)
    clients, servers = hosts.run(document, server=server, client=client)
    assert [one.returncode for one in clients] == [0, 0], [one.output for one in (*clients, *servers)]
    for one in (*clients, *servers):
        if one.statistics:
            assert one.end()["rx_bytes"] > 0
            assert one.end()["status"] == "ok"


@pytest.mark.parametrize("kind", ["incast", "request_response", "ping", "connect"])
def test_generated_scenarios_are_valid_for_quic(hosts, kind):
    parameters = {
        "incast": {"response_size": "5MB"},
        "request_response": {"response_size": "100KB", "count": 3, "parallel": True, "response_unblock": "10KB"},
        "ping": {"size": "1KB", "time": "200ms", "streams": 2},
        "connect": {"connections": 5},
    }[kind]
    document = with_certificates(generate(kind, servers=2, clients=2, parameters=parameters))
    clients = hosts.run(document, server="s2n-quic", client="s2n-quic")[0]
    assert [one.returncode for one in clients] == [0, 0], clients[0].output


def test_multiplexed_tcp_plays_parallel_requests(hosts):
    parameters = {"response_size": "100KB", "count": 3, "parallel": True, "response_unblock": "10KB"}
    document = generate("request_response", servers=2, clients=1, parameters=parameters)
    clients = hosts.run(document, server="tcp", client="tcp", MULTIPLEX="true")[0]
    assert [one.returncode for one in clients] == [0]


@pytest.mark.parametrize(("server", "client"), [("tcp", "tcp"), ("pynetbench", "pynetbench")])
def test_traces_look_the_same(hosts, server, client):
    """The words of a trace, with times and the sizes of single reads taken out."""
    document = generate("request_response", servers=1, clients=1, parameters={"response_size": "1KB", "count": 2})
    clients, servers = hosts.run(document, server=server, client=client, TRACE="stdio")
    line = re.compile(r"\d:\d\d:\d\d\.\d{6} \[\d+\] (\w+)\[(\d+)\](=[\d.]+(?:us|µs|ms|s)?)?")
    found = [[line.fullmatch(text).groups()[:2] for text in one.output.splitlines()] for one in (*clients, *servers)]
    request, response, whole = ("send", "0"), ("recv", "0"), ("prof", "0")
    assert found[0] == [
        ("conn", "0"), ("open", "0"),
        *[request, ("prof", "1"), response, ("prof", "2"), whole] * 2,
        ("sfin", "0"), ("rfin", "0"),
    ]  # fmt: skip
    assert found[1] == [
        ("conn", "0"), ("acpt", "0"),
        *[response, ("prof", "1"), request, ("prof", "2"), whole] * 2,
        ("sfin", "0"), ("rfin", "0"),
    ]  # fmt: skip


def test_throughput_lines_look_the_same(hosts):
    document = generate("incast", servers=1, clients=1, parameters={"response_size": "100KB", "duration": "2300ms"})
    line = re.compile(r"0:00:0\d\.\d{6} throughput: rx=\d+(\.\d\d)?[KMG]?Bps tx=\d+(\.\d\d)?[KMG]?Bps")
    for driver in ("tcp", "pynetbench"):
        (client,) = hosts.run(document, server=driver, client=driver)[0]
        printed = client.output.splitlines()
        assert len(printed) >= 2
        assert all(line.fullmatch(text) for text in printed), printed
