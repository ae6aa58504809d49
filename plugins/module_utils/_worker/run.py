# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One run on this worker: its plan, its journal, the state machine and the sample at hand. Private to this collection.

:meth:`Run.feed` is the only way in: it steps the machine, journals the new status, and only then does what the
machine decided. When the journal cannot be written (the disk is full) nothing new is begun: the sample fails, and its
processes are ended.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from typing import Any

from .._protocol import machine
from .._protocol.plan import Plan, Point
from . import linux, storage
from .descendants import Reaper
from .errors import SampleError
from .history import REPORTS_LIMIT, History
from .journal import Journal
from .members import printable
from .sample import Sample
from .sockdiag import Connection

_FACTS_BYTES = 32_000  # reports must fit into a frame, also together in the reply to a hello
_REASON_CHARACTERS = 1000


class Run:
    """The run that is loaded."""

    def __init__(
        self,
        *,
        where: storage.Directories,
        run_id: str,
        plan_sha256: str,
        plan: Plan,
        history: History,
        reaper: Reaper,
        tell: Callable[[dict[str, Any]], None],
        control: Callable[[], Connection | None],
        log: Callable[[str], None],
        worker: dict[str, Any],
    ) -> None:
        self.run_id = run_id
        self.plan_sha256 = plan_sha256
        self.plan = plan
        self.status = history.status
        self.reports = list(history.reports)
        self._where = where
        self._history = history
        self._reaper = reaper
        self._tell = tell
        self._control = control
        self._log = log
        self._sample: Sample | None = None
        self._events: deque[machine.Event] = deque()
        self._feeding = False
        self.on_over: Callable[[], None] = lambda: None
        self._journal = Journal(where.journal(run_id))
        self._journal.write(
            "open",
            sync=True,
            schema=1,
            run_id=run_id,
            plan_sha256=plan_sha256,
            host=plan.host,
            group=plan.group,
            index=plan.index,
            boot_id=linux.boot_id(),
            **worker,
        )

    @property
    def active(self) -> bool:
        return not self.status.over

    @property
    def alive(self) -> list[dict[str, Any]]:
        """The processes of the sample that run: name, pid and program."""
        return self._sample.alive if self._sample else []

    def close(self) -> None:
        self._journal.close()

    def record(self, event: str, *, sync: bool = False, **fields: Any) -> bool:
        """Journal something; False when that failed, and then the sample fails."""
        try:
            self._journal.write(event, sync=sync, **fields)
        except OSError as problem:
            self._log(f"the journal of run {self.run_id} cannot be written: {problem.strerror}")
            if self.active and self.status.phase != machine.ENDING:
                self.feed(machine.Failed(f"the journal cannot be written: {problem.strerror}"))
            return False
        return True

    def feed(self, event: machine.Event) -> None:
        """Step the machine; events that come up meanwhile wait for their turn."""
        self._events.append(event)
        if self._feeding:
            return
        self._feeding = True
        try:
            while self._events:
                self._take(self._events.popleft())
        finally:
            self._feeding = False

    def _take(self, event: machine.Event) -> None:
        status, actions = machine.step(self.status, event, self._point(event))
        if status != self.status:
            if status.key != self.status.key:
                self.reports.clear()
                self._sample = None
            self.status = status
            journaled = self.record("status", sync=True, **asdict(status))
            if not journaled and self.active and status.phase != machine.ENDING:
                return  # the failure is waiting in the queue; nothing is begun that would not be known
        for action in actions:
            if isinstance(action, machine.Report):
                self._report(action)
            else:
                self._the_sample().perform(action)
        if actions and not self.active:
            self.on_over()

    def _point(self, event: machine.Event) -> Point | None:
        sample = event.sample if isinstance(event, machine.Enter) else self.status.sample
        return self.plan.point(sample) if 0 <= sample < len(self.plan.samples) else None

    def _the_sample(self) -> Sample:
        if self._sample is None:
            number, attempt = self.status.key
            point = self.plan.point(number)
            if point is None:
                raise SampleError(f"this worker has no part in sample {number}")
            name = storage.sample_folder_name(number, attempt)
            self._sample = Sample(
                point=point,
                inputs=self.plan.inputs,
                folder=self._where.run(self.run_id) / "samples" / name,
                reaper=self._reaper,
                emit=partial(self._from_sample, self.status.key),
                record=partial(self.record, sample=number, attempt=attempt),
                control=self._control,
            )
            if self.status.key == self._history.status.key:  # begun by a worker before us
                self._sample.restore(self._history.processes, self._history.to_undo)
        return self._sample

    def _from_sample(self, key: tuple[int, int], event: machine.Event) -> None:
        if key == self.status.key:
            self.feed(event)

    def attached(self, *, here: bool) -> None:
        """The coordinator is about to be attached, or has gone: what it is told and asks is counted apart."""
        if self._sample:
            self._sample.returned() if here else self._sample.parted()

    def take_up(self, reason: str) -> None:
        """After a restart in the middle of a sample: its processes are gone, so it failed; clear away what is left.

        Of a sample that was over already, the last word may not have been said.
        """
        if not self.active:
            last_word = machine.last_word(self.status)
            if last_word:
                self._report(last_word)
            return
        if self.status.phase == machine.ENDING:
            self._the_sample().perform(machine.Clear())
        else:
            self.feed(machine.Failed(reason))

    def _report(self, action: machine.Report) -> None:
        body: dict[str, Any] = {
            "kind": action.kind,
            "sample": action.sample,
            "attempt": action.attempt,
            "state": action.state,
            "reason": printable(action.reason)[:_REASON_CHARACTERS] if action.reason else None,
        }
        said_before = next((each for each in self.reports if _same(each, body)), None)
        if said_before:
            self._tell(said_before)
            return
        if action.kind != "refused":
            if action.kind == "ended" or (action.kind, action.state) == ("reached", "done"):
                body["facts"] = fit(self._the_sample().facts())
            self.reports = [*self.reports, body][-REPORTS_LIMIT:]
            self.record("report", **body)
        self._tell(body)


def _same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return all(one[name] == other[name] for name in ("kind", "sample", "attempt", "state"))


def fit(facts: dict[str, Any]) -> dict[str, Any]:
    """Facts that fit into a frame: tails of stderr are shortened first, then processes are left out from the end."""
    processes = facts["processes"]
    for limit in (2048, 500, 100, 0):
        shorter = [{**each, "stderr_tail": each["stderr_tail"][-limit:] if limit else ""} for each in processes]
        facts = {**facts, "processes": shorter}
        if len(json.dumps(facts)) <= _FACTS_BYTES:
            return facts
    while len(json.dumps(facts)) > _FACTS_BYTES:
        facts = {**facts, "processes": facts["processes"][: len(facts["processes"]) * 3 // 4]}
    return facts
