# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is measured beside a sample's processes, and when. Private to this collection.

::

    before the first start     at the start + n periods      first stop          last stop
    counters, first row        rows, output limits           control packets     counters, last row

The first look is 5 ms before the start instant, so that the worker is quiet when the processes start.

Control packets are counted where silence is due: from the start at T0 to the first stop. Processes that start or end
when the coordinator says so were spoken of then; theirs count from a while after the last report, to the last tick, or
until the coordinator is back.

A coordinator that lets go of its connection before the window has none whose packets could be counted: 0, unless it
comes back before the first stop. Then every packet of the new connection counts.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from .._protocol.plan import Point
from . import descendants
from .descendants import Reaper
from .members import Member
from .process import cut
from .sampler import Counters, Processes, Rows
from .sockdiag import Connection, segments

ROWS = "sampler.jsonl"
_LEAD_S = 0.005
_OUTPUT_PERIOD_S = 5.0  # how often outputs are looked at when there is no sampler
_QUIET_S = 0.25  # after a report: its acknowledgement, which may be delayed, has come


class Meter:
    """Runs from the first start to the last stop of one sample."""

    def __init__(
        self,
        point: Point,
        folder: Path,
        members: Sequence[Member],
        reaper: Reaper,
        control: Callable[[], Connection | None],
    ) -> None:
        self._point = point
        self._folder = folder
        self._members = members
        self._reaper = reaper
        self._control = control
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._counters: Counters | None = None
        self._rows: Rows | None = None
        self._processes = Processes(self._pids, lambda: descendants.all_of(os.getpid()))
        self._connection: Connection | None = None
        self._quiet: asyncio.TimerHandle | None = None
        self._first_packets: int | None = None
        self._last_packets: int | None = None
        self._first_bytes: dict[str, int] = {}
        self._cpu_before_s = 0.0
        self._next_s = 0.0
        self._back = False
        self._away = False
        self._stopped_once = False
        self.facts: dict[str, Any] = {}
        self.problems: list[str] = []

    def begin(self, at_s: float) -> None:
        """Processes start at this instant (now or later, ``time.monotonic()``)."""
        self._next_s = at_s
        if at_s - time.monotonic() > _LEAD_S:
            self._timer = self._loop.call_at(at_s - _LEAD_S, self._before_start)
        else:
            self._before_start()

    def parted(self) -> None:
        """The coordinator has let go, or was lost."""
        self._away = True
        self.spoke()

    def spoke(self) -> None:
        """The coordinator was told of a state that came at its word."""
        if self._counters is not None and self._point.launch.entry != "at_t0":
            self._end_quiet()
            self._back = False
            self._quiet = self._loop.call_later(_QUIET_S, self._be_quiet)

    def returned(self) -> None:
        """The coordinator is coming back. What it is told now does not count as said in the window."""
        self._away = False
        if self._counters is not None and self._point.launch.entry != "at_t0" and not self._back:
            self._back = True
            self._end_quiet()
            self._last_packets = self._segments()

    def first_stop(self) -> None:
        """A process has ended, or is about to be told to."""
        if self._counters is None or self._stopped_once:
            return
        self._stopped_once = True
        self._end_quiet()
        last = self._segments() if self._point.stop.by_itself else self._last_packets
        if last is not None and self._first_packets is not None and last >= self._first_packets:
            self.facts["control_packets"] = last - self._first_packets

    def last_stop(self) -> None:
        """Every process has ended, or will never start. Idempotent."""
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if self._counters is None:
            return
        self.first_stop()
        self._row()
        last_bytes = self._counters.bytes()
        for name in ("rx_bytes", "tx_bytes"):
            if name in last_bytes and name in self._first_bytes:
                self.facts[name] = max(0, last_bytes[name] - self._first_bytes[name])
        self._counters.close()
        self._processes.close()
        self._counters = None
        if self._rows:
            self.problems += [self._rows.problem] if self._rows.problem else []
            self._rows.close()

    def _before_start(self) -> None:
        self._counters = Counters(self._point.interface, self._control)
        self._cpu_before_s = self._reaper.orphans_cpu_s
        self.facts["wall_minus_mono_ns"] = time.time_ns() - time.monotonic_ns()
        self._first_packets = self._segments() if self._point.launch.entry == "at_t0" else None
        self._first_bytes = self._counters.bytes()
        if self._point.sampler_period_s:
            self._rows = Rows(self._folder / ROWS)
            self._row()
        self._plan_tick()

    def _plan_tick(self) -> None:
        self._next_s += self._point.sampler_period_s or _OUTPUT_PERIOD_S
        self._timer = self._loop.call_at(self._next_s, self._tick)

    def _tick(self) -> None:
        self._row()
        if self._first_packets is not None and not self._point.stop.by_itself and not self._back:
            self._last_packets = self._segments()
        for member in self._members:
            for name in (member.program.stdout, member.program.stderr):
                cut(self._folder / name, self._point.output_limit_bytes)
        self._plan_tick()

    def _row(self) -> None:
        if self._rows and self._counters:
            ended_s = self._reaper.orphans_cpu_s - self._cpu_before_s
            ended_s += sum(member.exit.cpu_s for member in self._members if member.exit)
            self._rows.write({**self._processes.row(ended_s), **self._counters.row()})

    def _segments(self) -> int | None:
        """Of the connection that carries the channel, or carried it last."""
        connection = self._control()
        if connection != self._connection:  # another one: none of its packets were there before
            self._connection = connection
            self._first_packets = None if self._first_packets is None else 0
        return segments(connection) if connection else None

    def _be_quiet(self) -> None:
        self._first_packets, self._last_packets = self._segments(), None
        if self._away and self._first_packets:  # its goodbye is not over yet
            self._quiet = self._loop.call_later(_QUIET_S, self._be_quiet)

    def _end_quiet(self) -> None:
        if self._quiet:
            self._quiet.cancel()
            self._quiet = None

    def _pids(self) -> list[int]:
        return [member.gate.pid for member in self._members if member.gate and member.alive]
