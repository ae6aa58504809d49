#!/usr/bin/env python
# SPDX-License-Identifier: GPL-3.0-or-later
"""Carries out the steps of tests/steps.py and says truthfully what came of them.

Every step has a time limit and its own process group, which is gone when the step is over. The output of a failing
step is shown in full; that of the others is kept in .cache/test-logs. A step that cannot run here prints SKIPPED and
why, and counts as skipped, never as passed. The last line is the sum: pytest's tests one by one, every other step as
one.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import contextlib
import itertools
import os
import shutil
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from steps import STEPS, Step

ROOT = Path(__file__).resolve().parent.parent
LOGS = ROOT / ".cache/test-logs"
LANES = 2  # so many steps that may run together do
GRACE_S = 20.0
ANSWER_LIMIT_S = 30.0
CANNOT_RUN_HERE = 77  # the exit status by which a command skips itself, as in automake
# The caller's own settings of these programs would test something else than a clean clone does.
RUNNING: set[subprocess.Popen[bytes]] = set()
FOREIGN_SETTINGS = ("ANSIBLE_", "MOLECULE_", "PYTEST_", "PYTHON", "GIT_", "MAKE", "MFLAGS", "NETBENCH_")


def missing_program(*names: str) -> Callable[[], str]:
    """A need: the programs are on PATH (or where Debian keeps those of the administrator)."""

    def reason() -> str:
        path = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))
        absent = [name for name in names if shutil.which(name, path=path) is None]
        return f"not installed: {', '.join(absent)}" if absent else ""

    return reason


def answering_program(*command: str) -> Callable[[], str]:
    """A need: the command exits 0. A version manager's shim is on PATH also where it has nothing to run."""

    def reason() -> str:
        absent = missing_program(command[0])()
        if absent:
            return absent
        try:
            answer = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                text=True, errors="replace", timeout=ANSWER_LIMIT_S, check=False,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as problem:
            return str(problem)
        if answer.returncode == 0:
            return ""
        lines = answer.stdout.strip().splitlines() or [f"exit status {answer.returncode}"]
        why = next((line for line in lines if line.startswith("error")), lines[-1])  # a backtrace may follow it
        return f"{' '.join(command)}: {why}"

    return reason


NEEDS: dict[str, Callable[[], str]] = {
    "linux": lambda: "" if sys.platform == "linux" else "needs Linux",
    "root": lambda: "" if os.geteuid() == 0 else "needs root",
    "containers": missing_program("podman", "runc", "debootstrap", "nft", "ssh"),
    "chromium": missing_program("chromium"),
    "cargo": answering_program("cargo", "--version"),
    "compiler": missing_program("cc"),
}


@dataclass
class Outcome:
    """What came of a step. `counts` has the keys passed, failed, skipped; `notes` say why something was skipped."""

    step: Step
    verdict: str
    seconds: float = 0.0
    counts: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)


def chosen(steps: Sequence[Step], only: str) -> list[Step]:
    """The steps that `only` (names or groups, separated by commas or blanks) picks; all of them when it is empty."""
    wanted = only.replace(",", " ").split()
    known = {name for step in steps for name in (step.name, *step.groups)}
    unknown = sorted(set(wanted) - known)
    if unknown:
        raise SystemExit(f"unknown step: {', '.join(unknown)}; there are: {', '.join(sorted(known))}")
    return [step for step in steps if not wanted or set(wanted) & {step.name, *step.groups}]


def test_counts(report: Path) -> tuple[Counter[str], list[str]]:
    """Counts and skip reasons of a JUnit XML file as pytest writes it."""
    counts: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    for case in ET.parse(report).iter("testcase"):
        skipped = case.find("skipped")
        if case.find("failure") is not None or case.find("error") is not None:
            counts["failed"] += 1
        elif skipped is not None:
            counts["skipped"] += 1
            reasons[f"{case.get('name')}: {skipped.get('message', '')}"] += 1
        else:
            counts["passed"] += 1
    return counts, sorted(reasons)


def run_command(command: Sequence[str], *, env: dict[str, str], log: Path, limit_s: float) -> int | None:
    """Run a command without standard input; returns its exit status, or None when it was killed for its time limit."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            command, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
        RUNNING.add(process)
        try:
            return process.wait(timeout=limit_s)
        except subprocess.TimeoutExpired:
            # First the polite way: what it started elsewhere (containers, workers) is its own to take down.
            os.killpg(process.pid, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=GRACE_S)
            return None
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            RUNNING.discard(process)


def environment_of(step: Step, folder: Path) -> dict[str, str]:
    """The caller's environment without what would change the meaning of a test."""
    env = {key: value for key, value in os.environ.items() if not key.startswith(FOREIGN_SETTINGS)}
    env.setdefault("HOME", str(ROOT / ".cache/home"))
    env["PATH"] = os.pathsep.join((str(folder / "bin"), env.get("PATH", os.defpath), "/usr/sbin", "/sbin"))
    env |= {
        "LC_ALL": "C.UTF-8",
        # Compiled once, not with every worker that a test starts; and not next to the sources, which get packed.
        "PYTHONPYCACHEPREFIX": str(ROOT / ".cache/pycache"),
        "NO_COLOR": "1",
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_NOCOLOR": "1",
        "VIRTUAL_ENV": str(folder),
    }
    return env | dict(step.variables)


def carry_out(step: Step, environments: dict[str, str]) -> Outcome:
    """Run one step; never raises for what the step does."""
    for need in step.needs:
        if reason := NEEDS[need]():
            return Outcome(step, "skipped", counts=Counter(skipped=1), notes=[reason])
    log = LOGS / f"{step.name}.log"
    junit = LOGS / f"{step.name}.xml"
    junit.unlink(missing_ok=True)
    log.write_bytes(b"")
    folder = ROOT / environments[step.environment]
    env = environment_of(step, folder)
    places = {"{python}": str(folder / "bin/python"), "{bin}": str(folder / "bin"), "{junit}": str(junit)}
    command = list(step.command)
    for placeholder, place in places.items():
        command = [part.replace(placeholder, place) for part in command]
    set_up = [sys.executable, "requirements/install.py", step.environment]

    began = time.monotonic()
    status = run_command(set_up, env=env, log=log, limit_s=step.limit_s)
    if status == 0:
        status = run_command(command, env=env, log=log, limit_s=step.limit_s - (time.monotonic() - began))
    seconds = time.monotonic() - began

    text = log.read_text(encoding="utf-8", errors="replace")
    if status == CANNOT_RUN_HERE:
        why = (text.strip().splitlines() or ["it gave no reason"])[-1]
        return Outcome(step, "skipped", seconds, Counter(skipped=1), [why])
    counts, notes = test_counts(junit) if junit.is_file() else (Counter(), [])
    if status == 0 and not counts["failed"]:
        return Outcome(step, "passed", seconds, counts or Counter(passed=1), notes)
    reason = f"not done after {step.limit_s} s" if status is None else f"exit status {status}"
    counts["failed"] = max(counts["failed"], 1)
    print(f"\n──── {step.name}: {reason}: {' '.join(command)}\n{text}\n──── end of {step.name}", flush=True)
    return Outcome(step, "failed", seconds, counts, [reason, *notes])


def carry_out_all(steps: Sequence[Step], environments: dict[str, str]) -> Iterator[Outcome]:
    """Run the steps in order, neighbours that may run together in `LANES` lanes; says which begin and end."""
    for together, row in itertools.groupby(steps, key=lambda step: step.together):
        names = list(row)
        if together:
            print(f"together: {', '.join(step.name for step in names)}", flush=True)
        with concurrent.futures.ThreadPoolExecutor(LANES if together else 1) as lanes:
            try:
                if together:
                    coming = [lanes.submit(carry_out, step, environments) for step in names]
                    for done in concurrent.futures.as_completed(coming):
                        yield told(done.result(), alone=False)
                else:
                    for step in names:
                        print(f"{step.name} …", end=" ", flush=True)
                        yield told(lanes.submit(carry_out, step, environments).result(), alone=True)
            except BaseException:
                lanes.shutdown(wait=False, cancel_futures=True)
                end_running()
                raise


def told(outcome: Outcome, *, alone: bool) -> Outcome:
    """The outcome, said on the screen."""
    name = "" if alone else f"{outcome.step.name} … "
    print(f"{name}{outcome.verdict} ({outcome.seconds:.1f} s)", flush=True)
    return outcome


def end_running() -> None:
    """End the steps under way as their time limit would."""
    running = list(RUNNING)
    for number in (signal.SIGTERM, signal.SIGKILL):
        deadline = time.monotonic() + GRACE_S
        for process in running:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)
        while number == signal.SIGTERM and any(p in RUNNING for p in running) and time.monotonic() < deadline:
            time.sleep(0.05)


def summary(outcomes: Sequence[Outcome], seconds: float) -> str:
    """The table of all steps, what was skipped and why, and the closing line."""
    width = max(len(outcome.step.name) for outcome in outcomes)
    lines = ["", f"{'step':{width}}  {'verdict':8} {'passed':>7} {'failed':>7} {'skipped':>8} {'seconds':>8}"]
    total: Counter[str] = Counter()
    for outcome in outcomes:
        total += outcome.counts
        figures = " ".join(
            f"{outcome.counts[key]:>{size}}" for key, size in (("passed", 7), ("failed", 7), ("skipped", 8))
        )
        lines.append(f"{outcome.step.name:{width}}  {outcome.verdict:8} {figures} {outcome.seconds:8.1f}")
    lines.append("")
    for outcome in outcomes:
        if outcome.counts["skipped"]:
            lines += [f"SKIPPED: {outcome.step.name}: {note}" for note in outcome.notes]
        if outcome.verdict == "failed":
            lines.append(
                f"FAILED: {outcome.step.name}: {outcome.notes[0]}, output in .cache/test-logs/{outcome.step.name}.log"
            )
    lines.append(f"{seconds:.0f} s in all; logs in .cache/test-logs")
    lines.append(f"{total['passed']} passed, {total['failed']} failed, {total['skipped']} skipped")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status 0 only when something ran and nothing failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", metavar="NAMES", help="names or groups of steps, separated by commas")
    parser.add_argument("--list", action="store_true", help="print the steps and end")
    options = parser.parse_args(arguments)
    steps = chosen(STEPS, options.only)
    if options.list:
        print("\n".join(f"{step.name:24} {' '.join(step.groups):16} {' '.join(step.command)}" for step in steps))
        return 0
    # As SystemExit, the signal of a CI's own time limit runs the clean-up of the step under way.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    sys.path.insert(0, str(ROOT / "requirements"))
    from install import ENVIRONMENTS

    folders = {name: environment.folder for name, environment in ENVIRONMENTS.items()}
    LOGS.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    outcomes = sorted(carry_out_all(steps, folders), key=lambda outcome: steps.index(outcome.step))
    print(summary(outcomes, time.monotonic() - began), flush=True)
    failed = any(outcome.verdict == "failed" for outcome in outcomes)
    return 0 if not failed and any(outcome.counts["passed"] for outcome in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
