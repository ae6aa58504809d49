# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the result folder that a coordinator and its workers would leave, with known truths inside.

Every host has a clock of its own (offset in hours). Clients receive at a constant rate between their start and stop,
so the goodput inside the window is known exactly: ``clients × rate``. Sample 1 fails once and is retried, the last
one is invalid.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

SECOND = 1_000_000_000
BASE_NS = 5_000 * SECOND  # the coordinator's monotonic clock
WALL_NS = 1_795_259_100 * SECOND  # 2026-11-21T11:05:00Z
VERSIONS = {"collection": "0.1.0", "ansible-core": "2.19.14", "python": "3.11.9"}


@dataclass(frozen=True)
class Shape:
    """How large the run is, and what its clients receive."""

    servers: int = 3
    clients: int = 2
    points: int = 2
    repeats: int = 2
    seconds: float = 6.0
    rate_bytes_s: float = 125_000_000.0
    flawed: bool = True
    sampler_s: float = 0.5
    address: str = "198.18.1.{}"


def write_run(results: Path, shape: Shape | None = None, *, run_id: str = "20261121T110500Z-incast-k3fq") -> Path:
    shape = shape or Shape()
    folder = results / run_id
    folder.mkdir(parents=True)
    order = [point for _repeat in range(shape.repeats) for point in range(shape.points)]
    random.Random(7).shuffle(order)
    hosts = {f"server-{i}": ("servers", i) for i in range(shape.servers)}
    hosts |= {f"client-{i}": ("clients", i) for i in range(shape.clients)}
    plan = _plan(run_id, shape, order, hosts)
    (folder / "plan.json").write_text(json.dumps(plan))
    lines: list[dict[str, Any]] = [_head(run_id, shape, plan, hosts)]
    start_ns, repeats = BASE_NS, {}
    for number, point in enumerate(order):
        repeats[point] = repeats.get(point, 0) + 1
        for attempt in (1, 2) if shape.flawed and number == 1 else (1,):
            failed = shape.flawed and number == 1 and attempt == 1
            invalid = shape.flawed and number == len(order) - 1
            writer = SampleWriter(folder, shape, hosts, number, attempt, start_ns)
            verdict = "failed" if failed else "invalid" if invalid else "ok"
            lines.append(writer.write(verdict, point, repeats[point], plan["points"][point]["parameters"]))
            start_ns += int((shape.seconds + 2) * SECOND)
    ended = {"ended_utc": "2026-11-21T11:06:00.000000Z", "reason": None, "collected": {}}
    lines.append(
        {"event": "end", "utc": "2026-11-21T11:06:00.000000Z", "verdict": "partial" if shape.flawed else "ok", **ended}
    )
    (folder / "coordinator.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "journal").mkdir()
    for host in hosts:
        (folder / "journal" / f"{host}.jsonl").write_text('{"state":"done"}\n')
    return folder


def utc(wall_ns: int) -> str:
    return datetime.fromtimestamp(wall_ns / SECOND, tz=UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _plan(run_id: str, shape: Shape, order: list[int], hosts: dict[str, tuple[str, int]]) -> dict[str, Any]:
    return {
        "schema": 1, "run_id": run_id, "suite": "incast", "seed": 42, "sha256": "5e" * 32, "repeats": shape.repeats,
        "workload": {"name": "pynetbench"},
        "samples": [{"sample": i, "point": point, "repeat": 1} for i, point in enumerate(order)],
        "points": [
            {
                "parameters": {"driver": "pynetbench", "response_size": 1000 * 10**point},
                "parsers": {"servers": "pynetbench", "clients": "pynetbench"},
                "receivers": ["clients"], "t0_groups": ["clients"], "expected_s": shape.seconds,
                "evidence": {},
            }
            for point in range(shape.points)
        ],
    }  # fmt: skip


def _head(run_id: str, shape: Shape, plan: dict[str, Any], hosts: dict[str, tuple[str, int]]) -> dict[str, Any]:
    facts = {
        host: {
            "address": shape.address.format(11 + position), "group": group, "index": index, "os": "Debian GNU/Linux 12",
            "kernel": "6.1.0-28-amd64", "cpus": 8,
            "clock": {"clocksource": "tsc", "synchronized": True, "max_error_us": 812},
        }
        for position, (host, (group, index)) in enumerate(hosts.items())
    }  # fmt: skip
    groups: dict[str, list[str]] = {}
    for host, (group, _index) in hosts.items():
        groups.setdefault(group, []).append(host)
    return {
        "event": "run", "utc": "2026-11-21T11:05:00.000000Z", "run_id": run_id, "suite": "incast", "seed": 42,
        "plan_sha256": plan["sha256"], "started_utc": "2026-11-21T11:05:00.000000Z",
        "wall_minus_mono_ns": WALL_NS - BASE_NS, "versions": VERSIONS, "hosts": facts, "groups": groups,
    }  # fmt: skip


class SampleWriter:
    """One attempt: the hosts' files, and the coordinator's line about it."""

    def __init__(
        self, folder: Path, shape: Shape, hosts: dict[str, tuple[str, int]], number: int, attempt: int, start_ns: int
    ) -> None:
        self.folder, self.shape, self.hosts = folder, shape, hosts
        self.number, self.attempt, self.start_ns = number, attempt, start_ns
        self.random = random.Random(number * 100 + attempt)
        self.name = f"{number:04d}" if attempt == 1 else f"{number:04d}.{attempt}"

    def write(self, verdict: str, point: int, repeat: int, parameters: dict[str, Any]) -> dict[str, Any]:
        t0_ns = self.start_ns + SECOND
        starts, stops = {}, {}
        for host, (group, _index) in self.hosts.items():
            spread_us = 900 if verdict == "invalid" else 30
            starts[host] = t0_ns + self.random.randrange(spread_us * 1000) if group == "clients" else self.start_ns
            stops[host] = t0_ns + int(self.shape.seconds * SECOND) + self.random.randrange(SECOND // 5)
        clients = [host for host, (group, _index) in self.hosts.items() if group == "clients"]
        if verdict == "failed":
            stops[clients[0]] = starts[clients[0]] + SECOND
        window_start, window_stop = max(starts[c] for c in clients), min(stops[c] for c in clients)
        skew_us = (window_start - min(starts[c] for c in clients)) / 1000
        lines = {host: self._host(host, starts[host], stops[host], point, verdict) for host in self.hosts}
        reason = {"failed": "client-0: process client ended with exit status 3", "ok": None}
        return {
            "event": "sample", "utc": "2026-11-21T11:05:10.000000Z", "sample": self.number, "attempt": self.attempt,
            "point": point, "repeat": repeat, "parameters": parameters,
            "started_utc": utc(t0_ns + WALL_NS - BASE_NS), "verdict": verdict,
            "reason": reason.get(verdict, f"start skew {skew_us:.0f} us is above max_start_skew, 200 us"),
            "t0_ns": t0_ns, "start_skew_us": skew_us, "start_skew_error_us": 4.5,
            "stop_skew_us": (max(stops[c] for c in clients) - window_stop) / 1000, "stop_skew_error_us": 4.5,
            "window": {
                "start_ns": window_start, "stop_ns": window_stop,
                "start_wall_ns": window_start + WALL_NS - BASE_NS,
            },
            "window_s": (window_stop - window_start) / SECOND, "lost_window_s": 0.1 + self.random.random() / 10,
            "control_packets": 0,
            "barriers": [
                {"group": "servers", "state": "ready", "at_ns": self.start_ns + SECOND // 5},
                {"group": "clients", "state": "ready", "at_ns": self.start_ns + 3 * SECOND // 10},
                {"group": "servers", "state": "running", "at_ns": self.start_ns + 4 * SECOND // 10},
                {"group": "clients", "state": "running", "at_ns": t0_ns},
                {"group": "clients", "state": "done", "at_ns": max(stops[c] for c in clients)},
                {"group": "servers", "state": "done", "at_ns": max(stops.values()) + SECOND // 10},
            ],
            "hosts": lines,
        }  # fmt: skip

    def _host(self, host: str, start_ns: int, stop_ns: int, point: int, verdict: str) -> dict[str, Any]:
        group, index = self.hosts[host]
        offset_ns = (index + 1) * (3600 if group == "clients" else -1000) * SECOND
        failed = verdict == "failed" and host == "client-0"
        rate = self.shape.rate_bytes_s * (1 + point)
        rx, tx = (
            (rate, rate / 1e6) if group == "clients" else (rate / 1e6, rate * self.shape.clients / self.shape.servers)
        )
        folder = self.folder / "hosts" / host / self.name
        folder.mkdir(parents=True)
        first, last = start_ns + offset_ns, stop_ns + offset_ns
        (folder / "statistics.jsonl").write_text(_statistics(first, last, rx, tx, group, point, self.random))
        (folder / "sampler.jsonl").write_text(self._sampler(first, last, rx, tx))
        (folder / f"{group[:-1]}.stderr").write_text("")
        (folder / "seal.json").write_text('{"schema":1,"files":[]}')
        return {
            "group": group, "index": index, "folder": self.name, "verdict": "failed" if failed else "done",
            "reason": "process client ended with exit status 3" if failed else None,
            "processes": [
                {"name": group[:-1], "pid": 4000 + index, "start_ns": first, "stop_ns": last,
                 "exit_status": 3 if failed else 0, "signal": None, "stderr_tail": "broken pipe" if failed else ""}
            ],
            "offset_ns": offset_ns, "offset_error_ns": 4500, "wall_minus_mono_ns": WALL_NS - BASE_NS - offset_ns,
            "control_packets": 0, "rx_bytes": int(rx * 6), "tx_bytes": int(tx * 6), "seal_sha256": "ab" * 32,
        }  # fmt: skip

    def _sampler(self, first: int, last: int, rx: float, tx: float) -> str:
        rows, tick = [], int(self.shape.sampler_s * SECOND)
        for at_ns in range(first - tick // 2, last + tick, tick):
            active_s = (min(max(at_ns, first), last) - first) / SECOND
            rows.append(
                {
                    "mono_ns": at_ns, "wall_ns": at_ns, "cpu_s": active_s * 0.6 + 0.05 * self.random.random(),
                    "rss_bytes": 20_000_000,
                    "rx_bytes": int(active_s * rx * 1.02), "tx_bytes": int(active_s * tx * 1.02),
                    "rx_packets": int(active_s * rx / 1448), "tx_packets": int(active_s * tx / 1448),
                    "rx_dropped": 0, "tx_dropped": 0, "tcp_retransmits": int(active_s * 6),
                    "softirq_s": active_s * 0.05, "steal_s": 0.0,
                }
            )  # fmt: skip
        return "".join(json.dumps(row) + "\n" for row in rows)


def _statistics(first: int, last: int, rx: float, tx: float, group: str, point: int, rng: random.Random) -> str:
    """Cumulative bytes at a constant rate, so that every interpolation has one right answer."""
    instants = [*range(first + SECOND // 10, last, SECOND // 10), last]
    lines: list[dict[str, Any]] = [
        {"kind": "start", "schema": 1, "role": group[:-1], "monotonic_ns": first, "wall_ns": 0}
    ]
    for at_ns in instants:
        seconds = (at_ns - first) / SECOND
        counts = {"rx_bytes": int(rx * seconds), "tx_bytes": int(tx * seconds)}
        lines.append({"kind": "interval", "monotonic_ns": at_ns, "wall_ns": 0, **counts})
    if group == "clients":
        buckets = [[128.0 + 32 * step, 1 + rng.randrange(50)] for step in range(20)]
        lines.append(
            {"kind": "latency", "trace": "request", "count": sum(c for _u, c in buckets), "min_us": 120.0,
             "max_us": 730.0, "sum_us": sum(u * c for u, c in buckets), "buckets": buckets}
        )  # fmt: skip
    lines.append(
        {**lines[-1 if group != "clients" else -2], "kind": "end", "first_byte_ns": first + 3_000_000, "status": "ok"}
    )
    return "".join(json.dumps(line) + "\n" for line in lines)
