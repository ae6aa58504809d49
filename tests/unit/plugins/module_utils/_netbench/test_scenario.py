# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Scenarios: what is read, what is refused and with which words, and that hostile text never gets further."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
from ansible_collections.netbench.orchestrator.plugins.module_utils._netbench import scenario
from ansible_collections.netbench.orchestrator.plugins.module_utils._netbench.scenario import ScenarioError
from hypothesis import given
from hypothesis import strategies as st

SAMPLE = (Path(__file__).parent / "data/scenario-2-servers-2-clients.json").read_text()


@pytest.fixture
def document():
    """The sample as plain data, to be broken."""
    return json.loads(SAMPLE)


def refusal(document) -> str:
    with pytest.raises(ScenarioError) as caught:
        scenario.parse(document if isinstance(document, (str, bytes)) else json.dumps(document))
    return str(caught.value)


def minimal(client_ops, server_ops, **more):
    """One client, one server, one connection with one stream."""
    finish = [{"send_finish": {"stream_id": 0}}, {"receive_finish": {"stream_id": 0}}]
    return {
        "id": "x",
        "clients": [
            {
                "scenario": [{"connect": {"server_id": 0, "server_connection_id": 0, "client_connection_id": 0}}],
                "connections": [{"ops": [{"open_bidirectional_stream": {"stream_id": 0}}, *client_ops, *finish]}],
            }
        ],
        "servers": [
            {
                "connections": [{"peer_streams": [[*server_ops, *finish]]}],
                "private_key": 1,
                "certificate": 2,
                "certificate_authority": 0,
            }
        ],
        "traces": ["a", "b"],
        **more,
    }


def send(count):
    return {"send": {"stream_id": 0, "bytes": count}}


def receive(count):
    return {"receive": {"stream_id": 0, "bytes": count}}


def repeat(operations, **value):
    kind, amount = next(iter(value.items()))
    return {
        "iterate": {"value": {kind: {"amount_ms" if kind == "time" else "amount": amount}}, "operations": operations}
    }


def test_the_originals_format_survives_reading_and_writing(document):
    read = scenario.parse(SAMPLE)
    del document["certificates"]  # empty, so left out as by the original
    assert scenario.dump(read) == document
    assert scenario.parse(json.dumps(scenario.dump(read))) == read


def test_every_operation_survives_reading_and_writing():
    everything = minimal(
        [
            {"sleep": {"amount_ms": 5}},
            {"send_rate": {"stream_id": 0, "bytes": 5, "period_ms": 50}},
            {"receive_rate": {"stream_id": 0, "bytes": 5, "period_ms": 50}},
            {"unpark": {"checkpoint": 3}},
            {"park": {"checkpoint": 3}},
            {"trace": {"trace_id": 1}},
            {"profile": {"trace_id": 0, "operations": [send(2**64 - 1)]}},
            {"iterate": {"value": {"count": {"amount": 2}}, "operations": [send(1)], "trace_id": 1}},
            {"iterate": {"value": {"time": {"amount_ms": 7}}, "operations": [receive(1)]}},
            {"scope": {"threads": [[send(1)], [receive(1)], []]}},
        ],
        [{"receive_all": {"stream_id": 0}}],
        routers=[
            {"name": "r", "scenario": [{"rebind_all": {"ports": True, "addresses": False}}, {"client_mtu": {"mtu": 9}}]}
        ],
        certificates=[{"pem": "A"}, {"pem": "B", "pkcs12": "QQ=="}, {"pem": "C"}],
    )
    everything["clients"][0]["scenario"] += [
        {"sleep": {"timeout_ms": 5}},
        {"scope": {"threads": [[{"trace": {"trace_id": 0}}], [{"unpark": {"checkpoint": 9}}]]}},
        {"connect": {"server_id": 0, "router_id": 0, "server_connection_id": 0, "client_connection_id": 0}},
    ]
    everything["clients"][0]["configuration"] = {"a": "b"}
    assert scenario.dump(scenario.parse(json.dumps(everything))) == everything


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda d: d["clients"][1]["connections"][0]["ops"][2]["send_finish"].update(stream_id=7),
            "clients[1].connections[0].ops[2].send_finish.stream_id: the stream 7 is not opened on this connection;"
            " open it first",
        ),
        (
            lambda d: d["clients"][0]["scenario"][0]["scope"]["threads"][1][0]["connect"].update(server_id=2),
            "clients[0].scenario[0].scope.threads[1][0].connect.server_id: 2 names no server: there are 0 to 1;"
            " correct the number or add one",
        ),
        (
            lambda d: d["servers"][0]["connections"].pop(),
            "clients[1].scenario[0].scope.threads[0][0].connect.server_connection_id: 1 names no connection of the"
            " server: there is only 0; correct the number or add one",
        ),
        (
            lambda d: d["clients"][0]["connections"][0]["ops"].append({"recieve": {}}),
            "clients[0].connections[0].ops[4]: unknown operation 'recieve'; did you mean 'receive'?",
        ),
        (
            lambda d: d["servers"][0].update(certifcate=1),
            "servers[0]: unknown key 'certifcate'; did you mean 'certificate'?",
        ),
        (lambda d: d["servers"][1].pop("private_key"), "servers[1]: the key 'private_key' is missing; add it"),
        (
            lambda d: d["clients"][0]["connections"][0]["ops"].append(send("1KB")),
            "clients[0].connections[0].ops[4].send.bytes: expected a whole number, found '1KB'",
        ),
        (
            lambda d: d["clients"][0]["connections"][0]["ops"].append(send(True)),
            "clients[0].connections[0].ops[4].send.bytes: expected a whole number, found true",
        ),
        (
            lambda d: d["clients"][0]["connections"][0]["ops"].append(send(2**64)),
            f"clients[0].connections[0].ops[4].send.bytes: {2**64} is out of range; expected less than 2^64",
        ),
        (
            lambda d: d["clients"][0]["connections"][0]["ops"].append(repeat([send(1)], count=0)),
            "clients[0].connections[0].ops[4].iterate.value.count.amount: 0 is out of range; expected at least 1",
        ),
        (
            lambda d: d["clients"][0]["connections"][0]["ops"].append(repeat([], count=1)),
            "clients[0].connections[0].ops[4].iterate.operations: there is nothing to repeat;"
            " add operations or remove the iterate",
        ),
        (
            lambda d: d["clients"][0]["connections"][0]["ops"].append({"park": {"checkpoint": 1}}),
            "clients[0].connections[0].ops[4].park.checkpoint: nothing unparks checkpoint 1, so this waits for ever;"
            " add an unpark",
        ),
        (
            lambda d: d["clients"][0]["connections"][0]["ops"].append({"open_send_stream": {"stream_id": 0}}),
            "clients[0].connections[0].ops[4].open_send_stream.stream_id: the stream 0 is opened a second time;"
            " number the streams 0, 1, 2, … once each",
        ),
        (
            lambda d: d["clients"][0]["connections"][0]["ops"].append({"open_send_stream": {"stream_id": 1}}),
            "clients[0].scenario[0].scope.threads[0][0].connect: the client's connection opens 2 stream(s),"
            " but the server's connection has 1 in peer_streams; give each opened stream its answer",
        ),
        (
            lambda d: d["clients"][0]["connections"][0]["ops"].append({"trace": {"trace_id": 3}}),
            "clients[0].connections[0].ops[4].trace.trace_id: 3 names no trace: there are 0 to 2;"
            " correct the number or add one",
        ),
        (
            lambda d: d.update(certificates=[{"pem": "A"}]),
            "servers[0].private_key: 1 names no certificate: there is only 0; correct the number or add one",
        ),
        (lambda d: d.update(clients=[]), "clients: the scenario has no client; add one"),
        (lambda d: d.update(servers={}), "servers: expected a list, found an object"),
        (lambda d: d.update(id=None), "id: expected a string, found null"),
        (lambda d: d["traces"].append("\udc80"), "traces[3]: the string holds half of a surrogate pair"),
    ],
)
def test_a_defect_is_refused_with_its_place_and_the_way_out(document, change, message):
    change(document)
    assert refusal(document).startswith(message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the scenario is not JSON: line 1, column 1"),
        ('{"id": 1, "id": 2}', "the key 'id' appears twice in one object"),
        ('{"id": NaN}', "the number 'NaN' is not a whole number between 0 and 2^64 - 1"),
        ('{"id": -Infinity}', "the number '-Infinity' is not a whole number"),
        ('{"id": 1.0}', "the number '1.0' is not a whole number"),
        ("9" * 1_000_000, "the number '99999"),
        ("[" * 500_000, "the scenario is nested too deeply"),
        ('{"a":' * 500_000, "the scenario is nested too deeply"),
        ("[" * 1_000_001, "the scenario has more than 1000000 objects and lists"),
        (b"\xff", "the scenario is not UTF-8 text (byte 0)"),
        ("\ud800", "the scenario is not valid Unicode text"),
        (b" " * (16 * 1024 * 1024 + 1), "the scenario has 16777217 bytes; at most 16777216 are read"),
        ("[]", "expected an object, found a list"),
        ('"\\u001b[31m' + "x" * 999 + '"', "expected an object, found '\\x1b[31mxxx"),
    ],
)
def test_hostile_text_is_refused_in_one_printable_line(text, message):
    told = refusal(text)
    assert told.startswith(message)
    assert told.isprintable()
    assert len(told) < 300


def test_operations_nested_too_deeply_are_refused():
    deep = send(1)
    for _unused in range(40):
        deep = {"profile": {"trace_id": 0, "operations": [deep]}}
    told = refusal(minimal([deep], [receive(1)]))
    assert told.endswith("operations are nested deeper than 32 levels; flatten them")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.one_of(st.text(), st.binary(), json_values.map(json.dumps)))
def test_any_text_is_read_or_refused(text):
    with pytest.raises(ScenarioError):
        scenario.parse(text)


def places(value, path=()):
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from places(item, (*path, key))


@given(st.sampled_from(list(places(json.loads(SAMPLE)))[1:]), json_values, st.booleans())
def test_any_change_of_a_good_scenario_is_read_or_refused(place, value, remove):
    document = json.loads(SAMPLE)
    parent = document
    for key in place[:-1]:
        parent = parent[key]
    if remove:
        del parent[place[-1]]
    else:
        parent[place[-1]] = value
    try:
        read = scenario.parse(json.dumps(document))
    except ScenarioError as error:
        assert str(error).isprintable()  # noqa: PT017 - either outcome is right
    else:
        assert scenario.parse(json.dumps(scenario.dump(read))) == read


def test_host_counts_are_checked():
    read = scenario.parse(SAMPLE)
    scenario.check(read, servers=2, clients=2)
    with pytest.raises(ScenarioError, match="clients: the scenario is made for 2 clients, but there are 3 hosts"):
        scenario.check(read, servers=2, clients=3)


@pytest.mark.parametrize("driver", ["s2n-quic", "s2n-tls", "native-tls"])
def test_drivers_with_tls_need_certificates(driver):
    with pytest.raises(ScenarioError, match=f"certificates: the driver {driver} needs certificates"):
        scenario.check(scenario.parse(SAMPLE), driver=driver)


def test_drivers_with_one_stream_refuse_a_second():
    two = minimal([{"open_send_stream": {"stream_id": 1}}], [receive(1)])
    two["servers"][0]["connections"][0]["peer_streams"].append([])
    read = scenario.parse(json.dumps(two))
    scenario.check(read, driver="tcp", multiplex=True)
    scenario.check(read, driver="our-own-driver")
    with pytest.raises(
        ScenarioError,
        match=r"clients\[0\].connections\[0\].ops\[1\].open_send_stream: the driver tcp has one stream per connection;"
        r" use one stream, or set multiplex",
    ):
        scenario.check(read, driver="tcp")
    with pytest.raises(ScenarioError, match="pynetbench does not multiplex"):
        scenario.check(read, driver="pynetbench", multiplex=True)


def traffic(document, role="client", index=0):
    return scenario.expected_bytes(scenario.parse(json.dumps(document)), role, index)


def test_expected_bytes_of_the_sample():
    read = scenario.parse(SAMPLE)
    assert scenario.expected_bytes(read, "client", 1) == scenario.Traffic(rx_bytes=8_000_000_000, tx_bytes=2_000)
    assert scenario.expected_bytes(read, "server", 0) == scenario.Traffic(rx_bytes=2_000, tx_bytes=8_000_000_000)
    with pytest.raises(ScenarioError, match="there is no client 2"):
        scenario.expected_bytes(read, "client", 2)


def test_expected_bytes_count_repetitions_scopes_and_repeated_connects():
    document = minimal(
        [repeat([send(3), {"scope": {"threads": [[receive(5)], [send(1)]]}}], count=10)],
        [repeat([receive(4), send(5)], count=10)],
    )
    document["clients"][0]["scenario"] *= 2
    document["clients"].append(copy.deepcopy(document["clients"][0]))
    assert traffic(document) == scenario.Traffic(rx_bytes=100, tx_bytes=80)
    assert traffic(document, "server") == scenario.Traffic(rx_bytes=160, tx_bytes=200)


def test_receive_all_takes_what_the_other_end_sends():
    document = minimal([send(7), {"receive_all": {"stream_id": 0}}], [{"receive_all": {"stream_id": 0}}, send(11)])
    assert traffic(document) == scenario.Traffic(rx_bytes=11, tx_bytes=7)


@pytest.mark.parametrize(
    ("client", "server", "least"),
    [
        ([repeat([send(9), receive(9)], time=5)], [repeat([receive(9), send(9)], time=5)], (1, 1)),
        ([send(4), repeat([receive(9)], time=5)], [receive(4), repeat([send(9)], time=5)], (1, 4)),
        ([send(9), {"receive_all": {"stream_id": 0}}], [receive(9), repeat([send(5)], time=5)], (1, 9)),
        ([send(9)], [receive(4)], (0, 4)),  # the rest is not worth a promise
    ],
)
def test_what_only_time_bounds_has_thresholds_but_no_exact_figure(client, server, least):
    document = minimal(client, server)
    assert traffic(document) is None
    thresholds = scenario.thresholds(scenario.parse(json.dumps(document)), "client", 0)
    assert (thresholds.rx_bytes, thresholds.tx_bytes, thresholds.exact) == (*least, False)
