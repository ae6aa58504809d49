# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Everything that a sample ever forked, wherever it went. Private to this collection.

The worker is a subreaper: an orphan among its descendants becomes its child. One sample runs at a time, so whatever
descends from the worker belongs to it, also what left its session, process group or parent behind; and a sample is
gone when the worker has no child left. Nothing here scans ``/proc`` unless a sample is being ended, and then only
where the kernel has no ``children`` lists.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from . import linux
from .errors import SampleError

_KILL_DEADLINE_S = 10.0
_KILL_PERIOD_S = 0.05


@dataclass(frozen=True)
class Exit:
    """How a child ended. ``status`` when it exited, ``signal`` (the name, as ``TERM``) when it was killed."""

    pid: int
    at_ns: int
    status: int | None
    signal: str | None
    cpu_s: float  # its own and of the children it waited for

    def __str__(self) -> str:
        return f"exited with status {self.status}" if self.status is not None else f"was killed by SIG{self.signal}"


def signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name[3:]
    except ValueError:
        return str(number)


class Reaper:
    """Waits for every child, so that no zombie is left, and tells whoever asked for one."""

    def __init__(self) -> None:
        self._watchers: dict[int, tuple[Callable[[Exit], None], Callable[[str], None]]] = {}
        self._waiting: set[asyncio.Future[None]] = set()
        self.orphans_cpu_s = 0.0

    def watch(
        self, pid: int, ended: Callable[[Exit], None], halted: Callable[[str], None] = lambda _signal: None
    ) -> None:
        """``halted`` is told each time that the child is stopped, for a while or for good, and by which signal."""
        self._watchers[pid] = ended, halted

    def reap(self) -> bool:
        """Called for SIGCHLD: takes every child that has ended, and hears of those that were stopped.

        False when there is no child left, and so no descendant: the kernel's own word, where a look at ``/proc`` can
        miss what is forked meanwhile.
        """
        at_ns = time.monotonic_ns()
        some_left = True
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG | os.WUNTRACED)
            except ChildProcessError:
                some_left = False
                break
            if pid == 0:
                break
            if os.WIFSTOPPED(status):
                if pid in self._watchers:
                    self._watchers[pid][1](signal_name(os.WSTOPSIG(status)))
                continue
            killed = os.WIFSIGNALED(status)
            seen = Exit(
                pid=pid,
                at_ns=at_ns,
                status=None if killed else os.WEXITSTATUS(status),
                signal=signal_name(os.WTERMSIG(status)) if killed else None,
                cpu_s=usage.ru_utime + usage.ru_stime,
            )
            ended, _halted = self._watchers.pop(pid, (self._forgotten, None))
            ended(seen)
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)
        return some_left

    def _forgotten(self, orphan: Exit) -> None:
        self.orphans_cpu_s += orphan.cpu_s

    async def change(self, timeout_s: float) -> None:
        """Wait until some child has ended, at most this long."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(waiter)
        try:
            await asyncio.wait_for(waiter, timeout_s)
        except asyncio.TimeoutError:
            pass
        finally:
            self._waiting.discard(waiter)


def children(pid: int) -> Iterator[int]:
    """The children of all threads of a process, from ``/proc/PID/task/*/children``."""
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return
    for thread in threads:
        for child in linux.read_text(f"/proc/{pid}/task/{thread}/children").split():
            yield int(child)


_HAS_CHILDREN_LISTS = os.path.exists(f"/proc/self/task/{os.getpid()}/children")


def all_of(ancestor: int) -> list[int]:
    """Every living descendant of a process, parents before children. Zombies count until they are reaped."""
    return list(_walk(ancestor))


def _walk(ancestor: int) -> Iterator[int]:
    child_of = children if _HAS_CHILDREN_LISTS else _children_by_scan()
    found: set[int] = set()
    todo = [ancestor]
    while todo:
        for child in child_of(todo.pop()):
            if child not in found:
                found.add(child)
                todo.append(child)
                yield child


def _children_by_scan() -> Callable[[int], Iterable[int]]:
    by_parent: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            fields = linux.stat_fields(int(name))
            if fields:
                by_parent.setdefault(int(fields[1]), []).append(int(name))
    return lambda pid: by_parent.get(pid, ())


def signal_all(pids: Iterable[int], number: int) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def kill(pids: Iterable[int]) -> None:
    """Kill processes with their whole process groups: no fork outruns that, as one by one is a chase.

    A group of ours holds descendants only, because a gate begins with a session of its own; what has not got there yet
    is still in the worker's group, and is killed alone.
    """
    groups = {os.getpgrp()}
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            group = os.getpgid(pid)
            if group not in groups:
                groups.add(group)
                os.killpg(group, signal.SIGKILL)
        signal_all((pid,), signal.SIGKILL)


async def end(reaper: Reaper, number: int | None, grace_s: float) -> None:
    """Signal every descendant of ours once, give them ``grace_s``, kill the rest, and return when none is left.

    ``number`` None kills at once. Raises SampleError with the names of those that cannot be killed.
    """
    me = os.getpid()
    if reaper.reap() and number is not None:
        left = all_of(me)
        signal_all(left, number)
        signal_all(left, signal.SIGCONT)  # a stopped process must run to end
        deadline_s = time.monotonic() + grace_s
        while reaper.reap() and time.monotonic() < deadline_s:
            await reaper.change(deadline_s - time.monotonic())
    deadline_s = time.monotonic() + _KILL_DEADLINE_S
    while reaper.reap():
        kill(_walk(me))  # each as soon as it is seen: one that leaves its group with every fork has to be caught
        if time.monotonic() > deadline_s:
            left = all_of(me)
            names = ", ".join(f"{linux.process_name(pid)} (pid {pid})" for pid in left[:5])
            raise SampleError(f"cannot be killed: {names} still there after {_KILL_DEADLINE_S:g} s")
        await reaper.change(_KILL_PERIOD_S)
