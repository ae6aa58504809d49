# SPDX-License-Identifier: GPL-3.0-or-later
"""The phases of a run, and how one sees from outside that one has begun: by the coordinator's record and by the
journal of a worker, never by asking anybody.
"""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LOOK_S = 0.005
LOST = ": its channel is lost ("  # what the user is told


@dataclass(frozen=True)
class Phase:
    """From one mark to another. Marks of samples are `NAME SAMPLE`, as `begin 0`."""

    name: str
    begins: str
    ends: str

    def marks(self, sample: int) -> tuple[str, str]:
        return self.begins.format(sample), self.ends.format(sample)


# What a user calls "between T0 and start" is the phase `release`: T0 is chosen and sent, and lies ahead.
PHASES = {
    phase.name: phase
    for phase in (
        Phase("prepare", "opened", "begin 0"),
        Phase("ready", "begin {}", "t0 {}"),
        Phase("release", "t0 {}", "start {}"),
        Phase("window", "start {}", "stop {}"),
        Phase("done", "stop {}", "sample {}"),
        Phase("seal", "sealing {}", "sample {}"),
        Phase("fetch", "fetching", "end"),
    )
}


class Timeline:
    """Which marks of a run were seen, and when (`time.monotonic()`; `start` and `stop` can lie ahead).

    `opened` the record is there · `begin`, `t0`, `sample` lines of the record · `start` T0 · `stop` the end of the
    window, as planned · `sealing` the watched worker says that its processes have ended · `fetching` the last sample
    has its verdict · `end` · `lost` the user is told that a host's channel is.
    """

    def __init__(
        self,
        record: Callable[[], Path | None],
        journal: Callable[[], Path | None],
        said: Callable[[], str],
        *,
        samples: int,
        window_s: float,
    ) -> None:
        self.marks: dict[str, float] = {}
        self._record = _Lines(record)
        self._journal = _Lines(journal)
        self._said = said
        self._last = samples - 1
        self._window_s = window_s
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._over.set()
        self._thread.join(5)
        self._look()

    def at(self, mark: str) -> float | None:
        """When a mark was, or will be; None while that is not known."""
        return self.marks.get(mark)

    def phases_between(self, begin_s: float, end_s: float) -> set[str]:
        """The phases of any sample that overlap an interval."""
        found = set()
        for phase in PHASES.values():
            for sample in range(self._last + 1):
                first, last = (self.marks.get(mark) for mark in phase.marks(sample))
                if first is not None and first <= end_s and (last is None or last >= begin_s):
                    found.add(phase.name)
        return found

    def lengths(self, samples: int, until_s: float) -> dict[str, float]:
        """How long each phase took, of those that were over by then; the shortest of the samples'."""
        found: dict[str, float] = {}
        for phase in PHASES.values():
            for sample in range(samples):
                first, last = (self.marks.get(mark, math.inf) for mark in phase.marks(sample))
                if last < until_s:
                    found[phase.name] = max(0.0, min(last - first, found.get(phase.name, math.inf)))
        return found

    def _watch(self) -> None:
        while not self._over.wait(LOOK_S):
            self._look()

    def _look(self) -> None:
        now_s = time.monotonic()
        if self._record.is_there:
            self.marks.setdefault("opened", now_s)
        for line in self._record.new():
            self._recorded(line, now_s)
        if "lost" not in self.marks and LOST in self._said():
            self.marks["lost"] = now_s
        for line in self._journal.new():
            if line["event"] == "exited":
                self.marks.setdefault(f"sealing {line['sample']}", now_s)

    def _recorded(self, line: dict[str, Any], now_s: float) -> None:
        event = line["event"]
        if event not in ("begin", "t0", "sample", "end"):
            return
        self.marks.setdefault(event if event == "end" else f"{event} {line['sample']}", now_s)
        if event == "t0":
            self.marks.setdefault(f"start {line['sample']}", line["t0_ns"] / 1e9)
            self.marks.setdefault(f"stop {line['sample']}", line["t0_ns"] / 1e9 + self._window_s)
        if event == "sample" and line["sample"] == self._last:
            self.marks.setdefault("fetching", now_s)


class _Lines:
    """The lines of a growing file, each once; half a line waits for its other half."""

    def __init__(self, path: Callable[[], Path | None]) -> None:
        self._find = path
        self._path: Path | None = None
        self._read = 0
        self._rest = b""
        self.is_there = False

    def new(self) -> list[dict[str, Any]]:
        try:
            self._path = self._path or self._find()
            if self._path is None:
                return []
            with open(self._path, "rb") as file:
                self.is_there = True
                file.seek(self._read)
                data = file.read()
        except OSError:
            return []
        self._read += len(data)
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [json.loads(line) for line in lines if line.startswith(b"{") and line.endswith(b"}")]
