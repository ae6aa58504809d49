# SPDX-License-Identifier: GPL-3.0-or-later
"""The barrier on real SSH hosts: start skew beside its floor, packets, and wall time beside the window."""

from __future__ import annotations

import itertools
import json
import os
import re
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import floor

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/lab"))

from netbench_lab import settings  # noqa: E402
from netbench_lab.lab import Lab  # noqa: E402

WINDOW_S = 0.3
SPIN_NS = 200_000  # of the worker's gates


@dataclass(frozen=True)
class Played:
    """One run of the playbook: how long it took, how many tasks it had, and what the coordinator recorded."""

    seconds: float
    tasks: int
    samples: list[dict[str, Any]]


def play(inventory: Path, repeats: int, results: Path) -> Played:
    """Runs benchmarks/barrier.yml; raises RuntimeError with the output's end when it fails."""
    variables = {
        "run_workload": str(ROOT / "benchmarks/workloads/idle.yml"),
        "run_parameters": {"duration": f"{WINDOW_S}s", "seconds": WINDOW_S},
        "run_repeats": repeats,
        "run_retry_budget": repeats,
        "run_max_start_skew": "1s",
        "run_results": str(results),
    }
    began = time.monotonic()
    done = subprocess.run(
        [str(Path(sys.executable).parent / "ansible-playbook"), "benchmarks/barrier.yml", "-i", str(inventory),
         "-e", json.dumps(variables)],
        cwd=ROOT, capture_output=True, text=True, timeout=600, stdin=subprocess.DEVNULL, check=False,
        env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_FORKS": "20"},
    )  # fmt: skip
    seconds = time.monotonic() - began
    if done.returncode:
        raise RuntimeError(f"the playbook failed:\n{(done.stdout + done.stderr)[-3000:]}")
    lines = [json.loads(line) for line in (results / "latest/coordinator.jsonl").read_text().splitlines()]
    samples = [line for line in lines if line["event"] == "sample"]
    return Played(seconds, len(re.findall(r"^TASK ", done.stdout, re.M)), samples)


def measure(clients: int, repeats: int, results: Path) -> dict[str, Any]:
    """One row of the table: one server and so many clients, each a host of its own."""
    hosts = 1 + clients
    lab = Lab(settings.from_environment(os.environ, name=f"bench-{hosts}"), lambda message: None)
    try:
        lab.up(1, clients)
        play(lab.inventory, 1, results)  # the first run installs
        for host in lab.hosts.values():
            host.count_packets()
        once, once_packets = _counted(lab, 1, results)
        with lab.recorded_packets() as recording:
            many, many_packets = _counted(lab, 1 + repeats, results)
        ok = [sample for sample in many.samples if sample["verdict"] == "ok"]
        floors = [floor.skew_us(clients) for _repeat in range(repeats)]
        spinning = [floor.skew_us(clients, SPIN_NS) for _repeat in range(repeats)]
        return {
            "hosts": hosts,
            "clients": clients,
            "samples": len(ok),
            "not_ok": len(many.samples) - len(ok),
            "start_skew_p50_us": _quantile([s["start_skew_us"] for s in ok], 0.5),
            "start_skew_p99_us": _quantile([s["start_skew_us"] for s in ok], 0.99),
            "start_skew_error_p50_us": _quantile([s["start_skew_error_us"] for s in ok], 0.5),
            "floor_p50_us": _quantile(floors, 0.5),
            "floor_p99_us": _quantile(floors, 0.99),
            "spinning_floor_p50_us": _quantile(spinning, 0.5),
            "barrier_p50_ms": _quantile([_barrier_ms(s) for s in ok], 0.5),
            "packets_in_window": sum(_in_window(sample, recording, lab) for sample in ok),
            "packets_per_worker_and_walk": round((many_packets - once_packets) / repeats / hosts, 1),
            "beside_window_s": _beside_window_s(ok),
            "second_run_s": round(once.seconds - WINDOW_S, 2),
            "naive_skew_ms": _naive_skew_ms(lab.inventory),
            "tasks_per_sample": (many.tasks - once.tasks) / repeats,
        }
    finally:
        lab.down()


def _naive_skew_ms(inventory: Path) -> float:
    """A peer in the same run: an Ansible task that starts a command on every client, median of five, in ms.

    The hosts are containers of one machine, so their clocks are one clock.
    """
    program = str(Path(sys.executable).parent / "ansible")
    argv = [program, "clients", "-i", str(inventory), "-f", "50", "-o", "-m", "command", "-a", "date +%s%N"]
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}
    skews = []
    for _repeat in range(5):
        done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=120, check=True, env=environment)
        stamps = [int(stamp) for stamp in re.findall(r"\b(\d{19})\b", done.stdout)]
        skews.append((max(stamps) - min(stamps)) / 1e6)
    return round(statistics.median(skews), 1)


def _counted(lab: Lab, repeats: int, results: Path) -> tuple[Played, int]:
    before = {name: host.packets() for name, host in lab.hosts.items()}
    played = play(lab.inventory, repeats, results)
    return played, sum((host.packets() - before[name]).total for name, host in lab.hosts.items())


def _barrier_ms(sample: dict[str, Any]) -> float:
    """From the last arrival (servers seen running) until every client has confirmed its start instant."""
    at = {(barrier["group"], barrier["state"]): barrier["at_ns"] for barrier in sample["barriers"]}
    return (at["clients", "running"] - at["servers", "running"]) / 1e6


def _beside_window_s(samples: list[dict[str, Any]]) -> float:
    """From one T0 to the next, without the window: what a repeat costs."""
    pairs = itertools.pairwise(samples)
    return round(statistics.median((b["t0_ns"] - a["t0_ns"]) / 1e9 - a["window_s"] for a, b in pairs), 3)


def _in_window(sample: dict[str, Any], recording: Any, lab: Lab) -> int:
    start = sample["window"]["start_wall_ns"]
    stop = start + sample["window"]["stop_ns"] - sample["window"]["start_ns"]
    return len(recording.between(start_ns=start, stop_ns=stop))


def _quantile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 1) if ordered else statistics.nan
