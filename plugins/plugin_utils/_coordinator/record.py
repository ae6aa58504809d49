# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The coordinator's own journal, ``results/<run_id>/coordinator.jsonl``. Private to this collection.

One JSON object per line, appended and flushed at each event; what was written before a crash is what the next
coordinator goes by. A line that a crash cut short is left out. The file is locked for as long as a coordinator lives,
so a second one on the same run is refused, and a dead one is known to be dead.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .._planning.plan import RunPlan
from .errors import CoordinatorError

NAME = "coordinator.jsonl"
LAST_LINE_LIMIT_BYTES = 1 << 20  # `end` has some 70 for each host


def utc(wall_ns: int) -> str:
    """``2026-11-21T11:05:03.123456Z``."""
    moment = datetime.fromtimestamp(wall_ns // 1_000_000_000, tz=UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{wall_ns // 1000 % 1_000_000:06d}Z"


def wall_minus_mono_ns() -> int:
    return time.time_ns() - time.monotonic_ns()


class Record:
    """Open for appending; ``past`` holds the events that an earlier coordinator of this run has written."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        self._file = open(self.path, "a+", encoding="utf-8", errors="replace")  # noqa: SIM115 - closed by close()
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as problem:
            self._file.close()
            raise CoordinatorError(f"another coordinator walks this run already ({self.path} is locked)") from problem
        self._file.seek(0)
        text = self._file.read()
        self.past: tuple[dict[str, Any], ...] = tuple(_events(text))
        if text and not text.endswith("\n"):
            self._file.write("\n")

    def write(self, event: str, **fields: Any) -> None:
        line = {"event": event, "utc": utc(time.time_ns()), **fields}
        self._file.write(json.dumps(line, separators=(",", ":"), allow_nan=False) + "\n")
        self._file.flush()

    def sync(self) -> None:
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()

    # What the past says

    def verdicts(self) -> Mapping[tuple[int, int], str]:
        """(sample, attempt) -> verdict."""
        return {(e["sample"], e["attempt"]): e["verdict"] for e in self.past if e["event"] == "sample"}

    def left_behind(self) -> tuple[int, int] | None:
        """(sample, attempt) that was begun and has no verdict, because its coordinator was gone."""
        begun = self.last("begin")
        key = (begun["sample"], begun["attempt"]) if begun else None
        return key if key not in self.verdicts() else None

    def last(self, event: str) -> dict[str, Any] | None:
        return next((e for e in reversed(self.past) if e["event"] == event), None)


def about(plan: RunPlan, greetings: Mapping[str, Mapping[str, Any]], versions: Mapping[str, str]) -> dict[str, Any]:
    """The fields of the first line, ``run``."""
    hosts = {}
    for host, worker in plan.workers.items():
        told = greetings.get(host, {}).get("host") or {}
        hosts[host] = {**told, "address": worker.address, "group": worker.group, "index": worker.index}
    return {
        "run_id": plan.run_id,
        "suite": plan.suite,
        "seed": plan.seed,
        "plan_sha256": plan.sha256,
        "started_utc": utc(time.time_ns()),
        "wall_minus_mono_ns": wall_minus_mono_ns(),
        "versions": dict(versions),
        "hosts": hosts,
        "groups": {group: list(names) for group, names in plan.groups.items()},
    }


def is_own_and_dead(results: Path, run_id: str) -> bool:
    """A run of ours whose coordinator lives no more may be ended; anybody else's only its lease ends."""
    folder = results / run_id
    if "/" in run_id or run_id.startswith(".") or not (folder / NAME).is_file():
        return False
    try:
        Record(folder).close()
    except CoordinatorError:
        return False
    return True


def unfinished(folder: Path) -> bool:
    """Whether a coordinator began the run of this folder, did not reach its end, and walks it no more."""
    try:
        with open(folder / NAME, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            file.seek(max(0, file.seek(0, os.SEEK_END) - LAST_LINE_LIMIT_BYTES))  # old runs are many, and long
            last = file.read().splitlines()[-1:]
    except OSError:
        return False
    ended = any(event["event"] == "end" for line in last for event in _events(line.decode("utf-8", "replace")))
    return bool(last) and not ended


def _events(text: str) -> Iterator[dict[str, Any]]:
    for line in text.splitlines():
        try:
            event = json.loads(line)
        except (ValueError, RecursionError):
            continue  # cut short by a crash
        if isinstance(event, dict) and isinstance(event.get("event"), str) and _whole(event):
            yield event


def _whole(event: Mapping[str, Any]) -> bool:
    """The next coordinator goes by the verdicts: a line without one tells it nothing."""
    known = (type(event.get("sample")), type(event.get("attempt")), type(event.get("verdict")))
    return event["event"] != "sample" or known == (int, int, str)
