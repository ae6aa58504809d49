# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The coordinator: walks every sample of a plan, one after the other, on one event loop. Private to this collection.

``run`` is the whole life: attach, walk, collect, let go; every path leads through the last two.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import platform
import secrets
import time
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from .._planning.plan import FILE_NAME as PLAN_NAME
from .._planning.plan import RunPlan, without_secrets
from .absence import Absence
from .clock import Bound
from .collect import Collected, collect
from .endpoint import Endpoint
from .errors import CoordinatorError, Interrupted
from .fleet import PARTED, Fleet, cannot_take_part
from .lead import Lead
from .lines import lost_line
from .progress import Progress
from .record import NAME as RECORD_NAME
from .record import Record, utc, wall_minus_mono_ns
from .rounds import Agenda, Pairs
from .sample import SampleWalk
from .signals import on_interrupt
from .silence import Silence
from .text import one_line

TICK_S = 0.25
COLLECT_S = 600.0
COLLECT_PARALLEL = 8
COLLECT_PATIENCE_S = 60.0  # a host boots in that time, a network is mended


@dataclass(frozen=True)
class Options:
    """``until``: return once every step of this state is complete (None: the whole run).

    ``lease_s``: how long a worker goes on without hearing anything, beyond what the plan needs.

    ``channel``: auto, keep, release, see :mod:`.silence`.
    """

    until: str | None = None
    lease_s: float = 30.0
    channel: str = "auto"


@dataclass
class Outcome:
    """How the run ended. ``verdict``: ok, partial (samples are missing), failed, aborted, paused."""

    verdict: str = "failed"
    reason: str | None = None
    samples: list[dict[str, Any]] = field(default_factory=list)  # the record's lines
    collected: list[Collected] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)  # hosts that the run went on without, and why
    resumed: bool = False
    interrupted: bool = False  # by a signal: ansible-playbook is gone, or going


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
        self._absent = dict(absent or {})  # hosts that cannot take part, and why: of a matrix, their pairs are lost
        self._folder = folder
        self._endpoints = {host: endpoint for host, endpoint in endpoints.items() if host not in self._absent}
        self._progress = progress
        self._options = options
        self._versions = versions
        self._before: dict[str, Bound] = {}
        self._lead = Lead()
        self._silence = Silence(options.channel)
        self._absence = Absence(plan)
        self._lasted_s: dict[int, float] = {}  # point -> from T0 to the end of the longest window so far
        self._sample: SampleWalk | None = None
        self._agenda: Agenda | None = None
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
            self._plan_silence()
            began_s = time.monotonic()
            await self._unless_interrupted(self._open())
            if record.past:
                self._take_up(record)
            else:
                record.write("run", **self._about(), connect_s=round(time.monotonic() - began_s, 3))
                begun = True
            self._before = await self._fleet.survey(set(self._endpoints) - set(self._absence.missing))
            outcome.samples += [event for event in record.past if event["event"] == "sample"]
            await (self._walk_rounds if self._plan.is_matrix else self._walk_all)(record, outcome)
            if outcome.verdict != "paused":
                await self._bring_home(record, outcome)
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
            await self._welcome_back(record)
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
        """By the policy ``drop``: leaves out the hosts that have spoiled a sample, if the run makes sense without them.

        Whoever is gone is to blame before whoever said so first. What still runs on such a host ends by itself.
        """
        if self._plan.on_host_failure != "drop" or self._sample is None:
            return False
        await self._fleet.whole()
        gone = self._fleet.unreachable() & set(line["hosts"])
        failed = {host for host, about in line["hosts"].items() if about["verdict"] == "failed"} - gone
        objection = self._absence.objection(gone or failed)
        if objection:
            line["reason"] = f"{line['reason']}; the run cannot go on without {objection}"
        if objection or not (gone or self._sample.culprit):
            return False
        blamed = sorted(gone) or [str(self._sample.culprit)]
        why = {host: line["hosts"][host]["reason"] or line["reason"] or "failed" for host in blamed}
        self._absence.drop(why, lost=bool(gone))
        for host, reason in why.items():
            record.write("dropped", host=host, reason=reason, sample=line["sample"], attempt=line["attempt"])
            self._progress.note(f"going on without {host}: {reason}")
        if gone:
            await asyncio.sleep(max(0.0, self._sample.over_s() - time.monotonic()))
        return True

    async def _welcome_back(self, record: Record) -> None:
        """Hosts that could not be reached and can be again take part in the samples that follow."""
        for host in self._absence.may_return():
            if await self._fleet.try_again(host):
                self._absence.back(host)
                self._before.update(await self._fleet.survey([host]))
                record.write("returned", host=host)
                self._progress.note(f"{host} is back, and takes part again")

    async def _walk_rounds(self, record: Record, outcome: Outcome) -> None:
        """Every pair of a matrix that has no ``ok`` yet, in rounds, as long as the retry budget allows."""
        left_behind = record.left_behind()
        self._agenda = Agenda.of(self._plan, self._absent, outcome.samples, left_behind and record.last("begin"))
        while task := self._agenda.next():
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
            self._agenda.told(line, free=task.key == left_behind)
            if self._agenda.lost and not self._plan.continue_on_error:
                outcome.verdict, outcome.reason = line["verdict"], self._agenda.lost[0]
                return
        outcome.reason = "; ".join(dict.fromkeys(self._agenda.lost)) or None
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
        lasts_s = self._lasts_s(self._plan.samples[key[0]].point)
        parting = frozenset(self._let_go(lasts_s)) - self._fleet.unreachable()
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
            missing=self._absence.missing,
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
            self._listen(line)
            await self._cool_down(self._plan.points[line["point"]].cool_down_s)
        return line

    async def _cool_down(self, seconds: float) -> None:
        """Quiet, as the suite wishes; an interruption ends it."""
        if seconds and not self._stopping:
            self._progress.note(f"cooling down for {seconds:g} s")
        until = time.monotonic() + seconds
        while not self._stopping and (left := until - time.monotonic()) > 0:
            await asyncio.sleep(min(left, TICK_S))

    # Silence

    def _lasts_s(self, point: int) -> float | None:
        """How long a window of this point is: as expected, or as it was when that is longer."""
        expected_s = self._plan.points[point].expected_s
        return expected_s and max(expected_s, self._lasted_s.get(point, 0.0))

    def _let_go(self, expected_s: float | None) -> list[str]:
        return [host for host, endpoint in self._endpoints.items() if self._silence.lets_go(endpoint, expected_s)]

    def _plan_silence(self) -> None:
        """Says which channels are going to be let go, and gives them connections that end when they are."""
        windows = [point.expected_s for point in self._plan.points if point.expected_s is not None]
        hosts = self._let_go(max(windows, default=None))
        self._fleet.stand_alone(hosts)
        if hosts and self._silence.choice == "auto":
            shortest_s = min(self._endpoints[host].server_speaks_s or 0 for host in hosts)
            self._progress.note(
                f"the ssh servers of {len(hosts)} hosts speak after {shortest_s} s of silence: "
                "their channels are let go for each window"
            )

    def _listen(self, line: dict[str, Any]) -> None:
        if line["window"] and line["t0_ns"]:
            lasted_s = (line["window"]["stop_ns"] - line["t0_ns"]) / 1e9
            self._lasted_s[line["point"]] = max(lasted_s, self._lasted_s.get(line["point"], 0.0))
        for host, packets in self._silence.listen(line, self._endpoints).items():
            self._progress.note(
                f"{host}: {packets} packets on the channel in the window; from now on it is let go before the next"
            )

    # The end

    async def _bring_home(self, record: Record, outcome: Outcome) -> None:
        """Fetches and verifies what every host has, whatever the verdict."""
        self._progress.note(f"fetching the outputs of {len(self._endpoints)} hosts")
        gate = asyncio.Semaphore(COLLECT_PARALLEL)

        async def one(endpoint: Endpoint) -> Collected:
            async with gate:
                patience = partial(self._patience_s, endpoint.host)
                return await collect(endpoint, self._plan.run_id, self._folder, timeout_s=COLLECT_S, patience=patience)

        outcome.collected = list(await asyncio.gather(*(one(endpoint) for endpoint in self._endpoints.values())))
        collected = {c.host: {"files": c.files, "bytes": c.size_bytes, "problem": c.problem} for c in outcome.collected}
        outcome.missing = dict(self._absence.missing)
        away = [each for each in outcome.collected if each.unreachable and each.host not in outcome.missing]
        if outcome.verdict == "ok" and away:
            record.write("unfetched", collected=collected)  # there is no end yet: the run can be taken up for the rest
            return
        record.write("end", verdict=outcome.verdict, reason=outcome.reason, collected=collected)
        record.sync()
        self._forget_secrets()

    def _patience_s(self, host: str) -> float:
        return 0.0 if self._stopping or host in self._absence.missing else COLLECT_PATIENCE_S

    def _forget_secrets(self) -> None:
        """The run is over: its plan is kept to be read, not to be walked."""
        path = self._folder / PLAN_NAME
        draft = path.with_suffix(".draft")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            json.dump(without_secrets(self._plan), file, separators=(",", ":"))
        draft.replace(path)

    # What comes from outside

    def _heard(self, host: str, kind: str, message: dict[str, Any]) -> None:
        if kind == "lost":  # the user is told at once; what it means for the sample is known when it is there again
            self._progress.note(f"{host}: its channel is lost ({one_line(message['reason'], limit=300)})")
            return
        if self._agenda and kind == "gone":
            self._agenda.away.add(host)
        if self._agenda and kind == "attached":
            self._agenda.away.discard(host)
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

    # Who takes part

    async def _open(self) -> None:
        """Attaches to the hosts. Those of a matrix that cannot take part cost their pairs, and no more."""
        drops = self._plan.on_host_failure == "drop"
        problems = await self._fleet.open(all_needed=not (self._plan.is_matrix or drops))
        if drops and not self._plan.is_matrix:
            self._begin_without(problems)
            return
        self._absent.update(problems)
        for host, why in self._absent.items():
            self._endpoints.pop(host, None)
            self._progress.note(f"{host} cannot take part, its pairs are lost: {why}")

    def _begin_without(self, problems: Mapping[str, str]) -> None:
        if problems and (objection := self._absence.objection(problems)):
            told = cannot_take_part(problems, len(self._endpoints))
            raise CoordinatorError(f"{told}\nThe run cannot go on without {objection}")
        self._absence.drop(problems, lost=True)
        for host, why in problems.items():
            self._progress.note(f"beginning without {host}: {why}")

    def _make_fleet(self) -> Fleet:
        return Fleet(
            run_id=self._plan.run_id,
            coordinator=f"{platform.node().split('.')[0] or 'control'}-{os.getpid()}-{secrets.token_hex(4)}",
            endpoints=dict(self._endpoints),
            plans={host: (entry.sha256, entry.encoded) for host, entry in self._plan.workers.items()},
            lease_s=self._options.lease_s,
            on_event=self._heard,
            may_take_over=self._own_and_dead,
        )

    def _own_and_dead(self, run_id: str) -> bool:
        """A run of ours whose coordinator lives no more may be ended; anybody else's only its lease ends."""
        folder = self._folder.parent / run_id
        if "/" in run_id or run_id.startswith(".") or not (folder / RECORD_NAME).is_file():
            return False
        try:
            Record(folder).close()
        except CoordinatorError:
            return False
        return True

    def _about(self) -> dict[str, Any]:
        hosts = {}
        for host, worker in self._plan.workers.items():
            told = self._fleet.greetings.get(host, {}).get("host") or {}
            hosts[host] = {**told, "address": worker.address, "group": worker.group, "index": worker.index}
        return {
            "run_id": self._plan.run_id,
            "suite": self._plan.suite,
            "seed": self._plan.seed,
            "plan_sha256": self._plan.sha256,
            "started_utc": utc(time.time_ns()),
            "wall_minus_mono_ns": wall_minus_mono_ns(),
            "versions": dict(self._versions),
            "hosts": hosts,
            "groups": {group: list(names) for group, names in self._plan.groups.items()},
        }
