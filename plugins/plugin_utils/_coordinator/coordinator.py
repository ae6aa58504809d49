# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The coordinator: walks every sample of a plan, one after the other, on one event loop. Private to this collection.

``run`` is the whole life: attach, walk, collect, let go. What to do next is decided by the pure :mod:`.walk`; here
its actions are carried out and its events gathered. From T0 until the members finish nothing is sent to any host: the
walk has nothing to send, the surveys are over, and lost channels stay down until the window is over.
"""

from __future__ import annotations

import asyncio
import os
import platform
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .._planning.plan import RunPlan
from . import walk as walking
from .clock import Bound
from .collect import Collected, collect
from .endpoint import Endpoint
from .errors import CoordinatorError, Interrupted
from .fleet import Fleet
from .lines import headline, sample_line
from .progress import Progress
from .record import NAME as RECORD_NAME
from .record import Record, utc, wall_minus_mono_ns
from .signals import on_interrupt
from .text import clean

TICK_S = 0.25
MARGIN_S = 3.0  # workers keep the deadlines; the coordinator only waits a little longer for them to say so
COLLECT_S = 600.0
LEAD_LIMIT_NS = 2_000_000_000

Key = tuple[int, int]


@dataclass(frozen=True)
class Options:
    """``until``:

    return once every step of this state is complete (None: the whole run). ``lease_s``: how long a worker goes on
    without hearing anything, beyond what the plan needs.
    """

    until: str | None = None
    lease_s: float = 30.0


@dataclass
class Outcome:
    """How the run ended. ``verdict``: ok, partial (samples are missing), failed, aborted, paused."""

    verdict: str = "failed"
    reason: str | None = None
    samples: list[dict[str, Any]] = field(default_factory=list)  # the record's lines
    collected: list[Collected] = field(default_factory=list)
    resumed: bool = False


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
    ) -> None:
        self._plan = plan
        self._folder = folder
        self._endpoints = endpoints
        self._progress = progress
        self._options = options
        self._versions = versions
        self._events: asyncio.Queue[tuple[Key | None, walking.Event]] = asyncio.Queue()
        self._current: Key = (-1, 0)
        self._facts: dict[str, dict[str, Any]] = {}  # host -> the latest report with facts of the current sample
        self._before: dict[str, Bound] = {}
        self._t0_ns: int | None = None
        self._lead_factor = 1
        self._stopping: str | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    # The whole life

    async def run(self) -> Outcome:
        """Walks what is left of the run.

        Raises CoordinatorError when it could not even begin; otherwise the outcome says it all.
        """
        record = Record(self._folder)
        outcome = Outcome(resumed=bool(record.past))
        ticker = asyncio.create_task(self._tick())
        try:
            on_interrupt(self._interrupt)
            self._fleet = self._make_fleet()
            await self._unless_interrupted(self._fleet.open())
            if not record.past:
                record.write("run", **self._about())
            await self._walk_all(record, outcome)
        finally:
            await self._end(record, outcome)
            ticker.cancel()
            record.close()
        return outcome

    async def _walk_all(self, record: Record, outcome: Outcome) -> None:
        self._before = await self._fleet.survey(self._endpoints)
        verdicts = record.verdicts()
        outcome.samples += [event for event in record.past if event["event"] == "sample"]
        budget = self._plan.retry_budget - sum(verdict != "ok" for verdict in verdicts.values())
        for sample in self._plan.samples:
            attempts = [attempt for number, attempt in verdicts if number == sample.sample]
            if any(verdicts[sample.sample, attempt] == "ok" for attempt in attempts):
                continue
            attempt = max(attempts, default=0) + 1
            while True:
                line = await self._walk_sample(record, sample.sample, attempt)
                if line is None:
                    outcome.verdict = "paused"
                    return
                outcome.samples.append(line)
                if line["verdict"] == "ok":
                    break
                again = line["verdict"] == "invalid" or (
                    line["verdict"] == "failed" and self._plan.on_host_failure == "retry"
                )
                if self._stopping or (line["verdict"] in ("failed", "aborted") and not again):
                    outcome.verdict, outcome.reason = line["verdict"], line["reason"]
                    return
                if budget <= 0:
                    outcome.reason = f"sample {sample.sample}: {line['reason']}; the retry budget is used up"
                    break
                budget -= 1
                attempt += 1
        outcome.verdict = "partial" if outcome.reason else "ok"

    async def _end(self, record: Record, outcome: Outcome) -> None:
        """Every path leads here: bring home what there is, say how it ended, let go."""
        if not hasattr(self, "_fleet"):
            return
        if self._stopping and outcome.verdict == "failed":
            outcome.verdict, outcome.reason = "aborted", self._stopping
        paused = outcome.verdict == "paused"
        if not paused and self._fleet.greetings:
            outcome.collected = await self._collect_all()
            record.write(
                "end",
                verdict=outcome.verdict,
                reason=outcome.reason,
                collected={
                    c.host: {"files": c.files, "bytes": c.size_bytes, "problem": c.problem} for c in outcome.collected
                },
            )
            record.sync()
        await self._fleet.close(finish=not paused)

    async def _collect_all(self) -> list[Collected]:
        self._progress.note(f"fetching the outputs of {len(self._fleet.greetings)} hosts")
        gate = asyncio.Semaphore(8)

        async def one(host: str) -> Collected:
            async with gate:
                return await collect(self._endpoints[host], self._plan.run_id, self._folder, timeout_s=COLLECT_S)

        return list(await asyncio.gather(*(one(host) for host in self._fleet.greetings)))

    # One sample

    async def _walk_sample(self, record: Record, sample: int, attempt: int) -> dict[str, Any] | None:
        """The record's line of this attempt, or None when the walk pauses here."""
        await self._fleet.whole()
        self._current, self._facts, self._t0_ns = (sample, attempt), {}, None
        course = self._course(sample)
        self._progress.begin(sample, attempt)
        barriers: list[dict[str, Any]] = []
        began_ns = time.monotonic_ns()
        state = walking.Walk()
        for event in self._taken_up(record):
            state, _ = walking.step(state, event, course)
        record.write("begin", sample=sample, attempt=attempt)
        deadline = began_ns / 1e9
        state, actions = walking.step(state, walking.Begin(), course)
        while True:
            for action in actions:
                deadline = self._act(action, state, course, record, barriers, deadline)
            if state.finished:
                break
            if self._pause_here(state, course):
                await self._until_t0()
                return None
            event = await self._next_event(deadline)
            state, actions = walking.step(state, event, course)
        after = await self._fleet.survey(self._endpoints) if not self._stopping else {}
        if state.verdict == "invalid":  # somebody was late: give them longer
            self._lead_factor = min(16, self._lead_factor * 2)
        line = sample_line(
            self._plan,
            self._current,
            state=state,
            course=course,
            facts=self._facts,
            before=self._before,
            after=after,
            t0_ns=self._t0_ns,
            began_ns=began_ns,
            barriers=barriers,
        )
        record.write("sample", **line)
        record.sync()
        self._before.update(after)
        self._progress.verdict(headline(line))
        return line

    def _act(
        self,
        action: walking.Action,
        state: walking.Walk,
        course: walking.Course,
        record: Record,
        barriers: list[dict[str, Any]],
        deadline: float,
    ) -> float:
        """Carries out one action; returns the deadline (time.monotonic()) that holds from now on."""
        sample, attempt = self._current
        if isinstance(action, walking.Send):
            fields = {"at_ns": self._on_worker(action.host)} if action.at_t0 else {}
            lease_s = self._lease_s(action.host, state, course)
            self._fleet.send(
                action.host, "enter", sample=sample, attempt=attempt, state=action.state, lease_s=lease_s, **fields
            )
        elif isinstance(action, walking.Survey):
            self._task(self._choose_t0(action.hosts, record))
        elif isinstance(action, walking.StopAll):
            for host in action.hosts:
                self._fleet.send(host, "stop", reason=action.reason[:1000])
        elif isinstance(action, walking.Barrier):
            barriers.append({"group": action.group, "state": action.state, "at_ns": time.monotonic_ns()})
            self._progress.barrier(action.group, action.state)
        elif isinstance(action, walking.Wait):
            base = self._t0_ns / 1e9 if action.from_t0 and self._t0_ns else time.monotonic()
            return base + action.deadline_s + MARGIN_S
        return deadline

    async def _next_event(self, deadline: float) -> walking.Event:
        while True:
            try:
                key, event = await asyncio.wait_for(self._events.get(), max(0.0, deadline - time.monotonic()))
            except TimeoutError:
                return walking.Late()
            if key is None or key == self._current:
                return event

    async def _choose_t0(self, hosts: tuple[str, ...], record: Record) -> None:
        """Surveys the clocks, sets T0 as near as all can keep it, and says so to the walk."""
        self._before.update(await self._fleet.survey(hosts))
        lead_ns = self._lead_factor * (10_000_000 + 4 * self._fleet.slowest_rtt_ns(hosts) + 500_000 * len(hosts))
        self._t0_ns = time.monotonic_ns() + min(lead_ns, LEAD_LIMIT_NS)
        sample, attempt = self._current
        record.write(
            "t0",
            sample=sample,
            attempt=attempt,
            t0_ns=self._t0_ns,
            boot_id=boot_id(),
            before={host: [bound.at_ns, bound.low_ns, bound.high_ns] for host, bound in self._before.items()},
        )
        expected_s = self._plan.points[self._plan.samples[sample].point].expected_s or 0.0
        self._fleet.silent_until = self._t0_ns / 1e9 + expected_s
        self._progress.window((self._t0_ns - time.monotonic_ns()) / 1e9)
        self._events.put_nowait((self._current, walking.Surveyed()))

    def _on_worker(self, host: str) -> int:
        """T0 on the host's own monotonic clock."""
        if self._t0_ns is None:
            raise CoordinatorError("a release without T0: this is a defect of the coordinator")
        return self._t0_ns + self._before[host].middle_ns

    def _taken_up(self, record: Record) -> list[walking.Event]:
        """What an earlier coordinator of this run has already brought about for the current attempt, as the
        workers tell it.
        """
        t0 = record.last("t0")
        if t0 and (t0["sample"], t0["attempt"]) == self._current and t0["boot_id"] == boot_id():
            self._t0_ns = t0["t0_ns"]
            self._before.update({host: Bound(*bound) for host, bound in t0["before"].items()})
            expected_s = self._plan.points[self._plan.samples[self._current[0]].point].expected_s or 0.0
            self._fleet.silent_until = self._t0_ns / 1e9 + expected_s
            self._progress.window((self._t0_ns - time.monotonic_ns()) / 1e9)
        adopted: list[walking.Event] = []
        for host, greeting in self._fleet.greetings.items():
            status = greeting["status"] or {}
            if (status.get("sample"), status.get("attempt")) != self._current:
                continue
            for report in greeting["reports"]:
                self._heard(host, "report", report)
            states = self._course(self._current[0]).states[self._plan.workers[host].group]
            if status["state"] in states:
                rank = states.index(status["state"]) - (status["phase"] == "entering")
                if rank >= 0:
                    adopted.append(walking.Adopted(host, states[rank]))
        return adopted

    def _pause_here(self, state: walking.Walk, course: walking.Course) -> bool:
        until = self._options.until
        if until in (None, "done") or state.verdict:
            return False
        last = max((i for i, each in enumerate(course.steps) if each.state == until), default=-1)
        return state.position > last

    async def _until_t0(self) -> None:
        if self._t0_ns:
            await asyncio.sleep(max(0.0, (self._t0_ns - time.monotonic_ns()) / 1e9))

    # What is heard

    def _heard(self, host: str, kind: str, message: dict[str, Any]) -> None:
        if kind == "attached":
            self._progress.note(f"{host}: attached again ({clean(message['reason'])})")
            self._events.put_nowait((None, walking.Attached(host)))
        elif kind == "gone":
            self._events.put_nowait((None, walking.Gone(host, clean(message["reason"]))))
        else:
            key = (message["sample"], message["attempt"])
            if key != self._current:
                return
            if message["facts"]:
                self._facts[host] = message["facts"]
            reason = clean(message["reason"], limit=1000) if message["reason"] else None
            state = "running" if message["kind"] == "armed" else message["state"]
            self._progress.host(self._plan.workers[host].group, host, clean(state, limit=40))
            self._events.put_nowait((key, walking.Reported(host, message["kind"], message["state"], reason)))

    def _interrupt(self, why: str) -> None:
        if self._stopping is None:
            self._stopping = why
            self._progress.note(f"{why}: stopping every host")
            self._events.put_nowait((None, walking.Abort(why)))

    async def _unless_interrupted(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        while not task.done():
            await asyncio.wait([task], timeout=0.1)
            if self._stopping:
                task.cancel()
                await asyncio.wait([task], timeout=2.0)
                raise Interrupted(f"{self._stopping}, before any sample was started")
        await task

    async def _tick(self) -> None:
        while True:
            self._progress.tick()
            await asyncio.sleep(TICK_S)

    def _task(self, work: Any) -> None:
        def done(task: asyncio.Task[Any]) -> None:
            self._tasks.discard(task)
            if not task.cancelled() and (problem := task.exception()):
                self._events.put_nowait((None, walking.Abort(f"the coordinator failed: {problem!r}")))

        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(done)

    # What the plan says

    def _make_fleet(self) -> Fleet:
        return Fleet(
            run_id=self._plan.run_id,
            coordinator=f"{platform.node().split('.')[0] or 'control'}-{os.getpid()}-{secrets.token_hex(4)}",
            endpoints=self._endpoints,
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

    def _course(self, sample: int) -> walking.Course:
        point = self._plan.samples[sample].point
        states: dict[str, tuple[str, ...]] = {}
        entries: dict[tuple[str, str], tuple[str, float]] = {}
        for worker in self._plan.workers.values():
            document = worker.document["points"][point]
            by_itself = document["stop"]["rule"] == "exit" or document["stop"].get("after_s") is not None
            states[worker.group] = tuple(state["name"] for state in document["states"])
            for state in document["states"]:
                entry = state.get("entry", "at_once")
                if state["name"] == "done" and by_itself:
                    entry = "by_itself"
                known = entries.get((worker.group, state["name"]), (entry, 0.0))
                entries[worker.group, state["name"]] = (entry, max(known[1], state["deadline_s"]))
        return walking.Course(
            steps=tuple(
                walking.Step(step.group, step.state, *entries[step.group, step.state]) for step in self._plan.steps
            ),
            groups=self._plan.groups,
            states=states,
        )

    def _lease_s(self, host: str, state: walking.Walk, course: walking.Course) -> float:
        """Until the host hears again: the deadlines up to the next thing that is sent to its group."""
        group = course.group_of(host)
        total = self._options.lease_s
        for position, each in enumerate(course.steps[state.position :]):
            total += each.deadline_s + MARGIN_S
            if position and each.group == group and each.entry != "by_itself":
                break
        return total

    # What is written

    def _about(self) -> dict[str, Any]:
        hosts = {}
        for host, worker in self._plan.workers.items():
            told = self._fleet.greetings[host]["host"] or {}
            hosts[host] = {"address": worker.address, "group": worker.group, "index": worker.index, **told}
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


def boot_id() -> str:
    """Monotonic instants are comparable as long as this stays the same."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
