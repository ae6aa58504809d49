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
import contextlib
import os
import signal
import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from .._protocol import messages
from .._protocol.machine import Status
from . import descendants, linux
from .errors import SampleError

REPORTS_LIMIT = 10  # of the latest sample; messages.WORKER_MESSAGE takes no more
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
    known = History()
    for record in records:
        with contextlib.suppress(KeyError, TypeError, ValueError, AttributeError, OverflowError):
            known = _after(known, record)
    return known


def _after(known: History, record: dict[str, Any]) -> History:
    event = record["event"]
    if event == "open":
        return replace(known, boot_id=record["boot_id"], plan_sha256=record["plan_sha256"], finished=False)
    if event == "status":
        status = _status(record)
        if status.key != known.status.key:
            known = replace(known, reports=(), processes=(), to_undo=())
        return replace(known, status=status)
    if event == "report" and record["kind"] != "refused":
        body = {name: value for name, value in record.items() if name not in ("event", "mono_ns", "wall_ns")}
        return replace(known, reports=(*known.reports, messages.REPORT_BODY(body, ()))[-REPORTS_LIMIT:])
    if event == "held":
        names = ("name", "pid", "start_ticks")
        return replace(known, processes=tuple({name: each[name] for name in names} for each in record["processes"]))
    if event == "exited":
        ended = {name: record[name] for name in ("exit_status", "signal", "start_ns", "stop_ns")}
        name = record["process"]
        return replace(
            known, processes=tuple({**each, **ended} if each["name"] == name else each for each in known.processes)
        )
    if event == "prepare" and record.get("begun"):
        return replace(known, to_undo=(*known.to_undo, int(record["number"])))
    if event == "undo":
        return replace(known, to_undo=tuple(number for number in known.to_undo if number != record["number"]))
    if event == "finish":
        return replace(known, finished=True)
    return known


def _status(record: dict[str, Any]) -> Status:
    status = Status(**{name: record[name] for name in _STATUS_FIELDS})
    if (type(status.sample), type(status.attempt), type(status.state)) != (int, int, str):  # true is no number
        raise TypeError("not a status")
    return status


def leftovers(history: History, folder: Path) -> list[int]:
    """Living processes of the latest sample: those recorded, their sessions, and whoever works in the sample's folder.

    This scans ``/proc``; it is done when a worker starts after having died, within the same boot of the host.
    """
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


def _kill_groups(history: History) -> None:
    """The groups that the recorded processes lead or led: who forks faster than one reads ``/proc`` is seen by no look.

    A group's number is no other process's as long as somebody is in it.
    """
    for process in history.processes:
        pid, ticks = process["pid"], process.get("start_ticks")
        if (type(pid), type(ticks)) == (int, int) and pid > 1 and linux.start_ticks(pid) in (None, ticks):
            with contextlib.suppress(ProcessLookupError, PermissionError, OverflowError):
                os.killpg(pid, signal.SIGKILL)


async def kill_leftovers(history: History, folder: Path) -> list[int]:
    """Kill them and see them gone; returns who it was. Raises SampleError when one stays."""
    if history.boot_id != linux.boot_id():
        return []  # the host was rebooted: nothing of it can be alive
    seen: list[int] = []
    deadline_s = time.monotonic() + _KILL_DEADLINE_S
    killed = False
    while True:
        left = leftovers(history, folder)
        if killed and not left:
            return seen
        seen += [pid for pid in left if pid not in seen]
        if time.monotonic() > deadline_s:
            raise SampleError(f"cannot be killed: pid {left[0]} still there after {_KILL_DEADLINE_S:g} s")
        descendants.signal_all(left, signal.SIGKILL)
        _kill_groups(history)
        killed = True
        await asyncio.sleep(0.02)  # they are nobody's children here: there is no news to wait for
