# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The coordinator: walks every sample of a plan, one after the other, on one event loop. Private to this collection.

``run`` is the whole life: attach, walk, collect, let go; every path leads through the last two.
"""

from __future__ import annotations

import asyncio
import gc
import os
import platform
import secrets
import time
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from .._planning.plan import FILE_NAME as PLAN_NAME
from .._planning.plan import RunPlan
from .attendance import Attendance
from .clock import Bound
from .ending import PATIENCE_S, bring_home, end
from .endpoint import Endpoint
from .errors import Interrupted
from .fleet import PARTED, Fleet
from .lead import Lead
from .lines import lost_line
from .outcome import Outcome
from .parting import Parting
from .progress import Progress
from .record import Record, about, is_own_and_dead
from .rounds import Agenda, Pairs
from .sample import SampleWalk
from .signals import on_interrupt
from .text import one_line

TICK_S = 0.25


@dataclass(frozen=True)
class Options:
    """``until``: return once every step of this state is complete (None: the whole run).

    ``lease_s``: how long a worker goes on without hearing anything, beyond what the plan needs.

    ``channel``: auto, keep, release, see :mod:`.silence`.
    """

    until: str | None = None
    lease_s: float = 30.0
    channel: str = "auto"


class Coordinator:
    """One run of one plan. Its folder holds the plan already; the record and the outputs go there."""

    def __init__(
        self,
        plan: RunPlan,
        *,
        folder: Path,
        endpoints: Mapping[str, Endpoint],
        progress: Progress,
        options: Options,
        versions: Mapping[str, str],
        absent: Mapping[str, str] | None = None,
    ) -> None:
        self._plan = plan
        self._folder = folder
        self._progress = progress
        self._options = options
        self._versions = versions
        self._before: dict[str, Bound] = {}
        self._lead = Lead()
        self._attendance = Attendance(plan, endpoints, absent or {}, progress)
        self._endpoints = self._attendance.endpoints
        self._parting = Parting(plan, options.channel, self._endpoints, progress)
        self._sample: SampleWalk | None = None
        self._unheard: list[tuple[str, str, dict[str, Any]]] = []  # came after a greeting, before there was a sample
        self._stopping: str | None = None

    async def run(self) -> Outcome:
        """Walks what is left of the run.

        Raises CoordinatorError when it could not even begin; otherwise the outcome says it all.
        """
        gc.freeze()  # what Ansible has loaded stays anyway: looking through it takes a tenth of a second, at any time
        record = Record(self._folder)
        outcome = Outcome(resumed=bool(record.past))
        begun = bool(record.past)
        self._fleet = self._make_fleet()
        ticker = asyncio.create_task(self._tick())
        try:
            on_interrupt(self._interrupt)
            self._fleet.stand_alone(self._parting.announced())
            began_s = time.monotonic()
            await self._unless_interrupted(self._attendance.open(self._fleet))
            if record.past:
                self._take_up(record)
            else:
                connect_s = round(time.monotonic() - began_s, 3)
                record.write("run", **about(self._plan, self._fleet.greetings, self._versions), connect_s=connect_s)
                begun = True
            self._before = await self._fleet.survey(set(self._endpoints) - set(self._attendance.missing))
            outcome.samples += [event for event in record.past if event["event"] == "sample"]
            await (self._walk_rounds if self._plan.is_matrix else self._walk_all)(record, outcome)
            if outcome.verdict != "paused":
                await self._end(record, outcome)
        finally:
            outcome.interrupted = self._stopping is not None
            if not begun:  # there is nothing to take up, and a plan may hold secrets
                (self._folder / PLAN_NAME).unlink(missing_ok=True)
            await self._fleet.close(finish=outcome.verdict != "paused")
            ticker.cancel()
            record.close()
        return outcome

    # Samples

    async def _walk_all(self, record: Record, outcome: Outcome) -> None:
        """Every sample that has no ``ok`` yet, as long as the retry budget and the policy allow."""
        verdicts = record.verdicts()
        budget = self._plan.retry_budget - sum(verdict != "ok" for verdict in verdicts.values())
        left_behind = record.left_behind()
        for sample in self._plan.samples:
            self._before.update(await self._fleet.survey(await self._attendance.welcome_back(self._fleet, record)))
            attempts = [attempt for number, attempt in verdicts if number == sample.sample]
            if any(verdicts[sample.sample, attempt] == "ok" for attempt in attempts):
                continue
            for attempt in range(max(attempts, default=0) + 1, 1_000):
                line = await self._walk(record, (sample.sample, attempt))
                if line is None:
                    return self._pause(record, outcome)
                outcome.samples.append(line)
                if line["verdict"] == "ok":
                    break
                if line["verdict"] == "failed" and not self._stopping and await self._goes_on_without(record, line):
                    continue  # again, without; there are only so many hosts
                taken_up = (sample.sample, attempt) == left_behind
                if self._stopping or not (taken_up or self._goes_on_after(line["verdict"])):
                    outcome.verdict, outcome.reason = line["verdict"], line["reason"]
                    return
                if taken_up:
                    continue  # for want of a coordinator; the budget is for what the benchmark does
                if budget <= 0:
                    outcome.reason = f"sample {sample.sample}: {line['reason']}; the retry budget is used up"
                    if not self._plan.continue_on_error:
                        outcome.verdict = line["verdict"]
                        return
                    break
                budget -= 1
        outcome.verdict = "partial" if outcome.reason else "ok"

    async def _goes_on_without(self, record: Record, line: dict[str, Any]) -> bool:
        return await self._attendance.goes_on_without(self._fleet, record, line, self._sample)

    async def _walk_rounds(self, record: Record, outcome: Outcome) -> None:
        """Every pair of a matrix that has no ``ok`` yet, in rounds, as long as the retry budget allows."""
        left_behind = record.left_behind()
        left = left_behind and record.last("begin")
        agenda = Agenda.of(self._plan, self._attendance.absent, outcome.samples, left)
        while task := agenda.next(self._fleet.unreachable()):
            if task.reason:
                outcome.samples.append(lost_line(self._plan, task.key, task.pairs, task.reason))
                record.write("sample", **outcome.samples[-1])
                continue
            line = await self._walk(record, task.key, task.pairs)
            if line is None:
                return self._pause(record, outcome)
            outcome.samples.append(line)
            if self._stopping:
                outcome.verdict, outcome.reason = line["verdict"], line["reason"]
                return
            agenda.told(line, free=task.key == left_behind)
            if agenda.lost and not self._plan.continue_on_error:
                outcome.verdict, outcome.reason = line["verdict"], agenda.lost[0]
                return
        outcome.reason = "; ".join(dict.fromkeys(agenda.lost)) or None
        outcome.verdict = "partial" if outcome.reason else "ok"

    def _pause(self, record: Record, outcome: Outcome) -> None:
        record.write("paused", until=self._options.until)
        outcome.verdict = "paused"

    def _take_up(self, record: Record) -> None:
        """Says what is there already, on the terminal and in the record. A walk split on purpose just goes on."""
        if record.past[-1]["event"] == "paused":
            return
        there = sum(verdict == "ok" for verdict in record.verdicts().values())
        left = record.left_behind()
        record.write("resumed", ok=there, left_behind=left)
        self._progress.note(
            f"taking up the run {self._plan.run_id}: {there} of {len(self._plan.samples)} samples are there"
            + (f", sample {left[0]} was under way" if left else "")
        )

    def _goes_on_after(self, verdict: str) -> bool:
        return verdict == "invalid" or (verdict == "failed" and self._plan.on_host_failure == "retry")

    async def _walk(self, record: Record, key: tuple[int, int], pairs: Pairs | None = None) -> dict[str, Any] | None:
        lasts_s = self._parting.lasts_s(self._plan.samples[key[0]].point)
        parting = frozenset(self._parting.hosts(lasts_s)) - self._fleet.unreachable()
        self._fleet.stand_alone(parting)
        await self._fleet.whole()
        self._sample = SampleWalk(
            self._plan,
            key,
            fleet=self._fleet,
            record=record,
            progress=self._progress,
            before=self._before,
            lead=self._lead,
            parting=parting,
            lasts_s=lasts_s,
            lease_s=self._options.lease_s,
            pairs=pairs,
            missing=self._attendance.missing,
            until=self._options.until,
        )
        for said in self._unheard:
            self._sample.heard(*said)
        self._unheard.clear()
        if self._stopping:
            self._sample.abort(self._stopping)
        line = await self._sample.run()
        self._lead = self._sample.lead
        if line:
            self._parting.listen(line)
            await self._cool_down(self._plan.points[line["point"]].cool_down_s)
        return line

    async def _cool_down(self, seconds: float) -> None:
        """Quiet, as the suite wishes; an interruption ends it."""
        if seconds and not self._stopping:
            self._progress.note(f"cooling down for {seconds:g} s")
        until = time.monotonic() + seconds
        while not self._stopping and (left := until - time.monotonic()) > 0:
            await asyncio.sleep(min(left, TICK_S))

    # The end

    async def _end(self, record: Record, outcome: Outcome) -> None:
        self._progress.note(f"fetching the outputs of {len(self._endpoints)} hosts")
        outcome.collected = await bring_home(
            self._plan, self._folder, self._endpoints.values(), patience_s=self._patience_s
        )
        outcome.missing = dict(self._attendance.missing)
        end(self._plan, self._folder, record, outcome)

    def _patience_s(self, host: str) -> float:
        return 0.0 if self._stopping or host in self._attendance.missing else PATIENCE_S

    # What comes from outside

    def _heard(self, host: str, kind: str, message: dict[str, Any]) -> None:
        if kind == "lost":  # the user is told at once; what it means for the sample is known when it is there again
            self._progress.note(f"{host}: its channel is lost ({one_line(message['reason'], limit=300)})")
            return
        if kind == "attached" and message["reason"] != PARTED:
            self._progress.note(f"{host}: attached again; before that {one_line(message['reason'])}")
        if self._sample:
            self._sample.heard(host, kind, message)
        else:
            self._unheard.append((host, kind, message))

    def _interrupt(self, why: str) -> None:
        if self._stopping is None:
            self._stopping = why
            self._progress.interrupt(f"{why}: stopping every host")
            if self._sample:
                self._sample.abort(why)

    async def _unless_interrupted(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        while not task.done():
            await asyncio.wait([task], timeout=0.1)
            if self._stopping and not task.done():
                task.cancel()
                await asyncio.wait([task], timeout=2.0)
                raise Interrupted(f"{self._stopping}, before any sample was started")
        await task

    async def _tick(self) -> None:
        while True:
            self._progress.tick()
            await asyncio.sleep(TICK_S)

    def _make_fleet(self) -> Fleet:
        return Fleet(
            run_id=self._plan.run_id,
            coordinator=f"{platform.node().split('.')[0] or 'control'}-{os.getpid()}-{secrets.token_hex(4)}",
            endpoints=dict(self._endpoints),
            plans={host: (entry.sha256, entry.encoded) for host, entry in self._plan.workers.items()},
            lease_s=self._options.lease_s,
            on_event=self._heard,
            may_take_over=partial(is_own_and_dead, self._folder.parent),
        )
