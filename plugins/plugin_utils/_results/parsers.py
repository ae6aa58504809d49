# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the tools wrote, read: one parser per tool, by name. Private to this collection.

A workload names the parser of each group's outputs; :data:`PARSERS` is the table. A parser gets what one host left of
one sample and returns a :class:`Parsed`: bytes over time on that worker's monotonic clock, latencies, and figures of
its own. All input is hostile: a parser never raises, and takes a value of the wrong kind as missing.

Sources of the formats: s2n-netbench 0.1 (``trace.rs``, ``units/byte.rs``, collector), our own pynetbench
(module_utils/_netbench/tracing.py), the worker's sampler (docs/architecture.md).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from . import iperf3, netperf
from .folder import json_lines
from .histogram import Histogram, merged
from .metrics import Metric, part
from .outputs import ROWS_LIMIT, Outputs, Parsed, Parser, mapping, number
from .series import Series, total

TRACES_LIMIT = 50  # distinct latencies of one host
LINE_LIMIT_BYTES = 1 << 20
COLUMNS_LIMIT = 200
BUCKETS_LIMIT = 10_000


def _lines(content: bytes) -> Iterator[dict[str, Any]]:
    return json_lines(content, limit_bytes=LINE_LIMIT_BYTES, most=ROWS_LIMIT)


# s2n-netbench: the driver's throughput trace, and the collector's lines where it was used.

_RATE = rb"(\d{1,20}(?:\.\d{1,6})?)([KMGTPEZY]?)Bps"
_TRACE = re.compile(rb"(\d{1,6}):(\d\d):(\d\d)\.(\d{6}) throughput: rx=%b tx=%b" % (_RATE, _RATE))
_SCALE = {letter: 1000.0**power for power, letter in enumerate(("", *"KMGTPEZY"))}


def throughput_trace(content: bytes, start_ns: int) -> Series | None:
    """The series of ``TRACE=throughput``: ``0:00:01.003354 throughput: rx=1.87GBps tx=1.99KBps``.

    Bytes per second in decimal units, over the time since the line before; the time is the process' own. Rates have
    three digits, so a line is exact to 0.5 %, and the last, partial second is not printed: the series is not whole.
    """
    return Series.of(_trace_rows(content, start_ns))


def _trace_rows(content: bytes, start_ns: int) -> Iterator[tuple[int, float, float]]:
    before_ns, rx_bytes, tx_bytes = 0, 0.0, 0.0
    yield start_ns, 0.0, 0.0
    for count, found in enumerate(_TRACE.finditer(content)):
        hours, minutes, seconds, micros, rx, rx_unit, tx, tx_unit = (group.decode() for group in found.groups())
        at_ns = ((int(hours) * 60 + int(minutes)) * 60 + int(seconds)) * 1_000_000_000 + int(micros) * 1000
        elapsed_s = max(at_ns - before_ns, 0) / 1e9
        rx_bytes += float(rx) * _SCALE[rx_unit] * elapsed_s
        tx_bytes += float(tx) * _SCALE[tx_unit] * elapsed_s
        yield start_ns + at_ns, rx_bytes, tx_bytes
        before_ns = max(before_ns, at_ns)
        if count > ROWS_LIMIT:
            return


def collector(content: bytes, start_ns: int) -> Parsed:
    """The collector's JSON lines. Bytes are in them only where it ran with root and bpftrace.

    Its memory figures are wrong and are left out.
    """
    lines = _lines(content)
    if "driver" not in next(lines, {}):
        return Parsed()
    rows, connects, connect_us, cpu_pct = [], 0.0, 0.0, []
    rx_bytes = tx_bytes = 0.0
    for line in lines:
        at_ms = number(line, "t")
        if at_ms is None:
            continue
        rx_bytes += _totals(line, "receive")
        tx_bytes += _totals(line, "send")
        rows.append((start_ns + int(at_ms * 1e6), rx_bytes, tx_bytes))
        connect = mapping(line, "connect_time")
        connects += number(connect, "count") or 0
        connect_us += number(connect, "total") or 0
        cpu_pct.append(number(line, "cpu") or 0.0)
    metrics = [Metric("collector.cpu_max_pct", max(cpu_pct))] if cpu_pct else []
    if connects > 0:
        metrics.append(Metric("connect_mean_us", connect_us / connects))
    return Parsed(series=Series.of(rows) if rx_bytes or tx_bytes else None, metrics=tuple(metrics))


def _totals(line: Mapping[str, Any], name: str) -> float:
    return sum(number(each, "total") or 0.0 for each in mapping(line, name).values() if isinstance(each, dict))


def netbench(outputs: Outputs) -> Parsed:
    """The real drivers, each process with its trace on stderr; behind a collector, the collector's lines on stdout."""
    found, metrics = [], list[Metric]()
    for process in outputs.processes:
        if process.start_ns is None:
            continue
        series = throughput_trace(outputs.content(f"{process.name}.stderr"), process.start_ns)
        collected = collector(outputs.content(f"{process.name}.stdout"), process.start_ns)
        metrics.extend(collected.metrics)
        if series or collected.series:
            found.append(series or collected.series)
    return Parsed(series=total([each for each in found if each]), metrics=tuple(metrics))


# pynetbench: its statistics file, one per process.


def statistics_file(content: bytes) -> Parsed:
    """JSON lines ``start``, ``interval``…, ``latency``…, ``end``; payload, cumulative, on the worker's clock."""
    rows: list[tuple[int, float, float]] = []
    latencies: dict[str, Histogram] = {}
    first_byte_ns = start_ns = None
    whole = False
    for line in _lines(content):
        kind, at_ns = line.get("kind"), number(line, "monotonic_ns")
        if kind == "latency" and len(latencies) < TRACES_LIMIT:
            histogram = _histogram(line)
            if histogram:
                latencies[part(str(line.get("trace")))] = histogram
        elif at_ns is None:
            continue
        elif kind == "start":
            if line.get("schema", 1) != 1:
                return Parsed()  # of a later version: what its numbers mean is not known
            start_ns = at_ns
            rows.append((int(at_ns), 0.0, 0.0))
        elif kind in ("interval", "end"):
            rx_bytes, tx_bytes = number(line, "rx_bytes"), number(line, "tx_bytes")
            if rx_bytes is not None and tx_bytes is not None and min(rx_bytes, tx_bytes) >= 0:
                rows.append((int(at_ns), rx_bytes, tx_bytes))
            if kind == "end":
                first_byte_ns, whole = number(line, "first_byte_ns"), True
    metrics = []
    if first_byte_ns is not None and start_ns is not None and first_byte_ns >= start_ns:
        metrics.append(Metric("first_byte_ms", (first_byte_ns - start_ns) / 1e6))
    return Parsed(series=Series.of(rows), whole=whole, latencies=latencies, metrics=tuple(metrics))


def _histogram(line: Mapping[str, Any]) -> Histogram | None:
    buckets = line.get("buckets")
    counts: dict[float, int] = {}
    for bucket in buckets if isinstance(buckets, list) and len(buckets) <= BUCKETS_LIMIT else ():
        if not (isinstance(bucket, list) and len(bucket) == 2):
            return None
        upper, count = (number({"x": each}, "x") for each in bucket)
        if upper is None or count is None or upper < 0 or not 0 < count < 1e15:
            return None
        counts[upper] = counts.get(upper, 0) + int(count)
    extremes = [number(line, name) for name in ("min_us", "max_us", "sum_us")]
    if not counts or None in extremes:
        return None
    return Histogram(counts, *(value or 0.0 for value in extremes))


def pynetbench(outputs: Outputs) -> Parsed:
    """Our own driver: every ``.jsonl`` beside the sampler's is a statistics file."""
    parsed = [
        statistics_file(outputs.content(name)) for name in outputs.names if name.endswith(".jsonl") and name != SAMPLER
    ]
    parsed = [each for each in parsed if each.series]
    names = sorted({name for each in parsed for name in each.latencies})
    unions = {name: merged(each.latencies[name] for each in parsed if name in each.latencies) for name in names}
    return Parsed(
        series=total([each.series for each in parsed if each.series]),
        whole=bool(parsed) and all(each.whole for each in parsed),
        latencies={name: histogram for name, histogram in unions.items() if histogram},
        metrics=tuple(metric for each in parsed for metric in each.metrics),
    )


def nothing(outputs: Outputs) -> Parsed:
    """A program whose outputs nobody reads: the interface's counters must do."""
    return Parsed()


PARSERS: Mapping[str, Parser] = {
    "netbench": netbench,
    "pynetbench": pynetbench,
    "iperf3": iperf3.parse,
    "netperf": netperf.parse,
    "command": nothing,
    "none": nothing,
}


# The worker's sampler.

SAMPLER = "sampler.jsonl"
_COUNTERS = (
    "cpu_s", "rx_bytes", "tx_bytes", "rx_packets", "tx_packets", "rx_dropped", "tx_dropped",
    "tcp_retransmits", "softirq_s", "steal_s",
)  # fmt: skip


@dataclass(frozen=True)
class Sampled:
    """The sampler's rows by column: instants (worker's monotonic clock) and readings; what is missing is left out."""

    counters: Mapping[str, tuple[tuple[int, ...], tuple[float, ...]]]
    rss_bytes: tuple[tuple[int, ...], tuple[float, ...]] = ((), ())

    @property
    def interface(self) -> Series | None:
        rx, tx = self.counters.get("rx_bytes"), self.counters.get("tx_bytes")
        if not rx or not tx or rx[0] != tx[0]:
            return None
        return Series.of(zip(rx[0], rx[1], tx[1], strict=True))


def sampler(content: bytes) -> Sampled:
    """``sampler.jsonl``: one row per tick."""
    columns: dict[str, tuple[list[int], list[float]]] = {}
    last_ns = None
    for line in _lines(content):
        at_ns = number(line, "mono_ns")
        if at_ns is None or (last_ns is not None and int(at_ns) <= last_ns):
            continue
        last_ns = int(at_ns)
        values = {name: number(line, name) for name in (*_COUNTERS, "rss_bytes")}
        values |= {f"ena.{part(name)}": number(mapping(line, "ena"), name) for name in list(mapping(line, "ena"))[:50]}
        for name, value in values.items():
            if value is not None and (name in columns or len(columns) < COLUMNS_LIMIT):
                instants, readings = columns.setdefault(name, ([], []))
                falls = name != "rss_bytes" and readings and value < readings[-1]
                instants.append(last_ns)
                readings.append(readings[-1] if falls else value)  # a counter never goes back
    frozen = {name: (tuple(instants), tuple(readings)) for name, (instants, readings) in columns.items()}
    rss = frozen.pop("rss_bytes", ((), ()))
    return Sampled(counters={name: column for name, column in frozen.items() if len(column[0]) > 1}, rss_bytes=rss)
