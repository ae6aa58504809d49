# SPDX-License-Identifier: GPL-3.0-or-later
"""All clients against all servers: rounds and time of isolated and sequential, and of four arbitrary pairs at a time.

The latter is a peer, netperf-orchestrate's parallel mode: a pool of four, each of which takes the next pair of the
list, starts netperf on its client through ssh, and waits for it; its netservers run all the time. Every host has a link
of the same rate, so the truth is known: a pair that has both of its links for itself gets what one link carries.
"""

from __future__ import annotations

import csv
import itertools
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests/lab"), str(ROOT / "tests/integration")]

from netbench_lab.lab import Lab  # noqa: E402
from netbench_trial.tools import ToolsTrial, tools_trial  # noqa: E402

CLIENTS, SERVERS = 4, 3
LINK_BPS = 100_000_000
CARRIES_BPS = LINK_BPS * (9000 - 20 - 32) / (9000 + 14)  # payload of TCP in frames of the lab's MTU
SECONDS = 3
POOL = 4
PORT = 12900
LIMIT_S = 60


def measure(lab: Lab) -> list[dict[str, Any]]:
    """A row for each way, after one installation."""
    os.environ.setdefault("ANSIBLE_FORKS", "20")
    lab.up(SERVERS, CLIENTS)
    with tools_trial(lab) as trial:
        if why := trial.why_not():
            return [{"way": "all", "skipped": why}]
        trial.install()
        try:
            for host in lab.hosts.values():
                host.limit_link(LINK_BPS)
            return [*(_walked(trial, mode) for mode in ("isolated", "sequential")), _pooled(trial)]
        finally:
            for host in lab.hosts.values():
                host.unlimit_link()


def _walked(trial: ToolsTrial, mode: str) -> dict[str, Any]:
    run = trial.measured("netperf", suite={"matrix": mode}, parameters={"duration": f"{SECONDS}s"})
    trial.playing.clear()
    with open(run.path / "pairs.csv", newline="") as file:
        rates = [float(row["clients.netperf.throughput_bps.median"]) for row in csv.DictReader(file)]
    instants = [line["t0_ns"] for line in run.samples if line["t0_ns"]]
    window_ns = statistics.median(line["window"]["stop_ns"] - line["window"]["start_ns"] for line in run.samples)
    seconds = (max(instants) - min(instants) + window_ns) / 1e9
    return _row(mode, len(run.samples), seconds, rates)


def _pooled(trial: ToolsTrial) -> dict[str, Any]:
    hosts = trial.lab.hosts
    servers = [name for name in hosts if name.startswith("server")]
    clients = [name for name in hosts if name.startswith("client")]
    running: dict[str, Iterable[int]] = {}
    try:
        for name in servers:
            host = hosts[name]
            host.shell(f"exec {trial.tools(name)['netserver']['path']} -L {host.address} -p {PORT}")
            running[name] = host.processes(rf"netserver .*-p {PORT}")

        def pair(names: tuple[str, str]) -> float:
            program = trial.tools(names[0])["netperf"]["path"]
            netperf = f"{program} -H {hosts[names[1]].address} -p {PORT} -l {SECONDS} -t TCP_STREAM -P 0"
            argv = ["ssh", "-F", str(trial.lab.state / "ssh_config"), names[0], netperf]
            done = subprocess.run(argv, capture_output=True, text=True, timeout=LIMIT_S, check=True)
            return float(done.stdout.split()[-1]) * 1e6

        began_s = time.monotonic()
        with ThreadPoolExecutor(POOL) as pool:
            rates = list(pool.map(pair, itertools.product(clients, servers)))
        seconds = time.monotonic() - began_s
    finally:
        for name, pids in running.items():
            for pid in pids:
                hosts[name].kill(pid)
    return _row(f"{POOL} at a time", None, seconds, rates)


def _row(way: str, rounds: int | None, seconds: float, rates: list[float]) -> dict[str, Any]:
    """What one way took and found; `within_5_pct`: pairs whose figure is what their links carry."""
    return {
        "way": way,
        "pairs": len(rates),
        "rounds": rounds,
        "seconds": round(seconds, 1),
        "lowest_mbps": round(min(rates) / 1e6, 1),
        "median_mbps": round(statistics.median(rates) / 1e6, 1),
        "highest_mbps": round(max(rates) / 1e6, 1),
        "variation_pct": round(100 * statistics.stdev(rates) / statistics.fmean(rates), 1),
        "carries_mbps": round(CARRIES_BPS / 1e6, 1),
        "within_5_pct": sum(abs(rate / CARRIES_BPS - 1) <= 0.05 for rate in rates),
    }
