# SPDX-License-Identifier: GPL-3.0-or-later
"""The tools' own formats, read as their sources write them; and whatever a hostile host may leave instead."""

from __future__ import annotations

import json
import math
import tracemalloc
from collections.abc import Callable

import pytest
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._results import parsers
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._results.parsers import (
    PARSERS,
    SAMPLER,
    Outputs,
    Parsed,
    collector,
    pynetbench,
    sampler,
    statistics_file,
    throughput_trace,
)
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._results.records import Process
from hypothesis import example, given
from hypothesis import strategies as st

SECOND = 1_000_000_000
# Printed by s2n-netbench-driver-client-tcp 0.1.0.
TRACE = b"""\
0:00:01.003354 throughput: rx=1.87GBps tx=1.99KBps
0:00:02.003843 throughput: rx=2.19GBps tx=0Bps
0:00:03.005667 throughput: rx=2.48GBps tx=0Bps
"""
# Printed by s2n-netbench-collector 0.1.0 without bpftrace.
COLLECTOR = b"""\
{"pid":12323,"driver":"s2n-netbench-driver-client-tcp","scenario":"rr.json","start_time":{"secs_since_epoch":1795257337}}
{"t":0,"memory":307200000,"virtual_memory":5775360000}
{"t":1000,"memory":3907584000,"virtual_memory":1079640064000}
{"t":2000,"cpu":86.033516,"memory":3907584000,"virtual_memory":1079640064000}
"""


def outputs(**files: bytes) -> Outputs:
    names = {name.replace("__", "."): content for name, content in files.items()}
    return Outputs((Process("client", start_ns=7 * SECOND, stop_ns=11 * SECOND),), tuple(names), names.get)


def test_the_drivers_trace_becomes_cumulative_bytes_on_the_workers_clock() -> None:
    series = throughput_trace(TRACE, 7 * SECOND)
    assert series
    assert series.at_ns == (7 * SECOND, 8_003_354_000, 9_003_843_000, 10_005_667_000)
    gbytes = 1.87 * 1.003354 + 2.19 * 1.000489 + 2.48 * 1.001824
    assert series.rx_bytes[-1] == pytest.approx(gbytes * 1e9)
    assert series.tx_bytes[-1] == pytest.approx(1990 * 1.003354)


def test_units_are_decimal() -> None:
    series = throughput_trace(b"0:00:01.000000 throughput: rx=805.64MBps tx=1.5TBps\n", 0)
    assert series
    assert (series.rx_bytes[-1], series.tx_bytes[-1]) == (pytest.approx(805.64e6), pytest.approx(1.5e12))


def test_a_run_of_less_than_a_second_prints_nothing_and_gives_no_series() -> None:
    assert throughput_trace(b"", 0) is None


def test_the_collector_without_bpftrace_knows_cpu_only() -> None:
    parsed = collector(COLLECTOR, 0)
    assert parsed.series is None
    assert [(metric.name, metric.value) for metric in parsed.metrics] == [("collector.cpu_max_pct", 86.033516)]


def test_the_collector_with_bpftrace_counts_bytes_and_connects() -> None:
    lines = [
        {"driver": "s2n-netbench-driver-client-tcp"},
        {"t": 1000, "connect_time": {"count": 2, "total": 700}, "receive": {"0:0": {"count": 3, "total": 1000}}},
        {
            "t": 2000,
            "receive": {"0:0": {"count": 3, "total": 500}, "1:0": {"total": 500}},
            "send": {"0:0": {"total": 7}},
        },
    ]
    parsed = collector("\n".join(map(json.dumps, lines)).encode(), SECOND)
    assert parsed.series
    assert (parsed.series.at_ns, parsed.series.rx_bytes) == ((2 * SECOND, 3 * SECOND), (1000, 2000))
    assert {metric.name: metric.value for metric in parsed.metrics}["connect_mean_us"] == 350


def test_the_real_driver_is_read_from_stderr_and_is_never_whole() -> None:
    parsed = PARSERS["netbench"](outputs(client__stderr=TRACE))
    assert parsed.series == throughput_trace(TRACE, 7 * SECOND)
    assert not parsed.whole


def statistics(*lines: dict[str, object]) -> bytes:
    return "".join(json.dumps(line) + "\n" for line in lines).encode()


START = {"kind": "start", "schema": 1, "monotonic_ns": 5, "wall_ns": 1}
INTERVAL = {"kind": "interval", "monotonic_ns": 10, "wall_ns": 1, "rx_bytes": 100, "tx_bytes": 1}
END = {"kind": "end", "monotonic_ns": 20, "first_byte_ns": 7, "rx_bytes": 150, "tx_bytes": 2, "status": "ok"}


def test_pynetbenchs_file_is_whole_once_it_has_an_end() -> None:
    parsed = statistics_file(statistics(START, INTERVAL, END))
    assert parsed.series
    assert (parsed.series.at_ns, parsed.series.rx_bytes, parsed.whole) == ((5, 10, 20), (0, 100, 150), True)
    assert not statistics_file(statistics(START, INTERVAL)).whole


def test_several_processes_of_a_host_add_up() -> None:
    both = pynetbench(outputs(a__jsonl=statistics(START, INTERVAL, END), b__jsonl=statistics(START, INTERVAL, END)))
    assert both.series
    assert both.series.rx_bytes[-1] == 300


def test_samplers_rows_become_columns_and_missing_readings_stay_missing() -> None:
    rows = [
        {"mono_ns": 0, "cpu_s": 0.0, "rx_bytes": 0, "tx_bytes": 0, "ena": {"bw_in_allowance_exceeded": 0}},
        {"mono_ns": SECOND, "rx_bytes": 10, "tx_bytes": 1, "ena": {"bw_in_allowance_exceeded": 4}},
        {"mono_ns": 2 * SECOND, "cpu_s": 1.5, "rx_bytes": 30, "tx_bytes": 2},
    ]
    found = sampler(statistics(*rows))
    assert found.counters["cpu_s"] == ((0, 2 * SECOND), (0.0, 1.5))
    assert found.counters["ena.bw_in_allowance_exceeded"][1] == (0, 4)
    assert "steal_s" not in found.counters
    assert found.interface
    assert found.interface.rx_bytes == (0, 10, 30)


# Hostile input: no parser raises, whatever it is given, and what comes out is finite.

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(10**18, 10**400)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["latency", "interval", "start", "end"]),
    lambda each: st.lists(each, max_size=3) | st.dictionaries(st.text(max_size=5), each, max_size=3),
    max_leaves=6,
)
NAMES = """
kind monotonic_ns rx_bytes tx_bytes first_byte_ns buckets count min_us max_us sum_us trace t cpu
connect_time receive send driver mono_ns cpu_s ena tcp_retransmits rss_bytes
"""
KEYS = st.sampled_from(NAMES.replace("\n", " ").strip().split(" "))
LINES = st.lists(st.dictionaries(KEYS, VALUES, max_size=8), max_size=12)
JUNK = (
    st.binary(max_size=300)
    | st.text("0123456789:. throughput=rxtKMGTPEZYBps\n", max_size=300).map(str.encode)
    | LINES.map(lambda lines: "\n".join(json.dumps(line) for line in lines).encode())
)


def check(parsed: Parsed) -> None:
    if parsed.series:
        assert list(parsed.series.at_ns) == sorted(set(parsed.series.at_ns))
        assert all(math.isfinite(value) for value in (*parsed.series.rx_bytes, *parsed.series.tx_bytes))
    assert all(math.isfinite(metric.value) for metric in parsed.metrics)
    for histogram in parsed.latencies.values():
        assert histogram.count > 0
        assert math.isfinite(histogram.percentile(99))


@given(JUNK, JUNK, JUNK)
def test_no_parser_fails_on_anything(stderr: bytes, stdout: bytes, lines: bytes) -> None:
    files = outputs(client__stderr=stderr, client__stdout=stdout, statistics__jsonl=lines)
    for parser in PARSERS.values():
        check(parser(files))


@example([{"mono_ns": 0, "cpu_s": 0}, {"mono_ns": 0.5, "cpu_s": 0}])
@given(st.lists(st.dictionaries(KEYS, st.integers() | st.floats() | VALUES, max_size=8), max_size=12))
def test_no_row_of_a_sampler_fails(rows: list[dict[str, object]]) -> None:
    found = sampler("\n".join(json.dumps(row) for row in rows).encode())
    for instants, values in found.counters.values():
        assert list(instants) == sorted(set(instants))
        assert all(math.isfinite(value) for value in values)


@given(st.data())
def test_a_cut_file_gives_what_came_before_the_cut(data: st.DataObject) -> None:
    whole = statistics(START, INTERVAL, END)
    cut = data.draw(st.integers(0, len(whole)))
    series = statistics_file(whole[:cut]).series
    assert series is None or series.rx_bytes[-1] in (100, 150)


def test_a_missing_file_is_nothing_and_no_failure() -> None:
    nothing = Outputs((), ("sampler.jsonl",), lambda name: None)
    assert all(parser(nothing).series is None for parser in PARSERS.values())
    assert sampler(nothing.content(SAMPLER)).interface is None


def test_statistics_of_a_version_that_is_not_known_are_not_read() -> None:
    lines = [{"kind": "start", "schema": 2, "monotonic_ns": 1}] + [
        {"kind": "interval", "monotonic_ns": at_ns, "rx_bytes": 1, "tx_bytes": 1} for at_ns in (2, 3)
    ]
    content = "".join(json.dumps(line) + "\n" for line in lines).encode()
    assert statistics_file(content) == Parsed()
    assert statistics_file(content.replace(b'"schema": 2', b'"schema": 1')).series


def memory_of(action: Callable[[], object]) -> int:
    """The most bytes that Python had allocated meanwhile."""
    tracemalloc.start()
    try:
        action()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("parser", [statistics_file, sampler, lambda content: collector(content, 0)])
@pytest.mark.parametrize("line", [b"\n", b"[\n", b'{"t":1}\n'])
def test_lines_without_number_are_not_kept(parser: Callable[[bytes], object], line: bytes, monkeypatch) -> None:
    monkeypatch.setattr(parsers, "ROWS_LIMIT", 1000)
    content = b'{"driver":1}\n' + line * 500_000
    assert memory_of(lambda: parser(content)) < 1 << 20


def test_a_line_without_end_is_not_read() -> None:
    content = b'{"kind":"interval","x":[' + b"[]," * 1_000_000 + b"[]]}\n"
    assert memory_of(lambda: statistics_file(content)) < 1 << 20


def test_counters_and_buckets_without_number_are_left_out() -> None:
    rows = [{"mono_ns": n, "ena": {f"c{n % 50}_{k}": 1 for k in range(50)}} for n in range(1, 101)]
    content = "".join(json.dumps(row) + "\n" for row in rows).encode()
    assert len(sampler(content).counters) == parsers.COLUMNS_LIMIT
    line = {"kind": "latency", "trace": "x", "min_us": 1.0, "max_us": 1.0, "sum_us": 1.0}
    for count, taken in ((parsers.BUCKETS_LIMIT, 1), (parsers.BUCKETS_LIMIT + 1, 0)):
        buckets = [[float(n), 1] for n in range(count)]
        assert len(statistics_file(json.dumps({**line, "buckets": buckets}).encode()).latencies) == taken
