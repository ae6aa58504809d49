# SPDX-License-Identifier: GPL-3.0-or-later
"""What a worker costs its host while the members measure: processor time and wake-ups, read from outside.

The kernel's own accounts of the worker's process (/proc/PID/schedstat, voluntary switches), read on the machine that
plays the hosts: so nothing runs on the host for this.
"""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path
from typing import Any

import barrier
import yaml
from netbench_lab.host import Host
from netbench_lab.lab import Lab

SECONDS = 10.0
MARGIN_S = 1.0  # from T0 to the first look, and from the last to the end
LIMIT_S = 120


def measure(lab: Lab, results: Path) -> dict[str, Any]:
    """On one client of a lab that is prepared: without and with the sampler."""
    lab.up(1, 2)
    barrier.play(lab.inventory, 1, results)
    return {
        name: _look(lab, results / name, period) for name, period in (("without_sampler", None), ("with_sampler", "1s"))
    }


def _look(lab: Lab, results: Path, sampler_period: str | None) -> dict[str, float]:
    workload = yaml.safe_load((barrier.ROOT / "benchmarks/workloads/idle.yml").read_text())
    for group in workload["groups"].values():
        group["sampler_period"] = sampler_period
    window_s = SECONDS + 2 * MARGIN_S
    more = {"run_workload": workload, "run_parameters": {"duration": f"{window_s}s", "seconds": window_s}}
    pid = worker_pid(lab.hosts["client1"])
    with barrier.playing(lab.inventory, 1, results, more) as playing:
        t0_s = _t0_s(results, playing)
        time.sleep(max(0.0, t0_s + MARGIN_S - time.monotonic()))
        cpu_ns, wakes, began_s = *_accounts(pid), time.monotonic()
        time.sleep(SECONDS)
        cpu_then_ns, wakes_then, ended_s = *_accounts(pid), time.monotonic()
    elapsed_s = ended_s - began_s
    return {
        "seconds": round(elapsed_s, 2),
        "cpu_percent_of_a_core": round((cpu_then_ns - cpu_ns) / elapsed_s / 1e7, 4),
        "wake_ups": wakes_then - wakes,
    }


def worker_pid(host: Host) -> int:
    """The worker's pid on this machine: the process of the host's pid namespace that serves."""
    space = Path(f"/proc/{host.pid}/ns/pid").readlink()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
            serves = b"serve" in words and any(word.endswith(b".pyz") for word in words)
            if serves and (process / "ns/pid").readlink() == space:
                return int(process.name)
        except OSError:
            continue
    raise RuntimeError(f"{host.name} has no worker")


def _accounts(pid: int) -> tuple[int, int]:
    """(ns on a processor, times it went to sleep by itself)."""
    status = Path(f"/proc/{pid}/status").read_text()
    voluntary = next(line.split()[1] for line in status.splitlines() if line.startswith("voluntary_ctxt_switches"))
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]), int(voluntary)


def _t0_s(results: Path, playing: subprocess.Popen[str]) -> float:
    """T0 of the run that is on, from the coordinator's record."""
    until_s = time.monotonic() + LIMIT_S
    while time.monotonic() < until_s and playing.poll() is None:
        for record in results.glob("*/coordinator.jsonl"):
            for line in record.read_text().splitlines():
                if line.endswith("}") and (event := json.loads(line))["event"] == "t0":
                    return float(event["t0_ns"]) / 1e9
        time.sleep(0.1)
    raise RuntimeError("the run had no T0")
