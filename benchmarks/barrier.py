# SPDX-License-Identifier: GPL-3.0-or-later
"""The barrier on real SSH hosts: start skew beside its floor, packets, and wall time beside the window."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import floor

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/lab"))

from netbench_lab.lab import Lab  # noqa: E402

WINDOW_S = 0.3
SPIN_NS = 200_000  # of the worker's gates
LIMIT_S = 900


@dataclass(frozen=True)
class Played:
    """One run of the playbook: how long it took, how many tasks it had, and what the coordinator recorded."""

    seconds: float
    tasks: int
    samples: list[dict[str, Any]]
    connect_s: float


@contextlib.contextmanager
def playing(
    inventory: Path, repeats: int, results: Path, more: dict[str, Any] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """benchmarks/barrier.yml, running; at the end of the block it must end, and well: RuntimeError with its words."""
    variables = {
        "run_workload": str(ROOT / "benchmarks/workloads/idle.yml"),
        "run_parameters": {"duration": f"{WINDOW_S}s", "seconds": WINDOW_S},
        "run_repeats": repeats,
        "run_retry_budget": repeats,
        "run_max_start_skew": "1s",
        "run_results": str(results),
        **(more or {}),
    }
    argv = [program("ansible-playbook"), "benchmarks/barrier.yml", "-i", str(inventory), "-e", json.dumps(variables)]
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(
            argv, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT, text=True,
            env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_FORKS": "20"},
        )  # fmt: skip
        try:
            yield process
            process.wait(LIMIT_S)
        finally:
            process.kill()
            process.wait()
        said.seek(0)
        process.said = said.read()  # type: ignore[attr-defined]
        if process.returncode:
            before_recap = process.said.partition("PLAY RECAP")[0]  # type: ignore[attr-defined]
            raise RuntimeError(f"the playbook failed:\n{before_recap[-3000:]}")


def program(name: str) -> str:
    """A program of the environment that this runs in."""
    return str(Path(sys.executable).parent / name)


def play(inventory: Path, repeats: int, results: Path, more: dict[str, Any] | None = None) -> Played:
    """One run of benchmarks/barrier.yml, from its beginning to its end."""
    began = time.monotonic()
    with playing(inventory, repeats, results, more) as process:
        pass
    seconds = time.monotonic() - began
    lines = [json.loads(line) for line in (results / "latest/coordinator.jsonl").read_text().splitlines()]
    samples = [line for line in lines if line["event"] == "sample"]
    connect_s = next(line["connect_s"] for line in lines if line["event"] == "run")
    tasks = len(re.findall(r"^TASK ", process.said, re.M))  # type: ignore[attr-defined]
    return Played(seconds, tasks, samples, connect_s)


def measure(lab: Lab, clients: int, repeats: int, results: Path) -> dict[str, Any]:
    """One column of the table: one server and so many clients, each a host of its own."""
    lab.up(1, clients)
    play(lab.inventory, 1, results)  # the first run installs
    for host in lab.hosts.values():
        host.count_packets()
    once, once_packets = _counted(lab, 1, results)
    with lab.recorded_packets() as recording:
        many, many_packets = _counted(lab, 1 + repeats, results)
    walks = len(many.samples) - len(once.samples)
    ok = [sample for sample in many.samples if sample["verdict"] == "ok"]
    floors = [floor.skew_us(clients) for _repeat in range(repeats)]
    spinning = [floor.skew_us(clients, SPIN_NS) for _repeat in range(repeats)]
    true = [_true_skew_us(sample) for sample in ok]
    reported = [(sample["start_skew_us"], sample["start_skew_error_us"]) for sample in ok]
    return {
        "hosts": len(lab.hosts),
        "clients": clients,
        "samples": len(ok),
        "not_ok": len(many.samples) - len(ok),
        "start_skew_p50_us": _quantile([skew for skew, _error in reported], 0.5),
        "start_skew_p99_us": _quantile([skew for skew, _error in reported], 0.99),
        "start_skew_error_p50_us": _quantile([error for _skew, error in reported], 0.5),
        "true_skew_p50_us": _quantile(true, 0.5),
        "true_skew_p99_us": _quantile(true, 0.99),
        "true_within_error": sum(
            abs(skew - is_) <= error + 0.1 for (skew, error), is_ in zip(reported, true, strict=True)
        ),
        "floor_p50_us": _quantile(floors, 0.5),
        "floor_p99_us": _quantile(floors, 0.99),
        "spinning_floor_p50_us": _quantile(spinning, 0.5),
        "barrier_p50_ms": _quantile([_barrier_ms(s) for s in ok], 0.5),
        "packets_in_window": sum(_in_window(sample, recording, lab) for sample in ok),
        "packets_per_worker_and_walk": round((many_packets - once_packets) / walks / len(lab.hosts), 1),
        "beside_window_s": _beside_window_s(ok),
        "second_run_s": round(once.seconds - WINDOW_S, 2),
        "connect_s": once.connect_s,
        "naive_skew_ms": _naive_skew_ms(lab.inventory, 3 if clients <= 10 else 1),
        "tasks_per_sample": (many.tasks - once.tasks) / repeats,
    }


def connect(lab: Lab, clients: int, results: Path) -> dict[str, Any]:
    """One server and so many clients in one run: how long until every channel is open, and what the run was like.

    Once with the connections that Ansible has open from its tasks before, once with none.
    """
    lab.up(1, clients)
    play(lab.inventory, 1, results)
    warm = play(lab.inventory, 3, results)
    lab.end_connections()
    cold = play(lab.inventory, 3, results, {"bench_prepare": False})
    return {
        "hosts": len(lab.hosts),
        "connect_s": warm.connect_s,
        "connect_cold_s": cold.connect_s,
        "samples": sum(sample["verdict"] == "ok" for sample in (*warm.samples, *cold.samples)),
        "not_ok": sum(sample["verdict"] != "ok" for sample in (*warm.samples, *cold.samples)),
        "beside_window_s": _beside_window_s(warm.samples),
        "barrier_p50_ms": _quantile([_barrier_ms(s) for s in warm.samples if s["verdict"] == "ok"], 0.5),
        "second_run_s": round(warm.seconds, 1),
    }


def _true_skew_us(sample: dict[str, Any]) -> float:
    """From the workers' own stamps: all containers have the machine's monotonic clock."""
    hosts = (host for host in sample["hosts"].values() if host["group"] == "clients")
    starts = [process["start_ns"] for host in hosts for process in host["processes"]]
    return (max(starts) - min(starts)) / 1e3


def _naive_skew_ms(inventory: Path, repeats: int) -> float:
    """A peer in the same run: the median skew of a playbook that starts a command in the background everywhere, in ms.

    The hosts are containers of one machine, so their clocks are one clock.
    """
    argv = [program("ansible-playbook"), "benchmarks/naive.yml", "-i", str(inventory), "-f", "50"]
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}
    skews = []
    for _repeat in range(repeats):
        done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=300, check=True, env=environment)
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
