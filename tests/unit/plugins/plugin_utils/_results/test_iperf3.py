# SPDX-License-Identifier: GPL-3.0-or-later
"""iperf3's JSON as version 3.12 printed it on a loopback interface: what counts is what the receiver says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._results.iperf3 import parse
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._results.outputs import Outputs, Parsed
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._results.records import Process
from hypothesis import given
from hypothesis import strategies as st

DATA = Path(__file__).parent / "data"
SECOND = 1_000_000_000
START_NS = 7 * SECOND


def printed(kind: str) -> bytes:
    return (DATA / f"iperf3-3.12-{kind}.json").read_bytes()


def parsed(*contents: bytes, life_s: float = 2.128) -> Parsed:
    processes = tuple(
        Process(f"client-{number}", start_ns=START_NS, stop_ns=START_NS + int(life_s * SECOND))
        for number in range(len(contents))
    )
    files = {f"client-{number}.stdout": content for number, content in enumerate(contents)}
    return parse(Outputs(processes, tuple(files), files.get))


def figures(found: Parsed) -> dict[str, float]:
    return {metric.name.removeprefix("iperf3."): metric.value for metric in found.metrics}


@pytest.mark.parametrize(
    ("kind", "received", "interface"),
    [
        ("forward", 820379648, "tx"),
        ("reverse", 1604321280, "rx"),
        ("bidir", 157548544 + 1215561728, "both"),
        ("udp", 12517376, "tx"),
        ("parallel", 821297152, "tx"),
        ("omit", 801708725, "tx"),
    ],
)
def test_the_series_ends_at_what_the_receiver_counted(kind: str, received: int, interface: str) -> None:
    found = parsed(printed(kind), life_s=3.2)
    assert found.series
    assert found.whole
    assert found.received_bytes == received
    assert found.series.rx_bytes[-1] == pytest.approx(received, rel=0.002)  # in bidir, without what came after the end
    assert found.interface == interface


def test_data_flowed_in_the_middle_of_the_process_life() -> None:
    """2.074 s at the slower end, in a life of 2.128 s: 27 ms before and behind it; twice that inside is certain."""
    (flow,) = parsed(printed("forward")).flows
    assert flow.active_ns
    assert (flow.active_ns[0] - START_NS) / 1e6 == pytest.approx(1.5 * (2128 - 2074.183), abs=0.01)
    assert (flow.active_ns[1] - flow.active_ns[0]) / 1e6 == pytest.approx(1895.229, abs=0.01)


def test_omitted_seconds_are_neither_counted_nor_active() -> None:
    (flow,) = parsed(printed("omit"), life_s=3.1).flows
    assert flow.active_ns
    assert flow.series
    assert flow.active_ns[0] > START_NS + SECOND
    assert (flow.active_ns[1] - flow.active_ns[0]) / 1e9 == pytest.approx(1.7916, abs=0.001)
    assert flow.series.rx_bytes[-1] == 339942069 + 461766656


def test_what_the_sender_saw() -> None:
    found = figures(parsed(printed("forward")))
    assert found["sender_retransmits"] == 9
    assert (found["rtt_min_us"], found["rtt_mean_us"], found["rtt_max_us"]) == (124, 170, 217)
    assert found["cwnd_max_bytes"] == 1047728
    assert found["cpu_local_pct"] == pytest.approx(5.1257, rel=1e-4)
    assert found["cpu_remote_pct"] == pytest.approx(15.4034, rel=1e-4)
    assert "lost_pct" not in found
    assert found["throughput_bps"] == pytest.approx(3164155324.77)


def test_loss_and_jitter_are_the_receivers() -> None:
    document = json.loads(printed("udp"))
    document["end"]["sum_received"].update(lost_packets=19, packets=380)
    found = figures(parsed(json.dumps(document).encode()))
    assert (found["lost_packets"], found["sent_packets"], found["lost_pct"]) == (19, 380, 5)
    assert found["jitter_ms"] == pytest.approx(0.07255, rel=1e-3)
    for sums in document["end"], document["server_output_json"]["end"]:
        sums.pop("sum_received", None)  # as before 3.7
    assert figures(parsed(json.dumps(document).encode()))["sent_packets"] == 382


def test_processes_of_one_host_add_up_and_the_worst_is_told() -> None:
    one, both = parsed(printed("forward")), parsed(printed("forward"), printed("parallel"))
    assert both.series
    assert both.received_bytes == 820379648 + 821297152
    assert figures(both)["sender_retransmits"] == 9 + 134
    assert figures(both)["throughput_bps"] > figures(one)["throughput_bps"]
    assert [flow.process for flow in both.flows] == ["client-0", "client-1"]


def test_a_server_that_tells_no_intervals_leaves_the_senders_course() -> None:
    document = json.loads(printed("forward"))
    del document["server_output_json"]
    found = parsed(json.dumps(document).encode())
    assert found.series
    assert found.series.rx_bytes[-1] == pytest.approx(820379648)


def test_nothing_is_said_for_a_process_that_says_nothing() -> None:
    """And the interface is not believed then: which way its bytes went is not known."""
    found = parsed(printed("forward"), b'{"error": "unable to connect to server: Connection refused"}')
    assert (found.series, found.received_bytes, found.interface) == (None, None, "none")


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers(-(2**70), 2**70) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(
        st.sampled_from(
            ["start", "end", "intervals", "sum", "sum_sent", "sum_received", "sum_bidir_reverse", "bytes", "sender",
             "omitted", "streams", "receiver", "udp", "server_output_json", "bits_per_second", "packets", "jitter_ms"]
        ),
        inner,
        max_size=6,
    ),
    max_leaves=40,
)  # fmt: skip


@given(JSON)
def test_hostile_output_never_raises(document: object) -> None:
    parsed(json.dumps(document).encode())


@given(st.integers(0, 6000), st.binary(max_size=4), st.sampled_from(["forward", "bidir", "udp"]))
def test_damaged_output_never_raises(place: int, damage: bytes, kind: str) -> None:
    content = printed(kind)
    parsed(content[:place] + damage + content[place + len(damage) :])
