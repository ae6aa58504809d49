# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The commands around a sample: preparations with their undoing, and probes. Private to this collection.

They get the environment of the sample's first process, run in its folder, and write to ``prepare.log`` there.
"""

from __future__ import annotations

import asyncio
import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from .._protocol.plan import Point
from .descendants import Exit, Reaper
from .errors import SampleError
from .members import find, tail
from .process import Program, hold

LOG = "prepare.log"
UNDO_DEADLINE_S = 30.0


class Commands:
    """Runs them through gates, as everything else, so that the worker alone waits for children."""

    def __init__(self, point: Point, folder: Path, reaper: Reaper, record: Callable[..., object]) -> None:
        self._point = point
        self._folder = folder
        self._reaper = reaper
        self._record = record
        first = point.processes[0]
        self._environment: Mapping[str, str] = first.environment
        self._secrets = [first.environment.get(name, "") for name in first.secret_environment]
        self._to_undo: list[tuple[int, Sequence[str]]] = []
        self._last_probe: Exit | None = None

    def restore(self, numbers: Sequence[int]) -> None:
        """These prepare commands were begun before a restart."""
        steps = self._point.prepare
        self._to_undo = [(n, steps[n]["undo"]) for n in numbers if n < len(steps) and steps[n]["undo"]]

    async def prepare(self) -> None:
        """Run the prepare commands in order; the first that fails fails the sample."""
        for position, step in enumerate(self._point.prepare):
            if step["undo"]:
                self._to_undo.append((position, step["undo"]))
            self._record("prepare", sync=True, number=position, begun=True)
            seen = await self._run(step["command"], LOG)
            self._record("prepare", number=position, exit_status=seen.status, signal=seen.signal)
            if seen.status != 0:
                last = tail(self._folder / LOG, self._secrets).splitlines()[-1:]
                raise SampleError(
                    f"the command {self._text(step['command'])} {seen}" + "".join(f": {line}" for line in last)
                )

    async def undo(self) -> None:
        """Run the undo commands of what was begun, in reverse; all of them, whatever comes of each."""
        failed = []
        while self._to_undo:
            position, command = self._to_undo[-1]
            try:
                seen = await asyncio.wait_for(self._run(command, LOG), UNDO_DEADLINE_S)
                how = None if seen.status == 0 else str(seen)
            except asyncio.TimeoutError:
                how = f"did not end within {UNDO_DEADLINE_S:g} s"
            except (OSError, SampleError) as problem:
                how = str(problem)
            self._record("undo", sync=True, number=position, problem=how)
            self._to_undo.pop()
            if how:
                failed.append(f"the undo command {self._text(command)} {how}")
        if failed:
            raise SampleError("; ".join(failed))

    async def probe(self, command: Sequence[str], period_s: float) -> None:
        """Return when the command exits 0; the next try begins a period after the last ended."""
        while True:
            self._last_probe = await self._run(command, os.devnull)
            if self._last_probe.status == 0:
                return
            await asyncio.sleep(period_s)

    def probe_text(self) -> str:
        return f"the probe {self._last_probe}" if self._last_probe else "the probe has not ended"

    async def _run(self, command: Sequence[str], log: str) -> Exit:
        program = Program(
            name="command",
            path=find(command[0], self._environment, self._folder),
            command=command,
            environment=self._environment,
            folder=self._folder,
            stdout=log,
            stderr=log,
        )
        ended: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()
        gate = hold(program)
        self._reaper.watch(gate.pid, lambda seen: None if ended.done() else ended.set_result(seen))
        try:
            gate.release(0)
            seen = await ended
        except asyncio.CancelledError:
            if not ended.done():
                _kill(gate.pid)
            raise
        finally:
            gate.close()
        if gate.problem:
            raise SampleError(f"the command {self._text(command)} could not be executed: {gate.problem}")
        return seen

    def _text(self, command: Sequence[str]) -> str:
        text = " ".join(shlex.quote(part) for part in command)
        for secret in self._secrets:
            text = text.replace(secret, "***") if secret else text
        return text[:200]


def _kill(pid: int) -> None:
    """The whole session of a command that nobody waits for any more."""
    try:
        os.killpg(pid, 9)
    except ProcessLookupError:  # it has not made its session yet
        try:
            os.kill(pid, 9)
        except ProcessLookupError:
            return
