# SPDX-License-Identifier: GPL-3.0-or-later
"""netperf's keys and interim results as version 2.7.0 printed them on a loopback interface."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._results import netperf
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._results.netperf import bits, key_values, parse
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._results.outputs import Outputs, Parsed
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._results.records import Process
from hypothesis import given
from hypothesis import strategies as st

DATA = Path(__file__).parent / "data"
SECOND = 1_000_000_000
WALL_MINUS_MONO_NS = 1_795_283_000 * SECOND


def printed(test: str) -> bytes:
    return (DATA / f"netperf-2.7.0-{test}.txt").read_bytes()


def parsed(*contents: bytes, start_s: float = 555.98, life_s: float = 1.03, wall: int | None = None) -> Parsed:
    processes = tuple(
        Process(f"client-{number}", start_ns=int(start_s * SECOND), stop_ns=int((start_s + life_s) * SECOND))
        for number in range(len(contents))
    )
    files = {f"client-{number}.stdout": content for number, content in enumerate(contents)}
    return parse(Outputs(processes, tuple(files), files.get, WALL_MINUS_MONO_NS if wall is None else wall))


def figures(found: Parsed) -> dict[str, float]:
    return {metric.name.removeprefix("netperf."): metric.value for metric in found.metrics}


def test_interim_results_become_a_series_that_ends_at_what_was_received() -> None:
    found = parsed(printed("tcp-stream"))
    assert found.series
    assert found.series.at_ns[0] / 1e9 == pytest.approx(555.994, abs=0.001)  # 1795283556.494 less 0.5 s
    assert found.series.rx_bytes[-1] == found.received_bytes == 969128729
    half = 7697.51 * 0.500 / (7697.51 * 0.500 + 7761.50 * 0.503)
    assert found.series.rx_bytes[1] == pytest.approx(969128729 * half, rel=1e-6)
    assert found.interface == "tx"


def slow(*rates: float, elapsed_s: float, buffer_bytes: int) -> bytes:
    """A sender's interim results of a second each (Mbit/s); its buffers are empty when `elapsed_s` have passed."""
    lines = []
    for number, rate in enumerate(rates):
        ending = 1_795_283_556 + number + 1
        lines += [f"NETPERF_INTERIM_RESULT[{number}]={rate}", f"NETPERF_INTERVAL[{number}]=1"]
        lines += [f"NETPERF_UNITS[{number}]=10^6bits/s", f"NETPERF_ENDING[{number}]={ending}"]
    lines += [f"REMOTE_BYTES_RECVD={int(sum(rates) * 125_000)}", "LOCAL_BYTES_RECVD=0", f"ELAPSED_TIME={elapsed_s}"]
    return "\n".join([*lines, f"LSS_SIZE_END={buffer_bytes}", ""]).encode()


@pytest.mark.parametrize(("buffer_bytes", "held"), [(4_000_000, 1_250_000), (500_000, 500_000)])
def test_what_arrives_lags_behind_the_sender_by_what_its_buffers_hold(buffer_bytes: int, held: int) -> None:
    """0.1 s of 100 Mbit/s stand in the buffers when the sender has ended, or as much as they hold."""
    content = slow(110, 100, 100, elapsed_s=3.1, buffer_bytes=buffer_bytes)
    found = parsed(content, start_s=556.0, life_s=3.2)
    (flow,) = found.flows
    assert not flow.at_receiver
    assert not found.whole
    assert flow.active_ns == (556 * SECOND, 559 * SECOND)
    assert flow.series
    assert flow.series.rx_at(558 * SECOND) == pytest.approx(210 * 125_000 - held)
    assert flow.series.rx_at(559 * SECOND) == pytest.approx(310 * 125_000 - held)
    assert flow.series.rx_at(559 * SECOND + SECOND // 10) == flow.received_bytes


def test_a_sender_of_udp_does_not_say_what_arrived() -> None:
    found = parsed(printed("udp-stream"), start_s=558.04)
    assert found.received_bytes == 2308335666
    assert figures(found)["lost_pct"] == pytest.approx(100 * (3579040452 - 2308335666) / 3579040452)
    assert figures(found)["throughput_bps"] == pytest.approx(18413.58e6)
    assert figures(found)["sent_throughput_bps"] == pytest.approx(28549.98e6)


def test_transactions_have_a_course_of_their_own() -> None:
    found = parsed(printed("tcp-rr"), start_s=559.08)
    (flow,) = found.flows
    assert flow.transactions
    assert flow.transactions.rx_bytes[-1] == pytest.approx(24988.24)
    assert figures(found)["transaction_rate"] == 24988.24
    assert figures(found)["latency_p99_us"] == 49
    assert "throughput_bps" not in figures(found)
    assert (found.interface, found.received_bytes) == ("both", 50148)


def test_data_flows_for_one_second_of_the_five_that_tcp_crr_lives() -> None:
    (flow,) = parsed(printed("tcp-crr"), start_s=560.09, life_s=5.0).flows
    assert flow.active_ns
    assert (flow.active_ns[1] - flow.active_ns[0]) / 1e9 == pytest.approx(1.0, abs=0.001)
    assert flow.active_ns[0] / 1e9 == pytest.approx(560.1, abs=0.001)


def test_a_clock_that_was_set_does_not_move_the_series_out_of_the_process_life() -> None:
    found = parsed(printed("tcp-stream"), wall=WALL_MINUS_MONO_NS + 5 * SECOND)
    assert found.series
    assert found.series.start_ns == int(555.98 * SECOND)


def test_what_was_not_measured_is_missing_and_not_minus_one() -> None:
    content = printed("tcp-stream").replace(b"LOCAL_CPU_UTIL=100.00", b"LOCAL_CPU_UTIL=-1.00")
    found = figures(parsed(content))
    assert "cpu_local_pct" not in found
    assert found["cpu_remote_pct"] == 100
    assert "round_trip_latency_mean_us" not in found
    assert found["transport_retransmits"] == 26


def test_without_demo_mode_the_total_remains() -> None:
    content = b"".join(line for line in printed("tcp-stream").splitlines(True) if not line.startswith(b"NETPERF_"))
    found = parsed(content)
    assert (found.series, found.whole, found.received_bytes) == (None, False, 969128729)
    assert found.interface == "tx"


def test_every_key_is_kept() -> None:
    (flow,) = parsed(printed("tcp-stream")).flows
    assert flow.values["REMOTE_CONG_CONTROL"] == "bbr"
    assert len(flow.values) == printed("tcp-stream").count(b"\n") - 8


@pytest.mark.parametrize(
    ("units", "scale"),
    [("10^6bits/s", 1e6), ("10^3bits/s", 1e3), ("KBytes/s", 8192), ("MBytes/s", 8 * 2**20), ("Trans/s", None)],
)
def test_units(units: str, scale: float | None) -> None:
    assert bits(units) == scale


@given(st.lists(st.sampled_from(printed("tcp-stream").splitlines(True)) | st.binary(max_size=60)))
def test_hostile_output_never_raises(lines: list[bytes]) -> None:
    parsed(b"".join(lines))


@given(st.floats(), st.floats(), st.floats(), st.floats())
def test_hostile_numbers_never_raise(rate: float, seconds: float, ending: float, received: float) -> None:
    content = (
        f"NETPERF_INTERIM_RESULT[0]={rate}\nNETPERF_INTERVAL[0]={seconds}\nNETPERF_ENDING[0]={ending}\n"
        f"REMOTE_BYTES_RECVD={received}\nTHROUGHPUT={rate}\nTHROUGHPUT_UNITS=Trans/s\nELAPSED_TIME={seconds}\n"
    )
    parsed(content.encode())
    key_values(content.encode())


def test_keys_without_number_are_not_kept(monkeypatch):
    monkeypatch.setattr(netperf, "ROWS_LIMIT", 100)
    content = b"".join(b"A%d=1\nB%d[0]=1\nC[%d]=1\n" % (n, n, n) for n in range(1000))
    values, interim = key_values(content)
    assert len(values) == 34
    assert interim == []


def test_a_netperf_without_demo_mode_is_told_of() -> None:
    lines = [line for line in printed("tcp-stream").splitlines() if not line.startswith(b"NETPERF_")]
    said = b"Sorry, Demo Mode not configured into this netperf."
    found = parsed(b"\n".join([said, *lines]))
    assert found.series is None
    assert found.received_bytes
    assert found.notes == (netperf.WITHOUT_DEMO,)
    assert parsed(printed("tcp-stream")).notes == ()


@pytest.mark.parametrize(("test", "protocol"), [("tcp-stream", b"TCP"), ("udp-stream", b"UDP"), ("tcp-rr", b"TCP")])
def test_of_netperf_s_own_repeats_all_count_and_not_the_last_alone(test: str, protocol: bytes) -> None:
    content = printed(test)
    assert b"PROTOCOL=" + protocol in content
    again = content.replace(b"CONFIDENCE_ITERATION=1", b"CONFIDENCE_ITERATION=3")
    assert again != content
    once, found = parsed(content), parsed(again)
    _values, interim = key_values(content)
    moved = sum(rate * seconds for rate, seconds, _ending in interim)
    if test == "tcp-stream":
        assert found.received_bytes == pytest.approx(moved * 1e6 / 8)
        assert found.received_bytes == pytest.approx(once.received_bytes, rel=0.05)
    else:
        assert found.received_bytes is None, "nobody knows"
    if test == "tcp-rr":
        course = found.flows[0].transactions
        assert course
        assert course.rx_between(course.start_ns, course.stop_ns) == pytest.approx(moved, rel=0.01)
