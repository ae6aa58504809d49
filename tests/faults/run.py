#!/usr/bin/env python
# SPDX-License-Identifier: GPL-3.0-or-later
"""`make faults`: injects every fault of this folder so many times, and prints what came of it.

The faults are the tests beside this file; a table has for each how often it was injected, how often what was promised
came true, and the slowest time. The exit status is 0 only when everything came true every time.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROUND_LIMIT_S = 1800


@dataclass
class Fault:
    """What came of one fault. `seconds` has one entry for each time that it was injected."""

    seconds: list[float] = field(default_factory=list)
    misses: list[str] = field(default_factory=list)
    skipped: str = ""


def inject_all(only: str, faults: dict[str, Fault]) -> None:
    """One round: every fault once."""
    with tempfile.TemporaryDirectory(prefix="netbench-faults-") as folder:
        report = Path(folder) / "round.xml"
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            f"--junitxml={report}",
            str(HERE),
            *(["-k", only] if only else []),
        ]
        done = subprocess.run(
            command, cwd=HERE.parent.parent, timeout=ROUND_LIMIT_S, capture_output=True, text=True, check=False
        )
        if not report.is_file():
            raise SystemExit(done.stdout + done.stderr)
        for case in ET.parse(report).iter("testcase"):
            fault = faults.setdefault(str(case.get("name")).removeprefix("test_").replace("_", " "), Fault())
            skipped, failed = case.find("skipped"), [*case.iter("failure"), *case.iter("error")]
            if skipped is not None:
                fault.skipped = skipped.get("message", "")
                continue
            fault.seconds.append(float(case.get("time", "nan")))
            fault.misses += [str(each.get("message", "")).splitlines()[0] for each in failed]


def table(faults: dict[str, Fault]) -> str:
    """One line for each fault, and below it the first words of every miss."""
    width = max(map(len, faults), default=0)
    lines = [f"{'fault':{width}}  {'times':>5} {'as promised':>11} {'slowest':>8}"]
    for name, fault in faults.items():
        times = len(fault.seconds)
        if fault.skipped and not times:
            lines.append(f"{name:{width}}  SKIPPED: {fault.skipped}")
            continue
        kept = times - len(fault.misses)
        lines.append(f"{name:{width}}  {times:>5} {kept:>11} {max(fault.seconds):>6.1f} s")
        lines += [f"  missed: {miss}" for miss in fault.misses]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=1, help="rounds (default: 1; a round takes two minutes)")
    parser.add_argument("--only", default="", help="an expression as of pytest's -k")
    options = parser.parse_args(arguments)
    faults: dict[str, Fault] = {}
    try:
        for number in range(options.times):
            print(f"round {number + 1} of {options.times} …", file=sys.stderr, flush=True)
            inject_all(options.only, faults)
    except KeyboardInterrupt:
        print("interrupted; what was injected until then:", file=sys.stderr)
    print(table(faults))
    return 1 if not faults or any(fault.misses for fault in faults.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
