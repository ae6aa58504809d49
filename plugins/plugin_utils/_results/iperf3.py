# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""iperf3's JSON, of clients that were told to fetch their server's too. Private to this collection.

Source: iperf3 3.12, ``--json --get-server-output`` (iperf_api.c, iperf_server_api.c; the fields of newer versions are
read too). The bytes that count are the receiver's: in each of the two documents, the client's and the one under
``server_output_json``, an interval's ``sum`` and ``sum_bidir_reverse`` with ``sender: false`` is what that end got.

iperf3 prints no instant finer than a second. Its process lives a little longer than its test, by the round trips
before and after it; half of that is taken to lie before. So an interval's place is uncertain by at most that. When one
flow begins or ends the others give way or get what it leaves, and that is uncertain by as much. A window that reached
there would count bytes of both, so it is made of what lies twice as much inside of the test.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .folder import json_object
from .metrics import SUM, Metric
from .outputs import BOTH, NONE, RX, TX, Flow, Outputs, Parsed, count, mapping, mappings, of_flows
from .records import Process
from .series import Series, total

SUMS = ("sum", "sum_bidir_reverse")
Document = Mapping[str, Any]


def parse(outputs: Outputs) -> Parsed:
    """One flow for each client process."""
    flows = []
    for process in outputs.processes:
        document = json_object(outputs.content(f"{process.name}.stdout"))
        flows.append(_flow(process, document) if document else Flow(process.name))
    return of_flows(flows)


def _flow(process: Process, document: Document) -> Flow:
    server = mapping(document, "server_output_json")
    here, there = _intervals(document), _intervals(server)
    end = mapping(document, "end")
    received = [
        found
        for name in ("sum_received", "sum_received_bidir_reverse")
        if (found := count(mapping(end, name), "bytes"))
    ]
    ways = {sender for _start, _stop, _omitted, sender, _bytes in here}
    interface = NONE if not ways else BOTH if len(ways) > 1 else TX if True in ways else RX
    placed = _placed(process, [*here, *there])
    series = active_ns = None
    if placed is not None:
        at_ns, within_ns = placed
        courses = [_course(each, at_ns, sender=False) for each in (here, there)]
        if interface == TX and not courses[1]:  # an old server tells no intervals: the sender's course must do
            courses.append(_scaled(_course(here, at_ns, sender=True), sum(received)))
        series = total([course for course in courses if course])
        stops = [stop for _start, stop, omitted, _sender, _bytes in here if not omitted]
        begins = [start for start, _stop, omitted, _sender, _bytes in here if not omitted]
        if series and stops:
            active_ns = at_ns + int(min(begins) * 1e9), min(at_ns + int(max(stops) * 1e9), series.stop_ns)
            inside_ns = 2 * within_ns
            if active_ns[1] - active_ns[0] > 4 * inside_ns:
                active_ns = active_ns[0] + inside_ns, active_ns[1] - inside_ns
    return Flow(
        process=process.name,
        series=series,
        received_bytes=sum(received) if received else None,
        active_ns=active_ns if active_ns and active_ns[0] < active_ns[1] else None,
        interface=interface,
        metrics=tuple(_metrics(end)),
    )


Interval = tuple[float, float, bool, bool, float]  # start and stop in s of the test, omitted, sender, bytes


def _intervals(document: Document) -> list[Interval]:
    """All sums of all intervals, in seconds since the test began: behind the omitted ones iperf3 counts anew."""
    found: list[Interval] = []
    base_s = last_s = 0.0
    was_omitted = False
    for interval in mappings(document, "intervals"):
        for name in SUMS:
            each = mapping(interval, name)
            start, stop, moved = (count(each, key) for key in ("start", "end", "bytes"))
            if start is None or stop is None or moved is None or not start < stop < 1e6:
                continue
            omitted = each.get("omitted") is True
            if was_omitted and not omitted:
                base_s = last_s
            was_omitted = omitted
            found.append((base_s + start, base_s + stop, omitted, each.get("sender") is not False, moved))
            last_s = base_s + stop
    return found


def _placed(process: Process, intervals: Sequence[Interval]) -> tuple[int, int] | None:
    """When the test began, and how wrong that can be: half the time that the process lived beside it."""
    if process.start_ns is None or process.stop_ns is None or not intervals:
        return None
    beside_ns = process.stop_ns - process.start_ns - int(max(interval[1] for interval in intervals) * 1e9)
    half_ns = max(beside_ns, 0) // 2
    return process.start_ns + half_ns, half_ns


def _course(intervals: Sequence[Interval], at_ns: int, *, sender: bool) -> Series | None:
    """The bytes that one end got (or sent), the omitted ones left out."""
    return Series.of(_rows(intervals, at_ns, sender))


def _rows(intervals: Sequence[Interval], at_ns: int, sender: bool) -> Iterator[tuple[int, float, float]]:
    received = 0.0
    for position, (start, stop, moved) in enumerate(
        (start, stop, moved) for start, stop, omitted, kind, moved in intervals if kind is sender and not omitted
    ):
        if position == 0:
            yield at_ns + int(start * 1e9), 0.0, 0.0
        received += moved
        yield at_ns + int(stop * 1e9), received, 0.0


def _scaled(course: Series | None, received: float) -> Series | None:
    return course.shape_of(received, course.start_ns, course.stop_ns) if course and received > 0 else None


def _metrics(end: Document) -> Iterator[Metric]:
    """What the whole test was like, in the tool's own words: averages over its own duration, not over the window."""
    sums = {name: mapping(end, name) for name in ("sum", "sum_sent", "sum_received")}
    back = {name: mapping(end, f"{name}_bidir_reverse") for name in sums}
    for name, key in (("throughput_bps", "sum_received"), ("sent_throughput_bps", "sum_sent")):
        rates = [rate for each in (sums, back) if (rate := count(each[key], "bits_per_second")) is not None]
        if rates:
            yield Metric(f"iperf3.{name}", sum(rates), SUM)
    again = [found for each in (sums, back) if (found := count(each["sum_sent"], "retransmits")) is not None]
    if again:
        yield Metric("iperf3.sender_retransmits", sum(again), SUM)
    yield from _streams(mappings(end, "streams"))
    yield from _datagrams(sums, back)
    cpu = mapping(end, "cpu_utilization_percent")
    for name, key in (("cpu_local_pct", "host_total"), ("cpu_remote_pct", "remote_total")):
        if (percent := count(cpu, key)) is not None:
            yield Metric(f"iperf3.{name}", percent)


def _streams(streams: Sequence[Document]) -> Iterator[Metric]:
    """Of the streams: how unequal they were, and TCP's round trips and window as the senders saw them."""
    rates = [rate for each in streams if (rate := count(mapping(each, "receiver"), "bits_per_second")) is not None]
    if rates:
        yield Metric("iperf3.stream_throughput_min_bps", min(rates))
    if len(rates) > 1 and max(rates) > 0:
        yield Metric("iperf3.stream_spread_pct", 100 * (max(rates) - min(rates)) / max(rates))
    senders = [mapping(each, "sender") for each in streams]
    for name, key, pick in (
        ("rtt_min_us", "min_rtt", min), ("rtt_mean_us", "mean_rtt", _mean), ("rtt_max_us", "max_rtt", max),
        ("cwnd_max_bytes", "max_snd_cwnd", max),
    ):  # fmt: skip
        values = [value for sender in senders if (value := count(sender, key))]
        if values:
            yield Metric(f"iperf3.{name}", pick(values))
    disordered = [found for each in streams if (found := count(mapping(each, "udp"), "out_of_order")) is not None]
    if disordered:
        yield Metric("iperf3.out_of_order_packets", sum(disordered), SUM)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _datagrams(sums: Mapping[str, Document], back: Mapping[str, Document]) -> Iterator[Metric]:
    """Of UDP: the receiver's loss and jitter. Versions before 3.7 tell them in ``sum`` only."""
    seen = [each["sum_received"] if "lost_packets" in each["sum_received"] else each["sum"] for each in (sums, back)]
    seen = [each for each in seen if count(each, "packets")]
    if not seen:
        return
    packets, lost = (sum(count(each, name) or 0.0 for each in seen) for name in ("packets", "lost_packets"))
    yield Metric("iperf3.sent_packets", packets, SUM)
    yield Metric("iperf3.lost_packets", lost, SUM)
    yield Metric("iperf3.lost_pct", 100 * lost / packets)
    jitters = [jitter for each in seen if (jitter := count(each, "jitter_ms")) is not None]
    if jitters:
        yield Metric("iperf3.jitter_ms", max(jitters))
