# SPDX-License-Identifier: GPL-3.0-or-later
"""`make fuzz`: broken inputs for every parser of what crosses a boundary, and a table of what came of them.

    make fuzz ARGS="--inputs 10000000"           all parsers, by their shares
    make fuzz ARGS="--only frames --seconds 60"  parsers whose name holds "frames"
    make fuzz ARGS="--replay FILE"               one saved input again, with its traceback

An input fails when its parser raises anything but its own errors, takes more than a second, needs more than the memory
limit, kills the interpreter, or is refused in words that a screen should not be given. Failing inputs are saved.
Exit status 1 when there are any.
"""

from __future__ import annotations

import argparse
import hashlib
import mmap
import multiprocessing
import os
import random
import re
import sys
import time
from collections import deque
from multiprocessing.connection import Connection, wait
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / ".collections"))

from netbench_fuzz import chunk  # noqa: E402
from netbench_fuzz.chunk import MEMORY_LIMIT_BYTES, Outcome  # noqa: E402
from netbench_fuzz.mutation import LIMIT_BYTES  # noqa: E402
from netbench_fuzz.targets import TARGETS, Folder, Target  # noqa: E402

SAVED = ROOT / ".cache/fuzz"
CHUNK_INPUTS = 50_000
TELL_INPUTS = 1_000_000
LOOK_S, LOOKS = 5.0, 24  # a chunk at the same input at so many looks hangs where no signal reaches it
CONTEXT = multiprocessing.get_context("fork")


class Worker:
    """A process with one chunk. What it is at is in shared memory, so that it is known if it dies."""

    def __init__(self, target: Target, seed: str, inputs: int, until: float) -> None:
        self.target = target
        self._current = mmap.mmap(-1, LIMIT_BYTES + 8)
        self.results, theirs = CONTEXT.Pipe(duplex=False)
        self._process = CONTEXT.Process(target=self._run, args=(theirs, seed, inputs, until))
        self._process.start()
        theirs.close()
        self._seen, self._looks, self._looked_s = b"", 0, time.monotonic()

    def _run(self, results: Connection, seed: str, inputs: int, until: float) -> None:
        results.send(chunk.run(self.target, seed, inputs, until, self._remember))

    def _remember(self, data: bytes) -> None:
        self._current[: len(data) + 8] = len(data).to_bytes(8, "little") + data

    def _at(self) -> bytes:
        return self._current[8 : 8 + int.from_bytes(self._current[:8], "little")]

    def stalls(self) -> bool:
        """Counts looks, not seconds: the whole command may have been stopped for a while."""
        if time.monotonic() - self._looked_s > LOOK_S:
            data = self._at()
            self._looks = self._looks + 1 if data == self._seen else 0
            self._seen, self._looked_s = data, time.monotonic()
        return self._looks >= LOOKS

    def outcome(self) -> Outcome:
        """Call when there is something to receive, or when it stalls."""
        try:
            if self.results.poll():
                return self.results.recv()
            return Outcome(self.target.name, failures={f"hang of more than {LOOK_S * LOOKS:.0f} s": self._at()})
        except EOFError:
            self._process.join()
            why = f"the interpreter ended with status {self._process.exitcode}"
            return Outcome(self.target.name, failures={why: self._at()})
        finally:
            self._process.kill()
            self._process.join()
            self.results.close()


def fuzz(targets: list[Target], *, inputs: int, seed: int, seconds: float, jobs: int) -> list[Outcome]:
    """All chunks, ``jobs`` at a time, the targets in turn, so that stopping early is fair to all."""
    shares = sum(target.share for target in targets)
    queue = []
    for target in targets:
        left, number = round(inputs * target.share / shares) or 1, 0
        while left > 0:
            queue.append((number * CHUNK_INPUTS / (inputs * target.share), target, number, min(left, CHUNK_INPUTS)))
            left, number = left - CHUNK_INPUTS, number + 1
    waiting = deque(sorted(queue, key=lambda entry: entry[0]))
    until, outcomes, workers = time.monotonic() + seconds, list[Outcome](), list[Worker]()
    told = 0
    while waiting or workers:
        while waiting and len(workers) < jobs and time.monotonic() < until:
            _order, target, number, count = waiting.popleft()
            workers.append(Worker(target, f"{seed}/{number}", count, until))
        if not workers:
            break
        ready = wait([worker.results for worker in workers], timeout=LOOK_S)
        for worker in [each for each in workers if each.results in ready or each.stalls()]:
            workers.remove(worker)
            outcomes.append(worker.outcome())
            save(outcomes[-1:])  # whoever ends a long run has what it found
            done = sum(each.inputs for each in outcomes)
            if sys.stderr.isatty():
                print(f"\r{done:,} inputs", end="", file=sys.stderr, flush=True)
            elif done // TELL_INPUTS > told:
                told = done // TELL_INPUTS
                print(f"{done:,} inputs", file=sys.stderr, flush=True)
    return outcomes


def table(outcomes: list[Outcome]) -> str:
    lines = [f"{'parser':<18}{'inputs':>12}{'refused':>9}{'slowest':>10}{'memory':>9}{'inputs/s':>10}{'failures':>10}"]
    names = [target.name for target in TARGETS if any(each.target == target.name for each in outcomes)]
    for name in [*names, "all"]:
        mine = [each for each in outcomes if name in (each.target, "all")]
        inputs, busy_s = sum(each.inputs for each in mine), sum(each.seconds for each in mine)
        lines.append(
            f"{name:<18}{inputs:>12,}{sum(each.rejected for each in mine) / max(inputs, 1):>9.1%}"
            f"{max(each.slowest_s for each in mine) * 1e3:>7.0f} ms"
            f"{max(each.memory_bytes for each in mine) >> 20:>5} MiB"
            f"{inputs / max(busy_s, 1e-9):>10,.0f}{len({place for each in mine for place in each.failures}):>10}"
        )
    return "\n".join(lines)


def save(outcomes: list[Outcome]) -> list[str]:
    """Each distinct failure to a file; what to say about it."""
    told: dict[str, str] = {}
    for outcome in outcomes:
        for place, data in outcome.failures.items():
            path = SAVED / f"{_file_name(outcome.target)}-{hashlib.sha256(data).hexdigest()[:16]}"
            SAVED.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            again = f"python tests/fuzz/run.py --replay {path.relative_to(ROOT)}"
            told.setdefault(f"{outcome.target}: {place}", f"{data[:120]!r} ({len(data)} bytes)\n    {again}")
    return [f"FAILED {what}\n    {how}" for what, how in told.items()]


def _file_name(target: str) -> str:
    return re.sub(r"[^A-Za-z0-9.]+", "_", target)


def replay(path: Path) -> int:
    named = path.name.rpartition("-")[0]
    target, folder = next(each for each in TARGETS if _file_name(each.name) == named), Folder()
    try:
        print(f"{target.name}: {'understood' if chunk.examine(target, path.read_bytes(), folder) else 'refused'}")
    finally:
        folder.remove()
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=lambda text: int(float(text)), default=10_000_000, help="default: 10 million")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32), help="default: drawn")
    parser.add_argument("--only", default="", help="parsers whose name holds this")
    parser.add_argument("--seconds", type=float, default=86_400.0, help="stop after so long")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes (default: one per CPU)")
    parser.add_argument("--replay", type=Path, help="a saved input")
    arguments = parser.parse_args()
    if sys.platform != "linux":
        print("SKIPPED: the bounds are kept by means of Linux")
        return 77
    if arguments.replay:
        return replay(arguments.replay)
    targets = [target for target in TARGETS if arguments.only in target.name]
    if not targets:
        parser.error(f"no parser's name holds {arguments.only!r}")
    start_s = time.monotonic()
    print(f"seed {arguments.seed}, Python {sys.version.split()[0]}", flush=True)
    outcomes = fuzz(
        targets, inputs=arguments.inputs, seed=arguments.seed, seconds=arguments.seconds, jobs=arguments.jobs
    )
    failures = save(outcomes)
    print(table(outcomes))
    print(
        f"{sum(each.inputs for each in outcomes):,} inputs in {time.monotonic() - start_s:.0f} s; "
        f"bounds: {chunk.INPUT_LIMIT_S:g} s of processor time per input, {MEMORY_LIMIT_BYTES >> 20} MiB above the start"
    )
    print("\n".join(failures) or "no failure")
    return bool(failures)


if __name__ == "__main__":
    sys.exit(main())
