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
from pathlib import Path
from typing import Any

import barrier

GOALS = {
    "start skew / floor (p50)": "≤ 1.5",
    "packets in window": "0",
    "packets per worker and walk": "≤ 30",
    "beside the window per repeat": "≤ 1 s",
    "second run beside the window": "≤ 10 s (16 clients)",
    "Ansible tasks per sample": "0",
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    default = [2, 8, 16]
    parser.add_argument("--clients", type=int, nargs="+", default=default, help="beside one server (default: 2 8 16)")
    parser.add_argument("--repeats", type=int, default=30, help="samples per number of clients (default: 30)")
    parser.add_argument("--json", type=Path, default=Path("results/bench.json"), help="default: results/bench.json")
    arguments = parser.parse_args()
    rows = []
    if os.geteuid():
        print("SKIPPED: barrier: lab hosts need root")
    else:
        with tempfile.TemporaryDirectory(prefix="netbench-bench-") as results:
            for clients in arguments.clients:
                print(f"{clients} clients …", file=sys.stderr, flush=True)
                rows.append(barrier.measure(clients, arguments.repeats, Path(results)))
        print(table(rows))
    driver = subprocess.run([sys.executable, str(Path(__file__).parent / "pynetbench.py")], check=False, timeout=600)
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(json.dumps({"machine": machine(), "barrier": rows}, indent=2) + "\n")
    print(f"written to {arguments.json}")
    return driver.returncode


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as columns, one line per measure, with its goal."""
    measures: list[tuple[str, list[str]]] = [
        ("clients, beside one server", [str(r["clients"]) for r in rows]),
        ("ok samples (not ok)", [f"{r['samples']} ({r['not_ok']})" for r in rows]),
        ("start skew p50 / p99, µs", [f"{r['start_skew_p50_us']:.0f} / {r['start_skew_p99_us']:.0f}" for r in rows]),
        ("its error bound p50, µs", [f"± {r['start_skew_error_p50_us']:.0f}" for r in rows]),
        ("floor p50 / p99, µs", [f"{r['floor_p50_us']:.0f} / {r['floor_p99_us']:.0f}" for r in rows]),
        ("floor that spins, p50, µs", [f"{r['spinning_floor_p50_us']:.1f}" for r in rows]),
        ("start skew / floor (p50)", [f"{r['start_skew_p50_us'] / max(r['floor_p50_us'], 0.1):.2f}" for r in rows]),
        ("Ansible's command, skew, ms", [f"{r['naive_skew_ms']:.0f}" for r in rows]),
        ("barrier p50, ms", [f"{r['barrier_p50_ms']:.1f}" for r in rows]),
        ("packets in window", [str(r["packets_in_window"]) for r in rows]),
        ("packets per worker and walk", [str(r["packets_per_worker_and_walk"]) for r in rows]),
        ("beside the window per repeat", [f"{r['beside_window_s']:.2f} s" for r in rows]),
        ("second run beside the window", [f"{r['second_run_s']:.1f} s" for r in rows]),
        ("Ansible tasks per sample", [f"{r['tasks_per_sample']:g}" for r in rows]),
    ]
    width = max(len(name) for name, _values in measures)
    columns = [max(len(values[i]) for _name, values in measures) for i in range(len(rows))]
    lines = []
    for name, values in measures:
        cells = "  ".join(value.rjust(column) for value, column in zip(values, columns, strict=True))
        goal = GOALS.get(name)
        lines.append(f"{name.ljust(width)}  {cells}" + (f"   goal {goal}" if goal else ""))
    return "\n".join(lines)


def machine() -> dict[str, Any]:
    """What the figures were taken on."""
    return {"cpus": os.cpu_count(), "kernel": platform.release(), "python": platform.python_version()}


if __name__ == "__main__":
    sys.exit(main())
