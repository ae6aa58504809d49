# SPDX-License-Identifier: GPL-3.0-or-later
"""One chunk of inputs for one parser, in a process of its own: bounded in time and memory, the same for a seed always.

An input that reaches a line of the collection (on Python 3.11, a pair of successive lines) that none of the chunk's has
reached joins the corpus and is mutated further.
"""

from __future__ import annotations

import random
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from types import CodeType, FrameType
from typing import Any, NoReturn

from .mutation import Mutator
from .targets import Folder, Target

INPUT_LIMIT_S = 1.0  # of processor time
MEMORY_LIMIT_BYTES = 256 << 20  # of address space, above what the process has at its start
CORPUS_LIMIT = 200  # further inputs, none much longer than the examples
TRACED = 32  # every so many inputs are traced where tracing is dear (before Python 3.12)
MESSAGE_LIMIT = 20_000
KEPT_FAILURES = 20


class Hang(BaseException):
    """An input took more than its time. Not an Exception: a parser must not catch it."""


@dataclass
class Outcome:
    """What came of a chunk. ``failures``: (where and what, input), one for each distinct place."""

    target: str
    inputs: int = 0
    rejected: int = 0
    slowest_s: float = 0.0
    memory_bytes: int = 0
    reached: int = 0
    seconds: float = 0.0
    failures: dict[str, bytes] = field(default_factory=dict)


def examine(target: Target, data: bytes, folder: Folder) -> bool:
    """Parse one input as `run` does; whether it was understood. Raises what the parser must not raise."""
    try:
        return bool(target.parse(data, folder.empty() if target.form == "tar" else folder.path))
    except target.errors as problem:
        words = str(problem)
        odd = [character for character in words if not (character.isprintable() or character in "\n\t")]
        if not words.strip() or len(words) > MESSAGE_LIMIT or odd:
            raise AssertionError(f"a message not fit for a screen: {words[:200]!r}") from problem
        return False


def run(target: Target, seed: str, inputs: int, until: float, before: Callable[[bytes], None]) -> Outcome:
    """Draw and examine ``inputs``; ``before`` is told each one. Stops early when time.monotonic() passes ``until``."""
    outcome = Outcome(target.name)
    mutator = Mutator(random.Random(f"{seed}/{target.name}"), target.seeds(), target.form)
    folder, coverage, size = Folder(), Coverage(), 0
    longest = 1000 + 2 * max(map(len, target.seeds()))
    for example in target.seeds():  # imports, caches, the lines that good inputs reach
        with_coverage(coverage, lambda example=example: attempt(outcome, target, example, folder))
    outcome.inputs = outcome.rejected = 0
    status = memory()
    resource.setrlimit(resource.RLIMIT_AS, (status["VmSize"] + MEMORY_LIMIT_BYTES, resource.RLIM_INFINITY))
    signal.signal(signal.SIGPROF, _hang)
    start_s = time.monotonic()
    try:
        while outcome.inputs < inputs and time.monotonic() < until:
            data = mutator.draw()
            before(data)
            if not (coverage.cheap or outcome.inputs % TRACED == 0):
                attempt(outcome, target, data, folder)
                continue
            grew = with_coverage(coverage, lambda data=data: attempt(outcome, target, data, folder))
            if grew and size < CORPUS_LIMIT and len(data) < longest:
                mutator.keep(data)
                size += 1
    finally:
        folder.remove()
    outcome.seconds = time.monotonic() - start_s
    outcome.memory_bytes = memory()["VmHWM"] - status["VmRSS"]
    outcome.reached = coverage.count
    return outcome


def attempt(outcome: Outcome, target: Target, data: bytes, folder: Folder) -> None:
    outcome.inputs += 1
    start_s = time.process_time()
    signal.setitimer(signal.ITIMER_PROF, INPUT_LIMIT_S)
    try:
        understood = examine(target, data, folder)
    except (Exception, Hang) as problem:
        understood = False
        last = traceback.extract_tb(problem.__traceback__)[-1]
        place = f"{type(problem).__name__} at {last.filename.rpartition('/')[2]}:{last.lineno}"
        if len(outcome.failures) < KEPT_FAILURES and place not in outcome.failures:
            outcome.failures[place] = data
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    outcome.rejected += not understood
    outcome.slowest_s = max(outcome.slowest_s, time.process_time() - start_s)


def _hang(number: int, frame: FrameType | None) -> NoReturn:
    raise Hang(f"more than {INPUT_LIMIT_S:g} s")


def memory() -> dict[str, int]:
    """This process' sizes in bytes: VmSize, VmHWM (the peak of VmRSS), VmRSS."""
    with open("/proc/self/status", encoding="ascii") as file:
        rows = [line.split() for line in file if line.startswith("Vm")]
    return {row[0].rstrip(":"): int(row[1]) * 1024 for row in rows}


class Coverage:
    """Which lines of the collection were reached."""

    def __init__(self) -> None:
        self.cheap = sys.version_info >= (3, 12)
        self.count = 0
        self._seen: set[Any] = set()
        self._last: Any = None
        if self.cheap:
            monitoring = sys.monitoring
            monitoring.use_tool_id(monitoring.COVERAGE_ID, "fuzz")
            monitoring.register_callback(monitoring.COVERAGE_ID, monitoring.events.LINE, self._line)
            monitoring.set_events(monitoring.COVERAGE_ID, monitoring.events.LINE)

    def _line(self, code: CodeType, line: int) -> Any:
        self.count += "/plugins/" in code.co_filename
        return sys.monitoring.DISABLE  # each line is told once

    def call(self, frame: FrameType, event: str, argument: object) -> Any:
        return self._traced if "/plugins/" in frame.f_code.co_filename else None

    def _traced(self, frame: FrameType, event: str, argument: object) -> Any:
        if event == "line":
            here = (frame.f_code, frame.f_lineno)
            self._seen.add((self._last, here))
            self._last = here
            self.count = len(self._seen)
        return self._traced


def with_coverage(coverage: Coverage, action: Callable[[], None]) -> bool:
    """Whether ``action`` reached something new."""
    before = coverage.count
    if coverage.cheap:
        action()
    else:
        sys.settrace(coverage.call)
        try:
            action()
        finally:
            sys.settrace(None)
    return coverage.count > before
