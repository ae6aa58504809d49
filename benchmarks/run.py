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
from pathlib import Path
from typing import Any

import barrier
import matrix
import redis_barrier
import tables
import window
from netbench_lab import settings
from netbench_lab.lab import Lab

HERE = Path(__file__).resolve().parent
ON_HOSTS = ("hosts", "window", "many", "matrix")
PARTS = ("simulated", *ON_HOSTS, "pynetbench")
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


def on_hosts(arguments: argparse.Namespace, found: dict[str, Any]) -> None:
    """What needs lab hosts: the parts of `arguments.only`, each shown and noted as soon as it is there."""
    lab = Lab(settings.from_environment(os.environ, name=os.environ.get("NETBENCH_LAB") or LAB), say)
    try:
        with tempfile.TemporaryDirectory(prefix="netbench-bench-") as folder:
            results = Path(folder)
            if "hosts" in arguments.only:
                found["hosts"] = []
                for clients in arguments.clients:
                    say(f"{clients} clients …")
                    found["hosts"].append(barrier.measure(lab, clients, arguments.repeats, results / str(clients)))
                    note(arguments.json, found)
                show(tables.hosts(found["hosts"]))
            if "window" in arguments.only:
                found["window"] = window.measure(lab, results / "window")
                show(tables.window(found["window"]))
            if "many" in arguments.only:
                say(f"{1 + arguments.many} hosts …")
                found["many"] = barrier.connect(lab, arguments.many, results / "many")
                show(tables.many(found["many"]))
            if "matrix" in arguments.only:
                say("a matrix in three ways …")
                found["matrix"] = matrix.measure(lab)
                show(tables.matrix(found["matrix"]))
    finally:
        lab.down()


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def show(table: str) -> None:
    print(table, end="\n\n", flush=True)


def note(path: Path, found: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, indent=2) + "\n")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, nargs="+", default=[2, 10, 19, 50], help="beside one server")
    parser.add_argument("--workers", type=int, nargs="+", default=[10, 100, 1000], help="simulated")
    parser.add_argument("--many", type=int, default=99, help="clients beside one server in one large run (default: 99)")
    parser.add_argument("--repeats", type=int, default=30, help="samples per number of clients (default: 30)")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="default: all")
    parser.add_argument("--json", type=Path, default=Path("results/bench.json"), help="default: results/bench.json")
    arguments = parser.parse_args()
    began_s = time.monotonic()
    found: dict[str, Any] = {"machine": machine()}
    if "simulated" in arguments.only:
        found["simulated"] = simulated(arguments)
        show(tables.simulated(found["simulated"]))
        note(arguments.json, found)
    if wanted := [part for part in ON_HOSTS if part in arguments.only]:
        if os.geteuid():
            print(f"SKIPPED: {', '.join(wanted)}: lab hosts need root")
        else:
            on_hosts(arguments, found)
    note(arguments.json, {**found, "seconds": round(time.monotonic() - began_s)})
    print(f"written to {arguments.json}")
    if "pynetbench" not in arguments.only:
        return 0
    return subprocess.run([sys.executable, str(HERE / "pynetbench.py")], check=False, timeout=600).returncode


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
