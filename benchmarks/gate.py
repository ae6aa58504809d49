#!/usr/bin/env python
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a worker does between the instant at which a process is due and the first instruction of its program.

    python benchmarks/gate.py [--times 200] [--priority 50] [--cpus 1]

The worker's own gates, and beside them the least that could be done: a C program, forked beforehand too, that spins
until the instant, stamps the time and executes. Both execute the same program, which says when it began. Without a C
compiler there is nothing to compare with, and nothing is measured.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / ".collections"))

from ansible_collections.netbench.orchestrator.plugins.module_utils._worker.process import Program, hold  # noqa: E402

LEAD_NS = 20_000_000
# Says when its first instruction ran.
PROGRAM = r"""
#include <stdio.h>
#include <time.h>
int main(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    printf("%lld\n", now.tv_sec * 1000000000LL + now.tv_nsec);
    return 0;
}
"""
# argv: the instant, the program. Sleeps as a gate does, spins, stamps, executes.
FLOOR = r"""
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
static long long now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}
int main(int argc, char **argv) {
    long long at = atoll(argv[1]), wake = at - 200000, now;
    struct timespec then = {wake / 1000000000LL, wake % 1000000000LL};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &then, 0);
    while ((now = now_ns()) < at) {}
    char stamp[32];
    int length = snprintf(stamp, sizeof stamp, "%lld\n", now);
    if (argc < 3 || write(1, stamp, length) < 0) return 1;
    execv(argv[2], &argv[2]);
    return 1;
}
"""
Times = tuple[int, int, int]  # the instant, the stamp, the program's first instruction; in ns


def compiled(compiler: str, source: str, target: Path) -> Path:
    subprocess.run(
        [compiler, "-O2", "-static", "-x", "c", "-", "-o", str(target)], input=source, text=True, check=True, timeout=60
    )
    return target


def through_a_gate(program: Path, folder: Path, priority: int | None, cpus: Sequence[int] | None) -> Times:
    """One start by the worker's own gate."""
    (folder / "out").unlink(missing_ok=True)
    gate = hold(Program("p", str(program), ["p"], {}, folder, "out", "err", cpus, priority))
    while not gate.held:
        gate.listen()
        time.sleep(0.001)
    if gate.notes:
        raise SystemExit("; ".join(gate.notes))
    at_ns = time.monotonic_ns() + LEAD_NS
    gate.release(at_ns)
    os.waitpid(gate.pid, 0)
    gate.close()
    return at_ns, gate.start_ns or 0, int((folder / "out").read_text())


def at_the_floor(floor: Path, program: Path) -> Times:
    """One start by the C program."""
    at_ns = time.monotonic_ns() + LEAD_NS
    done = subprocess.run(
        [str(floor), str(at_ns), str(program)], capture_output=True, text=True, check=True, timeout=60
    )
    stamp, began = map(int, done.stdout.split())
    return at_ns, stamp, began


def measure(name: str, start: Callable[[], Times], times: int) -> str:
    """One line of the table."""
    seen = [start() for _number in range(times)]
    late = sorted((stamp - at) / 1e3 for at, stamp, _began in seen)
    executing = sorted((began - stamp) / 1e3 for _at, stamp, began in seen)

    def figures(values: list[float]) -> str:
        return f"{values[0]:8.1f} {statistics.median(values):8.1f} {values[int(len(values) * 0.9)]:8.1f}"

    return f"{name:26} {figures(late)}   {figures(executing)}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=200)
    parser.add_argument("--priority", type=int, help="real-time priority (needs the right to it)")
    parser.add_argument("--cpus", type=lambda text: [int(each) for each in text.split(",")])
    options = parser.parse_args()
    compiler = shutil.which("cc")
    if compiler is None:
        print("no C compiler (cc): there is nothing to compare with", file=sys.stderr)
        return 77
    with tempfile.TemporaryDirectory(prefix="netbench-gate-") as name:
        folder = Path(name)
        program, floor = compiled(compiler, PROGRAM, folder / "program"), compiled(compiler, FLOOR, folder / "floor")
        print(f"{'':26} {'instant to stamp':26}   stamp to program")
        print(f"{f'µs, {options.times} starts':26} {'min':>8} {'p50':>8} {'p90':>8}   {'min':>8} {'p50':>8} {'p90':>8}")
        print(measure("worker's gate", lambda: through_a_gate(program, folder, None, None), options.times))
        if options.priority or options.cpus:
            favours = ", ".join(
                [
                    "gate",
                    *([f"priority {options.priority}"] if options.priority else []),
                    *([f"CPUs {options.cpus}"] if options.cpus else []),
                ]
            )
            print(
                measure(favours, lambda: through_a_gate(program, folder, options.priority, options.cpus), options.times)
            )
        print(measure("C floor", lambda: at_the_floor(floor, program), options.times))
    return 0


if __name__ == "__main__":
    sys.exit(main())
