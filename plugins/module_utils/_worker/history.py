# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a journal tells a restarted worker. Private to this collection.

A worker that died in the middle of a sample finds here which processes it had made, and ends those that still live. A
process is known by its pid *and* its start time, and only within the same boot, so that nobody else's process is
taken for one of ours.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .._protocol.machine import Status
from . import descendants, linux
from .errors import SampleError

_KILL_DEADLINE_S = 10.0
_STATUS_FIELDS = ("sample", "attempt", "state", "phase", "reason", "exited")


@dataclass(frozen=True)
class History:
    """The latest sample of a run, as its journal has it."""

    status: Status = field(default_factory=Status)
    reports: tuple[dict[str, Any], ...] = ()
    processes: tuple[dict[str, Any], ...] = ()  # as messages.FACTS has them, with start_ticks
    to_undo: tuple[int, ...] = ()  # numbers of prepare commands that were begun and not undone
    boot_id: str | None = None
    plan_sha256: str | None = None
    finished: bool = False


def of(records: Iterable[dict[str, Any]]) -> History:
    """Replay a journal. Records that are not understood are passed over: they cannot make anything start."""
    status = Status()
    reports: list[dict[str, Any]] = []
    processes: dict[str, dict[str, Any]] = {}
    to_undo: list[int] = []
    boot_id = plan_sha256 = None
    finished = False
    for record in records:
        event = record["event"]
        if event == "open":
            boot_id, plan_sha256, finished = record.get("boot_id"), record.get("plan_sha256"), False
        elif event == "status":
            new = _status(record)
            if new is None:
                continue
            if new.key != status.key:
                reports, processes, to_undo = [], {}, []
            status = new
        elif event == "report" and record.get("kind") != "refused":
            reports.append(
                {name: value for name, value in record.items() if name not in ("event", "mono_ns", "wall_ns")}
            )
        elif event == "held":
            for each in record.get("processes", ()):
                processes[each["name"]] = {**each, "stderr_tail": ""}
        elif event == "exited" and record.get("process") in processes:
            taken = {name: record.get(name) for name in ("exit_status", "signal", "start_ns", "stop_ns")}
            processes[record["process"]].update(taken)
        elif event == "prepare" and record.get("begun"):
            to_undo.append(record["number"])
        elif event == "undo" and record.get("number") in to_undo:
            to_undo.remove(record["number"])
        elif event == "finish":
            finished = True
    return History(
        status, tuple(reports[-10:]), tuple(processes.values()), tuple(to_undo), boot_id, plan_sha256, finished
    )


def _status(record: dict[str, Any]) -> Status | None:
    try:
        status = Status(**{name: record[name] for name in _STATUS_FIELDS})
    except KeyError:
        return None
    return status if isinstance(status.sample, int) and isinstance(status.attempt, int) else None


def leftovers(history: History, folder: Path) -> list[int]:
    """Living processes of the latest sample: those recorded, their sessions, and whoever works in the sample's folder.

    This scans ``/proc``; it is done once, when a worker starts after having died.
    """
    if history.boot_id != linux.boot_id():
        return []  # the host was rebooted: nothing of it can be alive
    recorded = {process["pid"]: process.get("start_ticks") for process in history.processes}
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        pid = int(name)
        fields = linux.stat_fields(pid)
        if len(fields) < 20 or fields[0] == "Z":
            continue
        is_recorded = pid in recorded and recorded[pid] == int(fields[19])
        leader = int(fields[3])
        in_session = leader in recorded and pid != leader and linux.start_ticks(leader) in (None, recorded[leader])
        if is_recorded or in_session or _works_in(pid, folder):
            found.append(pid)
    return found


def _works_in(pid: int, folder: Path) -> bool:
    for link in ("cwd", "fd/1", "fd/2"):
        try:
            target = os.readlink(f"/proc/{pid}/{link}")
        except OSError:
            continue
        if target == str(folder) or target.startswith(f"{folder}/"):
            return True
    return False


async def kill_leftovers(history: History, folder: Path) -> list[int]:
    """Kill them and see them gone; returns who it was. Raises SampleError when one stays."""
    seen: list[int] = []
    deadline_s = time.monotonic() + _KILL_DEADLINE_S
    while True:
        left = leftovers(history, folder)
        if not left:
            return seen
        seen += [pid for pid in left if pid not in seen]
        if time.monotonic() > deadline_s:
            raise SampleError(f"cannot be killed: pid {left[0]} still there after {_KILL_DEADLINE_S:g} s")
        descendants.signal_all(left, signal.SIGKILL)
        await asyncio.sleep(0.02)  # they are nobody's children here: there is no news to wait for
