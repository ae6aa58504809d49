#!/usr/bin/env python
# SPDX-License-Identifier: GPL-3.0-or-later
"""`make faults`: breaks runs in every way that is known, so many times, and prints what came of it.

Two kinds of faults have a table each. Those of `netbench_faults.faults` are injected on the hosts of a lab, in every
phase of a run, at random instants; the seed is printed, and the same seed gives the same victims and instants. The
tests beside this file break single things on this machine. The exit status is 0 only when all that is promised came
true every time.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path[:0] = [str(HERE), str(ROOT / "tests/lab"), str(ROOT / "tests/integration")]

from netbench_faults.engine import Case, Engine  # noqa: E402
from netbench_faults.faults import FAULTS  # noqa: E402
from netbench_faults.phases import PHASES  # noqa: E402
from netbench_lab import settings  # noqa: E402
from netbench_lab.fixtures import why_no_lab  # noqa: E402
from netbench_lab.lab import Lab  # noqa: E402
from netbench_trial.lab import lab_trial  # noqa: E402

ROUND_LIMIT_S = 1800
SERVERS, CLIENTS = 2, 2


@dataclass
class Row:
    """What came of one fault. `seconds` has one entry for each time that it was injected."""

    seconds: list[float] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)
    missed: int = 0
    said: list[str] = field(default_factory=list)
    skipped: str = ""


Table = dict[str, Row]


# -- on lab hosts ------------------------------------------------------------------------------------------------------


def break_lab(options: argparse.Namespace, table: Table) -> None:
    """Every chosen fault in every phase that it is made for, `--times` times."""
    chosen = [
        (fault, phase)
        for fault in FAULTS.values()
        for phase in PHASES.values()
        if phase.name in fault.promise and re.search(options.only, f"{fault.name}/{phase.name}")
    ]
    if not chosen:
        return
    if why := why_no_lab():
        table.update({fault.name: Row(skipped=why) for fault, _phase in chosen})
        return
    lab = Lab(settings.from_environment(os.environ, name=os.environ.get("NETBENCH_LAB") or "faults"), say)
    was_there = bool(lab.hosts)
    lab.repair()
    lab.up(SERVERS, CLIENTS)
    try:
        with lab_trial(lab) as trial:
            trial.prepare()
            engine = Engine(trial, options.seed)
            lengths = engine.calibrate()
            say("phases: " + ", ".join(f"{name} {seconds:.2f} s" for name, seconds in lengths.items()))
            say(f"this machine is {engine.slowness:.1f} times slower than an idle one: so are the limits")
            for number in range(options.times):
                for fault, phase in chosen:
                    case = engine.inject(fault, phase, number)
                    say(str(case))
                    keep(options.keep, case)
                    count(table.setdefault(fault.name, Row()), case)
            last = engine.works_again()
            say(str(last))
            count(table.setdefault(last.fault, Row()), last)
            for host in lab.hosts.values():
                host.run("systemctl", "stop", f"netbench-worker@{trial.token}", check=False)
    finally:
        if not was_there:
            lab.down()


def count(row: Row, case: Case) -> None:
    row.seconds.append(case.seconds)
    row.outcomes[case.outcome or "no outcome"] += 1
    row.missed += bool(case.missed)
    row.said += [f"{case.phase} ({case.how}): {miss.splitlines()[0]}" for miss in case.missed]


def keep(folder: str, case: Case) -> None:
    """What the person at the terminal saw, as `<fault>-<phase>.txt`."""
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        name = re.sub(r"[^a-z0-9]+", "-", f"{case.fault}-{case.phase}".lower())
        (Path(folder) / f"{name}.txt").write_text(f"{case}\n\n{case.output}")


# -- tests -------------------------------------------------------------------------------------------------------------


def run_tests(only: str, table: Table) -> None:
    """One round: every test beside this file once. (The lab's share of `make test` is not among them.)"""
    with tempfile.TemporaryDirectory(prefix="netbench-faults-") as folder:
        report = Path(folder) / "round.xml"
        pytest = [sys.executable, "-m", "pytest", "-q"]
        common: dict[str, Any] = {"cwd": ROOT, "capture_output": True, "text": True}
        files = [str(path) for path in sorted(HERE.glob("test_*.py")) if path.name != "test_on_lab.py"]
        listed = subprocess.run(
            [*pytest, "--collect-only", *files], check=False, timeout=60, **common
        ).stdout.splitlines()
        tests = [line for line in listed if "::" in line and re.search(only, readable(line.rpartition("::")[2]))]
        if not tests:
            return
        done = subprocess.run([*pytest, f"--junitxml={report}", *tests], check=False, timeout=ROUND_LIMIT_S, **common)
        if not report.is_file():
            raise SystemExit(done.stdout + done.stderr)
        for case in ET.parse(report).iter("testcase"):
            row = table.setdefault(readable(str(case.get("name"))), Row())
            skipped, failed = case.find("skipped"), [*case.iter("failure"), *case.iter("error")]
            if skipped is not None:
                row.skipped = skipped.get("message", "")
                continue
            row.seconds.append(float(case.get("time", "nan")))
            row.missed += bool(failed)
            row.said += [str(each.get("message", "")).splitlines()[0] for each in failed]


def readable(test: str) -> str:
    return test.removeprefix("test_").replace("_", " ")


# -- what is printed ---------------------------------------------------------------------------------------------------


def lines(table: Table) -> Iterator[str]:
    """One line for each fault, and below it the first words of every miss."""
    width = max(map(len, table), default=0)
    yield f"{'fault':{width}}  {'times':>5} {'as promised':>11} {'slowest':>8}  outcomes"
    for name, row in table.items():
        times = len(row.seconds)
        if row.skipped and not times:
            yield f"{name:{width}}  SKIPPED: {row.skipped}"
            continue
        came = ", ".join(f"{outcome} {number}" for outcome, number in row.outcomes.most_common())
        yield f"{name:{width}}  {times:>5} {times - row.missed:>11} {max(row.seconds):>6.1f} s  {came}".rstrip()
        yield from (f"  missed: {said}" for said in row.said)


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=1, help="rounds (default: 1)")
    parser.add_argument("--only", default="", help="a regular expression: FAULT/PHASE on lab hosts, and tests")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="of victims and instants")
    parser.add_argument("--keep", default="", metavar="DIR", help="keep what each broken run said, as FAULT-PHASE.txt")
    parser.add_argument("--lab", action="store_true", help="only the faults on lab hosts, not the tests")
    options = parser.parse_args(arguments)
    say(f"seed {options.seed}")
    on_lab: Table = {}
    tests: Table = {}
    try:
        break_lab(options, on_lab)
        for number in range(0 if options.lab else options.times):
            say(f"tests: round {number + 1} of {options.times} …")
            run_tests(options.only, tests)
    except KeyboardInterrupt:
        say("interrupted; what was injected until then:")
    for table in filter(None, (on_lab, tests)):
        print("\n".join(lines(table)))
    rows = [*on_lab.values(), *tests.values()]
    return 1 if not rows or any(row.missed for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
