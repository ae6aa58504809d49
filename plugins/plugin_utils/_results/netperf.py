# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""netperf's ``KEY=value`` output, and its interim results. Private to this collection.

Source: netperf 2.7.0, omni tests with ``-k`` (nettest_omni.c) and ``-D`` (netlib.c): ::

    NETPERF_INTERIM_RESULT[0]=7697.51     in NETPERF_UNITS[0], over the NETPERF_INTERVAL[0] seconds
    NETPERF_ENDING[0]=1795283556.494      that ended then, on the wall clock
    REMOTE_BYTES_RECVD=969128729          … the result

The bytes that count are those that either end received. Interim results tell when data flowed, and their course:
netperf's own end counts them. Where that is the sender, they are scaled to what was received, and what was received
lags behind by what stood in the buffers: up to 4 MB of TCP, a tenth of a second and more, and not always as much. When
the sender has ended, netperf waits until they are empty, and ``ELAPSED_TIME`` goes on: that says how much it was at
last. So the interface's counters, behind the buffers, tell a sender's course better (``at_receiver``). -1 means "not
measured". With -I netperf repeats the test: its interim results go on, and its counts are those of the last repeat.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

from .metrics import SUM, Metric
from .outputs import BOTH, NONE, ROWS_LIMIT, RX, TX, Flow, Outputs, Parsed, of_flows
from .records import Process
from .series import Series

Values = Mapping[str, str]
Interim = tuple[float, float, float]  # rate in any unit, seconds, end on the wall clock in s

NO_DEMO = b"Demo Mode not configured into this netperf"
WITHOUT_DEMO = (
    "netperf was built without demo mode, so its window is that of its processes, and its course that of the"
    " interface's counters"
)
_LINE = re.compile(rb"^([A-Z][A-Z0-9_]{0,60})(?:\[(\d{1,7})\])?=(.{0,4000})$", re.M)
_BITS = re.compile(r"10\^(\d{1,2})bits/s")
_BYTES = re.compile(r"([KMGT]?)Bytes/s")
_TRANSACTIONS = "Trans/s"
_LATELY_NS = 1_000_000_000
_SLACK_NS = 50_000_000  # wall and monotonic clock may have moved apart so much


def parse(outputs: Outputs) -> Parsed:
    """One flow for each client process."""
    parsed = of_flows([_flow(process, outputs) for process in outputs.processes])
    without = any(NO_DEMO in outputs.content(f"{process.name}.stdout") for process in outputs.processes)
    return replace(parsed, notes=(WITHOUT_DEMO,)) if without else parsed


def key_values(content: bytes) -> tuple[dict[str, str], list[Interim]]:
    """The result's keys, and the interim results in order."""
    values: dict[str, str] = {}
    interim: dict[int, dict[str, str]] = {}
    for found in itertools.islice(_LINE.finditer(content), ROWS_LIMIT):
        key, value = found[1].decode("ascii"), found[3].decode("utf-8", "replace").strip()
        if found[2] is None:
            values[key] = value
        else:
            interim.setdefault(int(found[2]), {})[key] = value
    rows = [_interim(interim[number]) for number in sorted(interim)]
    return values, [row for row in rows if row]


def _interim(row: Values) -> Interim | None:
    rate, seconds, ending = (_number(row, f"NETPERF_{name}") for name in ("INTERIM_RESULT", "INTERVAL", "ENDING"))
    if rate is None or seconds is None or ending is None or not (rate >= 0 and 0 < seconds < 1e6 and 0 < ending < 1e10):
        return None
    return rate, seconds, ending


def _flow(process: Process, outputs: Outputs) -> Flow:
    values, interim = key_values(outputs.content(f"{process.name}.stdout"))
    ends = [_count(values, f"{end}_BYTES_RECVD") for end in ("LOCAL", "REMOTE")]
    received = sum(each for each in ends if each) if any(each is not None for each in ends) else None
    local, remote = (bool(each) for each in ends)
    course = _course(process, interim, outputs.wall_minus_mono_ns)
    repeated = (_count(values, "CONFIDENCE_ITERATION") or 1) > 1
    moved = sum(rate * length for rate, length, _ending in interim)  # in the tool's unit, in all repeats
    if repeated and received:
        received = _bytes_of_all(moved, values)
    series = course.shape_of(received, course.start_ns, course.stop_ns) if course and received else None
    transactions = None
    if course and values.get("THROUGHPUT_UNITS") == _TRANSACTIONS:
        rate, seconds = _count(values, "THROUGHPUT"), _count(values, "ELAPSED_TIME")
        if rate and seconds:
            count = moved if repeated else rate * seconds
            transactions = course.shape_of(count, course.start_ns, course.stop_ns)
    return Flow(
        process=process.name,
        series=_received(series, values) if series and remote and not local else series,
        at_receiver=not remote,
        segment_bytes=_count(values, "TRANSPORT_MSS") or 0.0,
        received_bytes=received,
        active_ns=(course.start_ns, course.stop_ns) if course else None,
        interface=BOTH if local and remote else RX if local else TX if remote else NONE,
        transactions=transactions,
        metrics=tuple(_metrics(values)),
        values=values,
    )


def _bytes_of_all(moved: float, values: Values) -> float | None:
    """What was received in all repeats of the confidence mode (-I): the result's bytes are those of the last one.

    TCP delivers what its sender counts; of UDP the receivers' count is not known, nor are the bytes of transactions.
    """
    scale = bits(values.get("THROUGHPUT_UNITS", ""))
    return moved * scale / 8 if moved and scale and values.get("PROTOCOL") == "TCP" else None


def _course(process: Process, interim: list[Interim], wall_minus_mono_ns: int | None) -> Series | None:
    """How much moved, in netperf's own unit, by the interim results; on the worker's monotonic clock."""
    if not interim:
        return None
    seconds = sum(each[1] for each in interim)
    first_s = interim[0][2] - interim[0][1]
    start_ns = None if wall_minus_mono_ns is None else int(first_s * 1e9) - wall_minus_mono_ns
    if process.start_ns is not None and process.stop_ns is not None:
        earliest, latest = process.start_ns - _SLACK_NS, process.stop_ns + _SLACK_NS - int(seconds * 1e9)
        if start_ns is None or not earliest <= start_ns <= latest:  # no such clock, or it was set meanwhile
            start_ns = process.start_ns
    if start_ns is None:
        return None
    rows, moved, at_s = [(start_ns, 0.0, 0.0)], 0.0, 0.0
    for rate, length, _ending in interim:
        moved, at_s = moved + rate * length, at_s + length
        rows.append((start_ns + int(at_s * 1e9), moved, 0.0))
    return Series.of(rows)


def _received(sent: Series, values: Values) -> Series:
    """The receiver's course by the sender's: later by what the buffers held at the end, until they were empty."""
    elapsed_s = _count(values, "ELAPSED_TIME")
    empty_ns = sent.start_ns + int((elapsed_s or 0) * 1e9)
    if empty_ns <= sent.stop_ns:
        return sent
    before_ns = max(sent.start_ns, sent.stop_ns - _LATELY_NS)
    rate = sent.rx_between(before_ns, sent.stop_ns) / (sent.stop_ns - before_ns)
    held = min(rate * (empty_ns - sent.stop_ns), _count(values, "LSS_SIZE_END") or math.inf, sent.rx_bytes[-1])
    rows = zip(sent.at_ns, (max(0.0, moved - held) for moved in sent.rx_bytes), sent.tx_bytes, strict=True)
    return Series.of([*rows, (empty_ns, sent.rx_bytes[-1], sent.tx_bytes[-1])]) or sent


_TIMES = ("MIN", "MEAN", "P50", "P90", "P99", "MAX", "STDDEV")


def _metrics(values: Values) -> Iterator[Metric]:
    """What the whole test was like, in the tool's own words: averages over its own duration, not over the window."""
    units = values.get("THROUGHPUT_UNITS", "")
    throughput, scale = _count(values, "THROUGHPUT"), bits(units)
    if throughput is not None and units == _TRANSACTIONS:
        yield Metric("netperf.transaction_rate", throughput, SUM)
    elif throughput is not None and scale is not None:
        yield Metric("netperf.throughput_bps", throughput * scale, SUM)
        sent = [_count(values, f"{end}_SEND_THROUGHPUT") for end in ("LOCAL", "REMOTE")]
        if any(sent):
            yield Metric("netperf.sent_throughput_bps", sum(each or 0 for each in sent) * scale, SUM)
    if (round_trip := _count(values, "RT_LATENCY")) is not None:
        yield Metric("netperf.round_trip_latency_mean_us", round_trip)
    for name in _TIMES:
        if (latency := _count(values, f"{name}_LATENCY")) is not None:
            yield Metric(f"netperf.latency_{name.lower()}_us", latency)
    for end in ("LOCAL", "REMOTE"):
        if (percent := _count(values, f"{end}_CPU_UTIL")) is not None:
            yield Metric(f"netperf.cpu_{end.lower()}_pct", percent)
        if (demand := _count(values, f"{end}_SD")) is not None:
            per = "transaction" if values.get("SD_UNITS", "").endswith("Tran") else "kb"
            yield Metric(f"netperf.cpu_{end.lower()}_per_{per}_us", demand)
    if (spread := _count(values, "THROUGHPUT_CONFID")) is not None:
        yield Metric("netperf.throughput_confidence_pct", spread)
    again = [_count(values, f"{end}_TRANSPORT_RETRANS") for end in ("LOCAL", "REMOTE")]
    if any(each is not None for each in again):
        yield Metric("netperf.transport_retransmits", sum(each or 0 for each in again), SUM)
    yield from _lost(values)


def _lost(values: Values) -> Iterator[Metric]:
    """Of one-way UDP, what was sent and not received."""
    if values.get("PROTOCOL") != "UDP" or values.get("THROUGHPUT_UNITS") == _TRANSACTIONS:
        return
    sent, received = (
        sum(_count(values, f"{end}_BYTES_{what}") or 0 for end in ("LOCAL", "REMOTE")) for what in ("SENT", "RECVD")
    )
    if sent > 0:
        yield Metric("netperf.lost_pct", 100 * max(sent - received, 0) / sent)


def bits(units: str) -> float | None:
    """Bits per second in one of netperf's units of throughput, None for others; its bytes are binary (manual, -f)."""
    if found := _BITS.fullmatch(units):
        return float(10 ** int(found[1]))
    if found := _BYTES.fullmatch(units):
        return float(8 * 1024 ** (" KMGT".index(found[1]) if found[1] else 0))
    return None


def _count(values: Values, key: str) -> float | None:
    """A number that was measured: -1 says that it was not."""
    value = _number(values, key)
    return value if value is not None and value >= 0 else None


def _number(values: Values, key: str) -> float | None:
    try:
        value = float(values[key])
    except (KeyError, ValueError):
        return None
    return value if math.isfinite(value) and abs(value) < 1 << 63 else None
