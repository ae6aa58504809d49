# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Carries out what the state machine decides about one sample. Private to this collection.

:meth:`Sample.perform` takes an action of ``machine`` and returns at once; what takes time runs as a task of its own,
and its outcome goes back as an event. An error in such a task is the sample's failure, never silence. Every wait is
inside a state's deadline, which :meth:`Sample._watch` sets; clearing away goes on until nothing is left.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
import traceback
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from .._protocol import machine
from .._protocol.plan import Point
from . import descendants, linux, ports, readiness, storage
from .commands import Commands
from .descendants import Exit, Reaper
from .errors import SampleError, WorkerError
from .members import Member, program_of, tail
from .meter import Meter
from .process import cut, hold
from .seal import Seal, read, seal
from .sockdiag import Connection

TOO_LATE_NS = 2_000_000  # nearer than this, T0 cannot be kept
_CANCEL_PERIOD_S = 0.02

Record = Callable[..., object]


class Sample:
    """One sample's processes and everything around them."""

    def __init__(
        self,
        *,
        point: Point,
        inputs: Mapping[str, str],
        folder: Path,
        reaper: Reaper,
        emit: Callable[[machine.Event], None],
        record: Record,
        control: Callable[[], Connection | None],
    ) -> None:
        self._point = point
        self._inputs = inputs
        self._folder = folder
        self._reaper = reaper
        self._emit = emit
        self._record = record
        self._loop = asyncio.get_running_loop()
        self._members: list[Member] = []
        self._meter = Meter(point, folder, self._members, reaper, control)
        self._commands = Commands(point, folder, reaper, record)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._news = asyncio.Event()
        self._began_s: float | None = None  # T0 or the launch
        self._asked_to_end = False
        self._clearing = False
        self._failing = False
        self._seal: Seal | None = None
        self._restored: Sequence[Mapping[str, Any]] = ()

    def perform(self, action: machine.Action) -> None:
        """Begin one action. Reports are not for here."""
        if isinstance(action, machine.Prepare):
            self._start("prepare", self._prepare())
        elif isinstance(action, machine.Arm):
            self._arm(action.at_ns)
        elif isinstance(action, machine.Launch):
            self._launch()
        elif isinstance(action, machine.Watch):
            self._watch(action.state)
        elif isinstance(action, machine.Finish):
            if "finish" not in self._tasks:
                self._start("finish", self._finish())
        elif isinstance(action, machine.Clear):
            self._clear()

    @property
    def alive(self) -> list[dict[str, Any]]:
        """The processes that were started and have not ended."""
        return [
            {"name": member.name, "pid": member.held_gate.pid, "program": member.program.path}
            for member in self._members
            if member.alive and member.held_gate.released
        ]

    def facts(self) -> dict[str, Any]:
        """What is known, as messages.FACTS has it."""
        return {
            **self._meter.facts,
            "processes": [member.facts() for member in self._members] or self._known_before(),
            "folder": self._folder.name,
            "sealed_files": self._seal.files if self._seal else None,
            "sealed_bytes": self._seal.size_bytes if self._seal else None,
            "seal_sha256": self._seal.sha256 if self._seal else None,
        }

    def parted(self) -> None:
        """The coordinator has let go, or was lost."""
        self._meter.parted()

    def returned(self) -> None:
        """A coordinator is about to be attached again."""
        self._meter.returned()

    def restore(self, processes: Sequence[Mapping[str, Any]], to_undo: Sequence[int]) -> None:
        """What the journal knows of this sample, after a restart."""
        self._restored = processes
        self._seal = read(self._folder)
        self._commands.restore(to_undo)

    def _known_before(self) -> list[dict[str, Any]]:
        names = ("name", "pid", "start_ns", "stop_ns", "exit_status", "signal")
        tails = {each["name"]: tail(self._folder / (each["name"] + ".stderr")) for each in self._restored}
        return [
            {**{name: each.get(name) for name in names}, "stderr_tail": tails[each["name"]]} for each in self._restored
        ]

    # Ready: everything that can be done before the start

    async def _prepare(self) -> None:
        try:
            storage.place_files(self._folder, self._point.files, self._inputs)
        except FileExistsError:
            raise SampleError(f"{self._folder.name} is there already: it was started before") from None
        programs = [await program_of(process, self._folder) for process in self._point.processes]
        readiness.check_ports_are_free(self._point)
        await self._commands.prepare()
        self._members += [Member(process, program) for process, program in zip(self._point.processes, programs)]
        for member in self._members:
            member.gate = hold(member.program)
            self._reaper.watch(member.gate.pid, partial(self._ended, member), partial(self._halted, member))
            self._hear(member)
        self._record("held", sync=True, processes=[self._identity(member) for member in self._members])
        await self._until(lambda: all(member.gate and member.gate.held for member in self._members))
        for member in self._members:
            self._hear_no_more(member)
        self._reached("ready")

    def _identity(self, member: Member) -> dict[str, Any]:
        pid = member.held_gate.pid
        return {"name": member.name, "pid": pid, "start_ticks": linux.start_ticks(pid)}

    # The start

    def _arm(self, at_ns: int) -> None:
        if at_ns - time.monotonic_ns() < TOO_LATE_NS:
            self._emit(machine.TooLate())
            return
        self._release(at_ns)
        self._emit(machine.Armed())

    def _launch(self) -> None:
        for member in self._members:
            self._hear(member)
        self._release(0)

    def _release(self, at_ns: int) -> None:
        now_ns = time.monotonic_ns()
        self._began_s = (at_ns or now_ns) / 1e9
        self._meter.begin(self._began_s)
        for member in self._members:
            offset_ns = int(member.process.offset_s * 1e9)
            member.held_gate.release((at_ns or now_ns) + offset_ns if at_ns or offset_ns else 0)
        if self._point.stop.after_s is not None:
            self._timers["after"] = self._loop.call_at(self._began_s + self._point.stop.after_s, self._end_as_planned)

    def _end_as_planned(self) -> None:
        self._start("after", self._end_processes())

    # Rules and deadlines

    def _watch(self, state: str) -> None:
        planned = self._point.state(state)
        from_start = state == "done" and self._point.stop.by_itself and self._began_s is not None
        begin_s = self._began_s if from_start and self._began_s is not None else time.monotonic()
        self._forget(state)
        self._timers[state] = self._loop.call_at(begin_s + planned.deadline_s, self._missed, state)
        rule = planned.reached
        watcher: Awaitable[None]
        if rule["rule"] == "started":
            watcher = self._until(lambda: all(member.gate and member.gate.executed for member in self._members))
        elif rule["rule"] == "listening":
            watcher = readiness.listening(rule["ports"])
        elif rule["rule"] == "line":
            watcher = readiness.line(self._folder / rule["file"], rule["pattern"])
        elif rule["rule"] == "probe":
            watcher = self._commands.probe(rule["command"], rule["period_s"])
        else:
            return  # prepared and stopped are reached by what this worker does itself
        self._start("watch " + state, self._see(state, watcher))

    async def _see(self, state: str, watcher: Awaitable[None]) -> None:
        await watcher
        self._reached(state)

    def _reached(self, state: str) -> None:
        self._forget(state)
        self._emit(machine.RuleMet(state))
        self._meter.spoke()

    def _forget(self, state: str) -> None:
        timer = self._timers.pop(state, None)
        if timer:
            timer.cancel()

    def _missed(self, state: str) -> None:
        planned = self._point.state(state)
        if planned.reached["rule"] == "started" and all(
            member.gate and member.gate.released for member in self._members
        ):
            for member in self._members:
                member.held_gate.listen()
        missing = self._what_is_missing(planned.reached)
        self._fail(f"state {state!r} was not reached within {planned.deadline_s:g} s: {missing}")

    def _fail(self, problem: str) -> None:
        """Say so, and whether servers can be reached from here: programs seldom say that in clear words."""
        if not self._failing:
            self._failing = True
            self._start("fail", self._look_at_peers_and_fail(problem))

    async def _look_at_peers_and_fail(self, problem: str) -> None:
        peers = [member.process.peer for member in self._members if member.process.peer and member.gate]
        unreachable = await readiness.unreachable(peers)
        self._emit(machine.Failed("; ".join([problem, *unreachable])))

    def _what_is_missing(self, rule: Mapping[str, Any]) -> str:
        if rule["rule"] == "listening":
            return "no process of the sample listens on " + ", ".join(
                ports.text(port) for port in readiness.missing_ports(rule["ports"])
            )
        if rule["rule"] == "line":
            return "no line of {} matches {!r}".format(rule["file"], rule["pattern"])
        if rule["rule"] == "probe":
            return self._commands.probe_text()
        alive = [f"{member.name} (pid {member.gate.pid})" for member in self._members if member.gate and member.alive]
        if rule["rule"] == "stopped" and alive:
            return "still there: " + ", ".join(alive)
        return "it is still under way"

    # The end

    def _ended(self, member: Member, seen: Exit) -> None:
        member.exit = seen
        self._hear_no_more(member)
        member.held_gate.close()
        self._meter.first_stop()
        self._news.set()
        if not any(each.alive for each in self._members):
            self._meter.last_stop()
        self._record(
            "exited",
            process=member.name,
            pid=seen.pid,
            exit_status=seen.status,
            signal=seen.signal,
            start_ns=member.held_gate.start_ns,
            stop_ns=seen.at_ns,
        )
        if self._clearing:
            return
        problem = member.problem(self._point.stop, asked=self._asked_to_end)
        if problem:
            self._fail(problem + storage.fullness(self._folder))
        elif all(each.exit for each in self._members) and not self._failing:
            self._emit(machine.Exited())

    def _halted(self, member: Member, number: str) -> None:
        """What is measured with a program that somebody stopped, for however long, is not the program's."""
        self._record("halted", process=member.name, signal=number)
        if not self._clearing:
            self._emit(machine.Failed(f"{member.name} was stopped by SIG{number}"))

    async def _end_processes(self) -> None:
        if any(member.alive for member in self._members):
            self._asked_to_end = True
            self._meter.first_stop()
        number = signal.Signals["SIG" + self._point.stop.signal]
        await descendants.end(self._reaper, number, self._point.stop.grace_s)

    async def _finish(self) -> None:
        self._forget("after")
        await self._end_processes()
        await self._commands.undo()
        await self._seal_outputs()
        missing = [name for name in self._point.outputs if not os.path.isfile(self._folder / name)]
        if missing:
            raise SampleError("it did not write {}".format(", ".join(missing)))
        self._reached("done")

    async def _seal_outputs(self) -> None:
        self._meter.last_stop()
        for problem in self._meter.problems:
            self._record("problem", text=problem)
        for member in self._members:
            for name in (member.program.stdout, member.program.stderr):
                if cut(self._folder / name, self._point.output_limit_bytes, mark=True):
                    self._record("cut", file=name)
        if self._folder.is_dir():
            self._seal = await seal(self._folder, inputs=self._point.files)

    def _clear(self) -> None:
        self._clearing = True
        for timer in self._timers.values():
            timer.cancel()
        self._start("clear", self._clear_away(set(self._tasks.values())))

    async def _clear_away(self, others: set[asyncio.Task[None]]) -> None:
        while others:  # before Python 3.12 wait_for forgets a cancellation that comes together with its result
            for task in others:
                task.cancel()
            _over, others = await asyncio.wait(others, timeout=_CANCEL_PERIOD_S)
        while True:
            try:
                await descendants.end(self._reaper, None, 0)
                break
            except SampleError as problem:  # say so, and go on: it is not over while one is left
                self._record("problem", text=str(problem))
        for step in (self._commands.undo, self._seal_outputs):
            try:
                await step()
            except Exception as problem:  # whatever it is: everything is gone, and somebody waits for this word
                self._record("problem", text=self._in_words(problem))
        self._emit(machine.Cleared())

    # Tasks and news

    def _start(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        previous = self._tasks.get(name)
        if previous:
            previous.cancel()
        self._tasks[name] = self._loop.create_task(work)
        self._tasks[name].add_done_callback(self._task_is_done)

    def _task_is_done(self, task: asyncio.Task[None]) -> None:
        problem = None if task.cancelled() else task.exception()
        if problem is not None:
            self._emit(machine.Failed(self._in_words(problem)))

    def _in_words(self, problem: BaseException) -> str:
        if isinstance(problem, OSError):
            return f"{problem.strerror}: {problem.filename}" if problem.filename else str(problem.strerror or problem)
        if isinstance(problem, WorkerError):
            return str(problem)
        trace = traceback.format_exception(type(problem), problem, problem.__traceback__)
        self._record("problem", text="".join(trace))
        return f"the worker itself failed ({type(problem).__name__}): see the run's journal on this host"

    async def _until(self, true: Callable[[], bool]) -> None:
        """Wait for news of the processes until a condition holds; the state's deadline is around it."""
        while not true():
            self._news.clear()
            await self._news.wait()

    def _hear(self, member: Member) -> None:
        self._loop.add_reader(member.held_gate.answer, self._heard, member)

    def _heard(self, member: Member) -> None:
        if not member.held_gate.listen():
            self._loop.remove_reader(member.held_gate.answer)
        self._news.set()

    def _hear_no_more(self, member: Member) -> None:
        self._loop.remove_reader(member.held_gate.answer)
