# SPDX-License-Identifier: GPL-3.0-or-later
"""`make bench`: one table for people, one JSON file for programs. See benchmarks/README.md for how to read them."""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import barrier
import redis_barrier
import tables
import window
from netbench_lab import settings
from netbench_lab.lab import Lab

HERE = Path(__file__).resolve().parent
PARTS = ("simulated", "hosts", "window", "many", "pynetbench")
LAB = "bench"


def simulated(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """The coordinator with simulated workers, each number in a process of its own, and redis beside it."""
    rows = []
    for workers in arguments.workers:
        say(f"{workers} simulated workers …")
        argv = [sys.executable, str(HERE / "simulated.py"), "--workers", str(workers)]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=900, check=True)
        rows.append({**json.loads(done.stdout), "redis": redis_barrier.measure(workers, 5)})
    return rows


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, nargs="+", default=[2, 10, 19, 50], help="beside one server")
    parser.add_argument("--workers", type=int, nargs="+", default=[10, 100, 1000], help="simulated")
    parser.add_argument("--many", type=int, default=99, help="clients beside one server in one large run (default: 99)")
    parser.add_argument("--repeats", type=int, default=30, help="samples per number of clients (default: 30)")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="default: all")
    parser.add_argument("--json", type=Path, default=Path("results/bench.json"), help="default: results/bench.json")
    arguments = parser.parse_args()
    found: dict[str, Any] = {"machine": machine()}
    if "simulated" in arguments.only:
        found["simulated"] = simulated(arguments)
        print(tables.simulated(found["simulated"]), end="\n\n")
    on_hosts: dict[str, Callable[[Lab, Path], Any]] = {
        "hosts": lambda lab, results: [
            _told(lab, clients, arguments.repeats, results) for clients in arguments.clients
        ],
        "window": window.measure,
        "many": lambda lab, results: barrier.connect(lab, arguments.many, results),
    }
    chosen = [part for part in on_hosts if part in arguments.only]
    if os.geteuid() and chosen:
        print(f"SKIPPED: {', '.join(chosen)}: lab hosts need root")
    elif chosen:
        name = os.environ.get("NETBENCH_LAB") or LAB
        lab = Lab(settings.from_environment(os.environ, name=name), say)
        try:
            for part in chosen:
                with tempfile.TemporaryDirectory(prefix="netbench-bench-") as results:
                    found[part] = on_hosts[part](lab, Path(results))
                print(getattr(tables, part)(found[part]), end="\n\n", flush=True)
        finally:
            lab.down()
    found["seconds"] = round(time.monotonic() - BEGAN)
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(json.dumps(found, indent=2) + "\n")
    print(f"written to {arguments.json}")
    if "pynetbench" not in arguments.only:
        return 0
    return subprocess.run([sys.executable, str(HERE / "pynetbench.py")], check=False, timeout=600).returncode


BEGAN = time.monotonic()


def _told(lab: Lab, clients: int, repeats: int, results: Path) -> dict[str, Any]:
    say(f"{clients} clients …")
    return barrier.measure(lab, clients, repeats, results)


def machine() -> dict[str, Any]:
    """What the figures were taken on."""
    return {
        "cpus": os.cpu_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_before": round(os.getloadavg()[0], 1),
    }


if __name__ == "__main__":
    sys.exit(main())
