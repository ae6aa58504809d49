# SPDX-License-Identifier: GPL-3.0-or-later
"""Is the start skew that is reported, with its error, true? Real workers whose true start instants are known.

    coverage.py [--samples 500] [--hosts 2 8 16 32] [--conditions …]

The workers are processes of this machine, so all clocks are one clock, and a worker's own record of its start is the
truth; where a worker gets a clock of its own (other_clock.c), its relation to the machine's is known and undone. For
each sample: does reported ± error contain the true last start minus first start? Real: coordinator, workers, gates. The
channel is `attach` without ssh, through delay.py where the way shall be long.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path.insert(0, str(ROOT / ".collections"))

from ansible_collections.netbench.orchestrator.plugins.plugin_utils._archive import build  # noqa: E402
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._coordinator.coordinator import (  # noqa: E402
    Coordinator,
    Options,
)
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._coordinator.endpoint import Endpoint  # noqa: E402
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._coordinator.progress import Progress  # noqa: E402
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._planning.expansion import expand  # noqa: E402
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._planning.hosts import Host  # noqa: E402
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._planning.plan import RunPlan, to_json  # noqa: E402

WINDOW_S = 0.2
GOAL = 0.99
HOUR_NS = 3_600_000_000_000


@dataclass(frozen=True)
class OtherClock:
    """A clock's relation to this machine's: see other_clock.c."""

    base_ns: int = 0
    offset_ns: int = 0
    ppm: int = 0
    wall_ns: int = 0

    def environment(self) -> dict[str, str]:
        names = ("base_ns", "offset_ns", "ppm", "wall_ns")
        return {f"OTHER_CLOCK_{name.upper()}": str(getattr(self, name)) for name in names}

    def undone_ns(self, told_ns: int) -> float:
        return self.base_ns + (told_ns - self.offset_ns - self.base_ns) / (1 + self.ppm / 1e6)


@dataclass(frozen=True)
class Condition:
    """What is wrong with hosts and channels. Hosts differ: host i gets `step * (-1)^i`, growing with i."""

    name: str
    wall_hours: float = 0
    monotonic_hours: float = 0
    ppm: int = 0
    there_ms: float = 0
    back_ms: float = 0

    @property
    def other_clocks(self) -> bool:
        return bool(self.wall_hours or self.monotonic_hours or self.ppm)

    def clock(self, index: int, base_ns: int) -> OtherClock:
        sign = -1 if index % 2 else 1
        return OtherClock(
            base_ns=base_ns,
            offset_ns=int(self.monotonic_hours * HOUR_NS) * (1 + index),
            ppm=sign * self.ppm,
            wall_ns=sign * int(self.wall_hours * HOUR_NS) * (1 + index),
        )

    def way(self, index: int) -> tuple[str, ...]:
        """To every other host the slow direction is the other one: what all have in common would cancel out."""
        if not (self.there_ms or self.back_ms):
            return ()
        delays = (self.back_ms, self.there_ms) if index % 2 else (self.there_ms, self.back_ms)
        return (sys.executable, "-S", str(HERE / "delay.py"), *map(str, delays))


CONDITIONS = (
    Condition("usual"),
    Condition("wall clocks hours off", wall_hours=3),
    Condition("monotonic clocks hours off", monotonic_hours=1),
    Condition("clocks drift by ± 500 ppm", ppm=500),
    Condition("20 ms there, 20 ms back", there_ms=20, back_ms=20),
    Condition("35 ms one way, 5 ms the other", there_ms=35, back_ms=5),
    Condition("all of it", wall_hours=3, monotonic_hours=1, ppm=500, there_ms=5, back_ms=35),
)


def compile_other_clock(folder: Path) -> Path | None:
    """The library, None where there is no compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    library = folder / "other_clock.so"
    argv = [compiler, "-O2", "-shared", "-fPIC", "-o", str(library), str(HERE / "other_clock.c"), "-ldl"]
    subprocess.run(argv, check=True, timeout=60)
    return library


@contextlib.contextmanager
def workers(names: list[str], condition: Condition, folder: Path) -> Iterator[dict[str, OtherClock]]:
    """Workers of this machine for the length of a `with` block, each with its clock."""
    program = build().path
    library = compile_other_clock(folder) if condition.other_clocks else None
    clocks: dict[str, OtherClock] = {}
    processes = []
    try:
        for index, name in enumerate(names):
            clocks[name] = condition.clock(index, time.monotonic_ns()) if library else OtherClock()
            environment = {**os.environ, **clocks[name].environment(), "LD_PRELOAD": str(library or "")}
            argv = [sys.executable, str(program), "serve", *options(name, folder)]
            log = (folder / f"{name}.log").open("wb")
            processes.append(subprocess.Popen(argv, stderr=log, stdin=subprocess.DEVNULL, env=environment))
            log.close()
        until_s = time.monotonic() + 60
        while not all((folder / "run" / name / "worker.sock").exists() for name in names):
            if time.monotonic() > until_s or any(process.poll() is not None for process in processes):
                raise SystemExit(f"error: workers do not start: {[process.poll() for process in processes]}")
            time.sleep(0.05)
        yield clocks
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(20)


def options(name: str, folder: Path) -> tuple[str, ...]:
    return ("--instance", name, "--state-dir", f"{folder}/state/{name}", "--runtime-dir", f"{folder}/run/{name}")


def plan(hosts: int, samples: int) -> RunPlan:
    groups = {"servers": ["server1"], "clients": [f"client{number}" for number in range(1, hosts + 1)]}
    everyone = [name for members in groups.values() for name in members]
    known = {name: Host(name, "127.0.0.1", machine=name, worker={"instance": name}) for name in everyone}
    suite = {
        "name": "coverage",
        "parameters": {"duration": f"{WINDOW_S}s", "seconds": WINDOW_S},
        "repeats": samples,
        "retry_budget": 10_000,
    }
    return expand(
        suite=suite, workload=yaml.safe_load((HERE / "workloads/idle.yml").read_text()), groups=groups, hosts=known,
        run_id="coverage", created_utc="2026-01-01T00:00:00Z", read_file=lambda name, place: "",
    )  # fmt: skip


def measure(condition: Condition, hosts: int, samples: int) -> dict[str, Any]:
    """One cell of the table."""
    with tempfile.TemporaryDirectory(prefix="netbench-coverage-") as name:
        folder = Path(name)
        planned = plan(hosts, samples)
        if condition.other_clocks and shutil.which("cc") is None:
            return {"condition": condition.name, "hosts": hosts, "skipped": "no C compiler"}
        with workers(list(planned.workers), condition, folder) as clocks:
            lines = walk(planned, condition, folder)
        return {"condition": condition.name, "hosts": hosts, **judge(lines, clocks)}


def walk(planned: RunPlan, condition: Condition, folder: Path) -> list[dict[str, Any]]:
    results = folder / "results"
    results.mkdir()
    (results / "plan.json").write_text(to_json(planned))
    endpoints = {
        host: Endpoint(
            host, "127.0.0.1", condition.way(index), sys.executable, str(build().path), options(host, folder)
        )
        for index, host in enumerate(planned.workers)
    }  # fmt: skip
    sizes = {group: len(hosts) for group, hosts in planned.groups.items()}
    progress = Progress(show=lambda text, live: None, groups=sizes, samples=len(planned.samples))

    async def run() -> None:
        walker = Coordinator(
            planned, folder=results, endpoints=endpoints, progress=progress, options=Options(), versions={}
        )
        await walker.run()

    asyncio.run(run())
    lines = [json.loads(line) for line in (results / "coordinator.jsonl").read_text().splitlines()]
    return [line for line in lines if line["event"] == "sample"]


def judge(lines: list[dict[str, Any]], clocks: dict[str, OtherClock]) -> dict[str, Any]:
    """How often the truth was where the report said."""
    covered, errors, wrong_by, skews = 0, [], [], []
    ok = [line for line in lines if line["verdict"] == "ok"]
    for line in ok:
        true_us = true_skew_us(line, clocks)
        error_us = abs(line["start_skew_us"] - true_us)
        covered += error_us <= line["start_skew_error_us"] + 0.1  # it is given in tenths
        errors.append(line["start_skew_error_us"])
        wrong_by.append(error_us)
        skews.append(true_us)
    median = {
        "error_p50_us": errors,
        "wrong_by_p50_us": wrong_by,
        "true_skew_p50_us": skews,
    }
    return {
        "samples": len(ok),
        "not_ok": len(lines) - len(ok),
        "covered": covered,
        **{name: round(statistics.median(values), 1) if values else None for name, values in median.items()},
    }


def true_skew_us(line: dict[str, Any], clocks: dict[str, OtherClock]) -> float:
    starts = [
        clocks[name].undone_ns(process["start_ns"])
        for name, host in line["hosts"].items()
        if host["group"] == "clients"
        for process in host["processes"]
    ]
    return (max(starts) - min(starts)) / 1e3


def table(rows: list[dict[str, Any]]) -> str:
    lines = [f"{'condition':28}  hosts  samples  covered           median error   true skew   reported is off by"]
    for row in rows:
        head = f"{row['condition']:28}  {row['hosts']:5}"
        if "skipped" in row:
            lines.append(f"{head}  SKIPPED: {row['skipped']}")
            continue
        share = f"{row['covered']} ({row['covered'] / max(1, row['samples']):.1%})"
        lines.append(
            f"{head}  {row['samples']:7}  {share:16}  ± {row['error_p50_us']:7.0f} µs"
            f"  {row['true_skew_p50_us']:7.0f} µs  {row['wrong_by_p50_us']:7.0f} µs"
        )
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    names = [condition.name for condition in CONDITIONS]
    parser.add_argument("--samples", type=int, default=500, help="for each condition and number of hosts")
    parser.add_argument("--hosts", type=int, nargs="+", default=[2, 8, 16, 32])
    parser.add_argument("--conditions", nargs="+", default=names, choices=names, metavar="NAME", help=", ".join(names))
    parser.add_argument("--json", type=Path, default=Path("results/bench-coverage.json"))
    arguments = parser.parse_args()
    rows = []
    for condition in CONDITIONS:
        for hosts in arguments.hosts if condition.name in arguments.conditions else ():
            print(f"{condition.name}, {hosts} hosts …", file=sys.stderr, flush=True)
            rows.append(measure(condition, hosts, arguments.samples))
            arguments.json.parent.mkdir(parents=True, exist_ok=True)
            arguments.json.write_text(json.dumps({"goal": GOAL, "cells": rows}, indent=2) + "\n")
    print(table(rows))
    measured = [row for row in rows if "skipped" not in row]
    return int(any(row["covered"] < GOAL * row["samples"] or not row["samples"] for row in measured))


if __name__ == "__main__":
    sys.exit(main())
