# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From a sample's record and raw files to its row in samples.csv. Private to this collection."""

from __future__ import annotations

import csv
import io
import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from . import folder as folders
from .folder import ResultFolder
from .goodput import Received, received
from .histogram import merged
from .metrics import SUM, Metric, combined
from .outputs import Outputs, Parsed
from .parsers import PARSERS, SAMPLER, Sampled, nothing, sampler
from .records import HostSample, Run, Sample, Window
from .series import Series, confined, reading

COLUMNS = (  # the contract with users' scripts: add behind, never reorder
    "sample", "attempt", "started_utc", "verdict", "reason", "hosts",
    "start_skew_us", "start_skew_error_us", "stop_skew_us", "window_s", "lost_window_s", "control_packets",
    "rx_bytes", "tx_bytes", "goodput_bps", "goodput_source", "point", "repeat", "missing",
)  # fmt: skip
PERCENTILES = (50, 90, 95, 99)
Cell = str | int | float | None


@dataclass(frozen=True)
class HostData:
    """What one host left of one sample, parsed; ``received`` on the coordinator's clock, the rest on the worker's."""

    host: HostSample
    parsed: Parsed
    sampled: Sampled
    received: Received | None


@dataclass(frozen=True)
class Measured:
    """One sample with everything that was computed from its raw files."""

    sample: Sample
    receivers: tuple[str, ...]
    hosts: Mapping[str, HostData]
    rx_bytes: float | None  # of the receivers, inside the window
    tx_bytes: float | None
    goodput_bps: float | None
    goodput_source: str
    shares_bps: Mapping[str, float]  # goodput of each receiver inside the window
    metrics: tuple[Metric, ...]
    notes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # by host

    def light(self) -> Measured:
        """The same without the raw series, for keeping many."""
        return replace(self, hosts={})

    def figures(self) -> dict[str, float]:
        """Every number that is worth a statistic, by its name in samples.csv."""
        sample = self.sample
        figures = {
            name: getattr(sample, name) for name in ("start_skew_us", "stop_skew_us", "window_s", "lost_window_s")
        }
        figures |= {"control_packets": sample.control_packets, "goodput_bps": self.goodput_bps}
        figures |= {"rx_bytes": self.rx_bytes, "tx_bytes": self.tx_bytes}
        figures |= {metric.name: metric.value for metric in self.metrics}
        return {name: value for name, value in figures.items() if value is not None}


def measure(folder: ResultFolder, run: Run, sample: Sample) -> Measured:
    """Read and compute one sample."""
    point = run.points[sample.point]
    shared = shared_interfaces(run)
    hosts = {}
    for name, host in sample.hosts.items():
        outputs = _outputs(folder, host)
        parsed = PARSERS.get(_parser(point.parsers.get(host.group), outputs), nothing)(outputs)
        sampled = sampler(outputs.content(SAMPLER))
        hosts[name] = HostData(
            host,
            parsed,
            sampled,
            received(
                host,
                parsed=parsed,
                interface=sampled.interface,
                expected_rx_bytes=point.expected_rx_bytes.get(name) if sample.verdict in ("ok", "invalid") else None,
                shared_interface=name in shared,
                retransmits=sampled.counters.get("tcp_retransmits"),
            ),
        )
    receivers = tuple(
        name for name, host in sample.hosts.items() if host.group in receiving_groups(point.receivers, sample)
    )
    notes = {name: data.parsed.notes for name, data in hosts.items() if data.parsed.notes}
    return replace(_measured(_windowed(sample, receivers, hosts), receivers, hosts, shared, point.peers), notes=notes)


def _windowed(sample: Sample, receivers: Sequence[str], hosts: Mapping[str, HostData]) -> Sample:
    """The sample with the window in which data flowed, where every receiver's tool tells that of every process.

    A process lives longer than its data flow: it connects and exchanges results, and netperf's TCP_CRR then waits 4 s.
    """
    active = []
    for name in receivers:
        data = hosts[name]
        for flow in data.parsed.flows:
            if flow.active_ns is None or data.host.offset_ns is None:
                return sample
            active.append((flow.active_ns[0] - data.host.offset_ns, flow.active_ns[1] - data.host.offset_ns))
    if not active or sample.window is None or not all(hosts[name].parsed.flows for name in receivers):
        return sample
    starts, stops = zip(*active, strict=True)
    start_ns, stop_ns = max(*starts, sample.window.start_ns), min(*stops, sample.window.stop_ns)
    if stop_ns <= start_ns:
        return sample
    wall_ns = sample.window.start_wall_ns
    window = Window(start_ns, stop_ns, None if wall_ns is None else wall_ns + start_ns - sample.window.start_ns)
    seconds = (stop_ns - start_ns) / 1e9
    return replace(sample, window=window, window_s=seconds, lost_window_s=(max(stops) - min(starts)) / 1e9 - seconds)


def receiving_groups(named: Sequence[str], sample: Sample) -> tuple[str, ...]:
    """The groups whose bytes count: as the workload says, else ``clients``, else the group of the last start."""
    groups = {host.group: host for host in sample.hosts.values()}
    if named:
        return tuple(named)
    return ("clients",) if "clients" in groups else tuple(list(groups)[-1:])


def shared_interfaces(run: Run) -> frozenset[str]:
    """Hosts whose interface counters hold the traffic of others too: those on loopback."""
    shared = set()
    for name, facts in run.hosts.items():
        try:
            if ipaddress.ip_address(str(facts.get("address", ""))).is_loopback:
                shared.add(name)
        except ValueError:
            continue
    return frozenset(shared)


def _outputs(folder: ResultFolder, host: HostSample) -> Outputs:
    if not host.folder:
        return Outputs(host.processes, (), lambda name: None, host.wall_minus_mono_ns)
    path = folder.outputs(host.host, host.folder)
    names = dict.fromkeys(sorted(each.name for each in path.iterdir() if each.is_file())) if path.is_dir() else {}
    left_bytes = folders.HOST_LIMIT_BYTES

    def read(name: str) -> bytes | None:
        nonlocal left_bytes
        content = folders.read(path / name, limit=min(folders.FILE_LIMIT_BYTES, left_bytes)) if name in names else None
        left_bytes -= len(content or b"")
        return content

    return Outputs(host.processes, tuple(names), read, host.wall_minus_mono_ns)


def _parser(named: str | None, outputs: Outputs) -> str:
    """The workload's choice; without one, what the files look like."""
    return named or ("pynetbench" if "statistics.jsonl" in outputs.names else "none")


def _measured(
    sample: Sample,
    receivers: tuple[str, ...],
    hosts: Mapping[str, HostData],
    shared: frozenset[str],
    peers: Mapping[str, Mapping[str, str]],
) -> Measured:
    rx_bytes = tx_bytes = goodput_bps = None
    shares_bps: dict[str, float] = {}
    found = {name: each for name in receivers if (each := hosts[name].received)}
    if sample.window:
        start_ns, stop_ns = sample.window.start_ns, sample.window.stop_ns
        inside = {name: each.series.rx_between(start_ns, stop_ns) for name, each in found.items()}
        shares_bps = {name: count * 8e9 / (stop_ns - start_ns) for name, count in inside.items()}
        if found and len(found) == len(receivers):  # a sum without one receiver would be a wrong one
            rx_bytes = sum(inside.values())
            goodput_bps = sum(shares_bps.values())
            if all(each.sent_known for each in found.values()):
                tx_bytes = sum(each.series.tx_between(start_ns, stop_ns) for each in found.values())
    return Measured(
        sample=sample,
        receivers=receivers,
        hosts=hosts,
        rx_bytes=rx_bytes,
        tx_bytes=tx_bytes,
        goodput_bps=goodput_bps,
        goodput_source=" ".join(sorted({each.source for each in found.values()})) if goodput_bps is not None else "",
        shares_bps=shares_bps,
        metrics=(
            *_latencies(hosts.values()),
            *_driver_metrics(hosts.values()),
            *_transactions(sample, hosts.values()),
            *_resources(sample, hosts, shared),
            *(Metric(f"host.{host}.goodput_bps", value) for host, value in shares_bps.items()),
            *_shared_pairs(sample, hosts, peers),
        ),
    )


def _shared_pairs(
    sample: Sample, hosts: Mapping[str, HostData], peers: Mapping[str, Mapping[str, str]]
) -> list[Metric]:
    """Of pairs that share hosts each one's part: ``pair.client1>server2.goodput_bps``, inside the window."""
    if not sample.window or len(sample.pairs) < 2:
        return []
    start_ns, stop_ns = sample.window.start_ns, sample.window.stop_ns
    metrics = []
    for name, data in hosts.items():
        offset_ns = data.host.offset_ns or 0
        for flow in data.parsed.flows:
            peer = peers.get(name, {}).get(flow.process, "")
            if (name, peer) not in sample.pairs:
                continue
            courses = {"goodput_bps": (flow.series, 8e9), "transaction_rate": (flow.transactions, 1e9)}
            moved = [
                Metric(
                    each,
                    course.rx_between(start_ns + offset_ns, stop_ns + offset_ns) * scale / (stop_ns - start_ns),
                    SUM,
                )
                for each, (course, scale) in courses.items()
                if course
            ]
            metrics += [replace(each, name=f"{pair_name(name, peer)}.{each.name}") for each in (*moved, *flow.metrics)]
    return combined(metrics)


def pair_name(client: str, server: str) -> str:
    return f"pair.{client}>{server}"


def _latencies(hosts: Iterable[HostData]) -> list[Metric]:
    """Percentiles of the merged histograms of each group and trace: ``clients.latency.request.p99_us``."""
    metrics = []
    known = list(hosts)
    for group in sorted({data.host.group for data in known}):
        members = [data.parsed.latencies for data in known if data.host.group == group]
        for trace in sorted({trace for latencies in members for trace in latencies}):
            union = merged(latencies[trace] for latencies in members if trace in latencies)
            if union:
                name = f"{group}.latency.{trace}"
                metrics += [Metric(f"{name}.p{percent}_us", union.percentile(percent)) for percent in PERCENTILES]
                metrics += [Metric(f"{name}.mean_us", union.mean), Metric(f"{name}.max_us", union.maximum)]
                metrics.append(Metric(f"{name}.count", union.count))
    return metrics


def _driver_metrics(hosts: Iterable[HostData]) -> list[Metric]:
    """The parsers' own figures, of each group together."""
    return combined(
        replace(metric, name=f"{data.host.group}.{metric.name}") for data in hosts for metric in data.parsed.metrics
    )


def _transactions(sample: Sample, hosts: Iterable[HostData]) -> list[Metric]:
    """Transactions of each group inside the window, per second of it; nothing unless all of its processes tell."""
    window = sample.window
    if window is None:
        return []
    flows: dict[str, list[Series | None]] = {}
    for data in hosts:
        for flow in data.parsed.flows:
            there = flow.transactions if data.host.offset_ns is not None else None
            flows.setdefault(data.host.group, []).append(there and there.shifted(-(data.host.offset_ns or 0)))
    return [
        Metric(
            f"{group}.transaction_rate",
            sum(each.rx_between(window.start_ns, window.stop_ns) for each in known)
            * 1e9
            / (window.stop_ns - window.start_ns),
        )
        for group, each_flow in flows.items()
        if len(known := [each for each in each_flow if each]) == len(each_flow)
    ]


_SUMS = {name: name for name in ("tcp_retransmits", "rx_dropped", "tx_dropped", "softirq_s", "steal_s")} | {
    "cpu_s": "cpu_cores",
    "rx_bytes": "interface_rx_bytes",
    "tx_bytes": "interface_tx_bytes",
}


def _resources(sample: Sample, hosts: Mapping[str, HostData], shared: frozenset[str]) -> list[Metric]:
    """The sampler's counters inside the window, summed over each group: ``clients.tcp_retransmits``.

    Hosts that share a machine all see its counters: then it is the largest instead, and the interface says nothing.
    """
    window = sample.window
    if window is None:
        return []
    seconds = (window.stop_ns - window.start_ns) / 1e9
    sums: dict[str, float] = {}
    for data in hosts.values():
        offset_ns, life = data.host.offset_ns, data.host.life
        if offset_ns is None:
            continue
        for counter, (instants, values) in data.sampled.counters.items():
            name = _SUMS.get(counter, counter if counter.startswith("ena.") else None)
            if name is None or (name.startswith("interface_") and data.host.host in shared):
                continue
            if life:
                instants, values = confined(instants, values, *life)
            moved = reading(instants, values, window.stop_ns + offset_ns)
            moved -= reading(instants, values, window.start_ns + offset_ns)
            key = f"{data.host.group}.{name}"
            if counter == "cpu_s":
                sums[key] = sums.get(key, 0.0) + moved / seconds
            elif data.host.host in shared:
                sums[key] = max(sums.get(key, 0.0), moved)
            else:
                sums[key] = sums.get(key, 0.0) + moved
    return [Metric(name, value) for name, value in sorted(sums.items())]


def row(measured: Measured) -> dict[str, Cell]:
    """One row of samples.csv: the contract's columns, ``param.<name>``, then the metrics."""
    sample = measured.sample
    cells: dict[str, Cell] = {name: getattr(sample, name, None) for name in COLUMNS}
    cells |= {"hosts": len(sample.hosts), "missing": " ".join(sample.missing)}
    cells |= {name: _whole(getattr(measured, name)) for name in ("rx_bytes", "tx_bytes", "goodput_bps")}
    cells["goodput_source"] = measured.goodput_source
    cells |= {f"param.{name}": _cell(value) for name, value in sample.parameters.items()}
    return cells | {metric.name: metric.value for metric in measured.metrics}


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)


def _cell(value: Any) -> Cell:
    if value is None or (isinstance(value, (int, float)) and not isinstance(value, bool)):
        return value
    return str(value).lower() if isinstance(value, bool) else str(value)


# CSV

_FORMULA = ("=", "+", "-", "@")


def to_csv(rows: Sequence[Mapping[str, Cell]]) -> str:
    """samples.csv (RFC 4180). A text that a spreadsheet would take for a formula gets an apostrophe in front."""
    names = [*COLUMNS]
    for kind in (True, False):  # parameters first, then metrics, each in order of appearance
        for each in rows:
            names += [name for name in each if name not in names and name.startswith("param.") is kind]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([[_written(each.get(name)) for name in names] for each in rows])
    return out.getvalue()


def _written(cell: Cell) -> str:
    if cell is None:
        return ""
    if isinstance(cell, str):
        return "'" + cell if cell.startswith((*_FORMULA, "'")) else cell
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() and abs(cell) < 1e15 else f"{cell:.9g}"
    return str(cell)


def from_csv(content: str) -> list[dict[str, str]]:
    """The rows of samples.csv as text, apostrophes taken off again."""
    rows = list(csv.DictReader(io.StringIO(content)))
    return [
        {name: cell[1:] if cell[:1] == "'" and cell[1:2] in {*_FORMULA, "'"} else cell for name, cell in each.items()}
        for each in rows
    ]


def interface_of(data: HostData) -> Series | None:
    """The interface's counters on the coordinator's clock."""
    interface = data.sampled.interface
    return interface.shifted(-data.host.offset_ns) if interface and data.host.offset_ns is not None else None
