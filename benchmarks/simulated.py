# SPDX-License-Identifier: GPL-3.0-or-later
"""The real coordinator with simulated workers: how long a barrier takes it, and what it needs for that.

    simulated.py --workers 1000 [--repeats 5] [--profile FILE]

prints one JSON object. Real: the coordinator (coordinator, fleet, channel, walk, record), a child process with pipes
for each host, the protocol, the workers' state machine. Simulated: what the workers would run. They live in another
process (simulated_workers.py), which needs about as much processor as the coordinator: take two free ones.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import importlib
import itertools
import json
import os
import pstats
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / ".collections"))

# What the process of an action plugin has loaded anyway, so that memory "above Ansible" can be told.
for name in ("ansible.cli.playbook", "ansible.executor.task_executor"):
    importlib.import_module(name)
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._coordinator.coordinator import (  # noqa: E402
    Coordinator,
    Options,
)
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._coordinator.endpoint import Endpoint  # noqa: E402
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._coordinator.outcome import Outcome  # noqa: E402
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._coordinator.progress import Progress  # noqa: E402
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._planning.expansion import expand  # noqa: E402
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._planning.hosts import Host  # noqa: E402
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._planning.plan import RunPlan, to_json  # noqa: E402

HERE = Path(__file__).resolve().parent
WINDOW_S = 0.2


def plan(workers: int, repeats: int) -> RunPlan:
    """One server, and so many clients that are released together."""
    names = {"servers": ["server1"], "clients": [f"client{number}" for number in range(1, workers)]}
    everyone = [name for members in names.values() for name in members]
    hosts = {name: Host(name, "127.0.0.1", machine=name, worker={"instance": name}) for name in everyone}
    suite = {
        "name": "simulated",
        "parameters": {"duration": f"{WINDOW_S}s", "seconds": WINDOW_S},
        "repeats": repeats,
        "retry_budget": repeats,
    }
    return expand(
        suite=suite, workload=yaml.safe_load((HERE / "workloads/idle.yml").read_text()), groups=names, hosts=hosts,
        run_id="simulated", created_utc="2026-01-01T00:00:00Z", read_file=lambda name, place: "",
    )  # fmt: skip


def endpoints(planned: RunPlan, socket: str) -> dict[str, Endpoint]:
    stand_in = (sys.executable, "-I", "-S", str(HERE / "stand_in.py"), socket)
    return {
        host: Endpoint(host, worker.address, stand_in, "python", "worker", (f"--instance={worker.instance}",))
        for host, worker in planned.workers.items()
    }


def measure(workers: int, repeats: int, profile: Path | None = None) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="netbench-sim-") as folder:
        path = f"{folder}/workers.sock"
        played = subprocess.Popen(
            [sys.executable, str(HERE / "simulated_workers.py"), path],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert played.stdin
        assert played.stdout
        try:
            if played.stdout.readline() != "serving\n":
                raise SystemExit("error: the simulated workers did not start")
            return _walk(workers, repeats, Path(folder), path, profile)
        finally:
            played.stdin.close()
            played.wait(30)


def _walk(workers: int, repeats: int, folder: Path, path: str, profile: Path | None) -> dict[str, Any]:
    planned = plan(workers, repeats)
    (folder / "plan.json").write_text(to_json(planned))
    progress = Progress(
        show=lambda text, live: None, groups={g: len(h) for g, h in planned.groups.items()}, samples=repeats
    )
    profiler = cProfile.Profile(time.process_time) if profile else None
    before_kib, before_cpu_s, began_s = _memory_kib(), time.process_time(), time.monotonic()

    async def run() -> Outcome:
        coordinator = Coordinator(
            planned,
            folder=folder,
            endpoints=endpoints(planned, path),
            progress=progress,
            options=Options(),
            versions={},
        )
        return await coordinator.run()

    if profiler:
        outcome = profiler.runcall(asyncio.run, run())
        with open(profile or os.devnull, "w", encoding="utf-8") as file:
            pstats.Stats(profiler, stream=file).sort_stats("tottime").print_stats(45)
    else:
        outcome = asyncio.run(run())
    cpu_s, elapsed_s = time.process_time() - before_cpu_s, time.monotonic() - began_s
    peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    lines = [json.loads(line) for line in (folder / "coordinator.jsonl").read_text().splitlines()]
    ok = [line for line in lines if line["event"] == "sample" and line["verdict"] == "ok"]
    connect_s = next(line["connect_s"] for line in lines if line["event"] == "run")
    barriers = [_barrier_ms(sample) for sample in ok]
    return {
        "workers": workers,
        "verdict": outcome.verdict,
        "reason": outcome.reason,
        "samples": len(ok),
        "barrier_p50_ms": round(statistics.median(barriers), 1) if barriers else None,
        "barrier_max_ms": round(max(barriers), 1) if barriers else None,
        "start_skew_error_p50_us": round(statistics.median(s["start_skew_error_us"] for s in ok)) if ok else None,
        "beside_window_s": _beside_window_s(ok),
        "memory_above_ansible_mb": round((peak_kib - before_kib) / 1024, 1),
        "memory_of_ansible_mb": round(before_kib / 1024, 1),
        "cpu_share": round(cpu_s / elapsed_s, 2),
        "elapsed_s": round(elapsed_s, 1),
        "connect_s": connect_s,
    }


def _barrier_ms(sample: dict[str, Any]) -> float:
    """From the last arrival (the server seen running) until every client has confirmed its start instant."""
    at = {(barrier["group"], barrier["state"]): barrier["at_ns"] for barrier in sample["barriers"]}
    return (at["clients", "running"] - at["servers", "running"]) / 1e6


def _beside_window_s(samples: list[dict[str, Any]]) -> float | None:
    pairs = list(itertools.pairwise(samples))
    if not pairs:
        return None
    return round(statistics.median((b["t0_ns"] - a["t0_ns"]) / 1e9 - a["window_s"] for a, b in pairs), 3)


def _memory_kib() -> int:
    """Resident memory of this process now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--workers", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--profile", type=Path, help="write the coordinator's profile there; the times are then wrong")
    arguments = parser.parse_args()
    print(json.dumps(measure(arguments.workers, arguments.repeats, arguments.profile)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
