# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One attempt at one sample: carries out what the pure walk decides, and gathers its events. Private to this
collection.

From T0 until the members finish nothing is sent to any host: the walk has nothing to send, the surveys are over,
nobody is asked whether he is there, and lost channels stay down until the window is over. Channels on which the host's
ssh server would speak are let go once every host has its instant, and taken up again when the window is over.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .._planning.plan import RunPlan
from . import walk as walking
from .clock import Bound
from .course import course_of, lease_s, reached_state
from .fleet import Fleet
from .lead import Lead
from .lines import headline, sample_line
from .progress import Progress
from .record import Record
from .rounds import Pairs
from .silence import margin_s
from .text import one_line

MARGIN_S = 3.0  # workers keep the deadlines; the coordinator only waits a little longer for them to say so
TAKE_UP_S = 20.0  # and so much longer, at most, for hosts whose channels are being taken up again
LEASE_SHARE = 0.8  # … but the other hosts, which hear nothing meanwhile, must not end for it
DOUBT_S = 1.0
FRESH_NS = 2_000_000_000  # a survey of this age will do for T0: real clocks drift by some 20 µs in a second


class SampleWalk:
    """``before`` holds each host's latest clock survey and is brought up to date.

    ``lead`` is what earlier releases have taken, and afterwards this one's too. The channels of ``parting`` hosts are
    let go for the window, which ``lasts_s`` (None: nobody knows).
    """

    def __init__(
        self,
        plan: RunPlan,
        key: tuple[int, int],
        *,
        fleet: Fleet,
        record: Record,
        progress: Progress,
        before: dict[str, Bound],
        lead: Lead,
        parting: frozenset[str],
        lasts_s: float | None,
        lease_s: float,
        pairs: Pairs | None = None,
        missing: Mapping[str, str] | None = None,
        until: str | None = None,
    ) -> None:
        self._plan = plan
        self._key = key
        self._point = plan.samples[key[0]].point
        self._pairs = pairs
        self._missing = dict(missing or {})
        present = {host for pair in pairs for host in pair} if pairs else set(plan.workers) - set(self._missing)
        self._course = course_of(plan, self._point, present, until=until)
        self._fleet = fleet
        self._record = record
        self._progress = progress
        self._before = before
        self.lead = lead
        self._parting_hosts = parting
        self._lasts_s = lasts_s
        self._lease_s = lease_s
        self._state = walking.Walk()
        self._events: asyncio.Queue[walking.Event] = asyncio.Queue()
        self._facts: dict[str, dict[str, Any]] = {}
        self._failures: dict[str, str] = {}  # in the order in which they were heard of
        self._barriers: list[dict[str, Any]] = []
        self._patience: dict[tuple[str, int], float] = {}
        self._began_ns = time.monotonic_ns()
        self._deadline = self._latest = self._began_ns / 1e9
        self._again_s = 0.0  # what the current step is given when it is said again
        self._t0_ns: int | None = None
        self._survey: asyncio.Task[None] | None = None
        self._returning: set[str] = set()  # hosts whose Attached waits among the events
        self._parting: asyncio.Task[None] | None = None
        self._parted_ns: int | None = None
        self._chosen_ns: int | None = None  # when T0 was chosen
        self._way_ns = 0
        self._armed_ns: int | None = None  # when the last answer to it was here

    async def run(self) -> dict[str, Any] | None:
        """Walks to the end and returns the record's line; or to where it shall pause, and returns None."""
        self._progress.begin(*self._key, {group: len(hosts) for group, hosts in self._course.groups.items()})
        self._take_up()
        more = {"pairs": self._pairs} if self._pairs else {}
        self._record.write("begin", sample=self._key[0], attempt=self._key[1], **more)
        self._step(walking.Begin())
        watch = asyncio.create_task(self._fleet.watch(self._awaited))
        try:
            while not self._state.finished:
                if self._state.paused:
                    await asyncio.sleep(max(0.0, ((self._t0_ns or 0) - time.monotonic_ns()) / 1e9))
                    return None
                event = await event_or_late(self._events, self._deadline)
                if not (isinstance(event, walking.Late) and self._put_off()):
                    self._step(event)
        finally:
            await ended(watch)
            self._fleet.break_silence()
            if self._survey:
                self._survey.cancel()
            if self._parting:
                await asyncio.wait([self._parting])
        return await self._finish()

    def heard(self, host: str, kind: str, message: Mapping[str, Any]) -> None:
        """What the fleet has to say: a report of a worker, a host attached again, a host gone."""
        if host not in self._course:
            return
        if kind == "attached":
            if self._t0_ns is None:
                self._before.pop(host, None)  # it may have been booted since
            self._returning.add(host)
            idle = self._turn(message["status"]["sample"], message["status"]["attempt"]) < self._turn(*self._key)
            self._events.put_nowait(walking.Attached(host, idle=idle))
        elif kind == "gone":
            reason = self._failures.setdefault(host, one_line(message["reason"], limit=1000))
            self._events.put_nowait(walking.Gone(host, reason))
        elif (message["sample"], message["attempt"]) == self._key:
            self._reported(host, message)

    def _turn(self, sample: int, attempt: int) -> tuple[int, int]:
        """What comes later is larger: of a matrix all first attempts come before the second ones."""
        return (attempt, sample) if self._pairs else (sample, attempt)

    @property
    def culprit(self) -> str | None:
        """The host that has spoiled it."""
        return self._state.culprit

    def over_s(self) -> float:
        """When processes of a host that cannot be reached have ended by themselves (time.monotonic()), as expected."""
        if self._t0_ns is None or self._lasts_s is None:
            return time.monotonic()
        return self._t0_ns / 1e9 + self._lasts_s + margin_s(self._lasts_s)

    def abort(self, why: str) -> None:
        self._events.put_nowait(walking.Abort(why))

    def _reported(self, host: str, message: Mapping[str, Any]) -> None:
        if message["facts"]:
            self._facts[host] = message["facts"]
        if message["kind"] == "reached" and message["state"] == "done":
            self._fleet.break_silence()  # the first stop closes the window
        if message["kind"] in ("armed", "late") and not self._parting:
            self._armed_ns = time.monotonic_ns()
        reason = one_line(message["reason"], limit=1000) if message["reason"] else None
        if message["kind"] == "failed":
            self._failures.setdefault(host, reason or "failed")
        self._progress.host(self._course.group_of(host), host, one_line(message["state"], limit=40))
        self._events.put_nowait(walking.Reported(host, message["kind"], message["state"], reason))

    # Events and actions

    def _step(self, event: walking.Event) -> None:
        if isinstance(event, walking.Attached):
            self._returning.discard(event.host)
            # what it missed is said again, and it has the time for it again
            self._deadline = max(self._deadline, min(self._latest, time.monotonic() + self._again_s))
        self._state, actions = walking.step(self._state, event, self._course)
        for action in actions:
            self._act(action)
        if self._parting is None and self._parting_hosts and self._all_have_their_instant():
            self._parting = asyncio.create_task(self._part())

    def _act(self, action: walking.Action) -> None:
        if isinstance(action, walking.Send):
            self._enter(action)
        elif isinstance(action, walking.Survey):
            self._survey = asyncio.create_task(self._choose_t0(action.hosts))
            self._survey.add_done_callback(self._surveyed)
        elif isinstance(action, walking.StopAll):
            self._fleet.break_silence()
            for host in action.hosts:
                self._fleet.send(host, "stop", reason=action.reason[:1000])
        elif isinstance(action, walking.Barrier):
            self._barriers.append({"group": action.group, "state": action.state, "at_ns": time.monotonic_ns()})
            self._progress.barrier(action.group, action.state)
        elif isinstance(action, walking.Wait):
            base = self._t0_ns / 1e9 if action.from_t0 and self._t0_ns else time.monotonic()
            self._deadline = base + action.deadline_s + MARGIN_S
            self._again_s = 0.0 if action.from_t0 else action.deadline_s + MARGIN_S
            self._latest = self._deadline + min(TAKE_UP_S + self._again_s, LEASE_SHARE * self._lease_s)

    def _awaited(self) -> list[str]:
        return walking.awaited(self._state, self._course)

    def _put_off(self) -> bool:
        """A deadline is not held against hosts that may only be cut off, as long as that can be mended, or are just
        back.
        """
        self._fleet.break_silence()
        now = time.monotonic()
        if now >= self._latest or not (self._returning or self._fleet.in_doubt(self._awaited())):
            return False
        self._deadline = min(now + DOUBT_S, self._latest)
        return True

    def _enter(self, action: walking.Send) -> None:
        if action.host in self._returning:  # what its greeting told is not known yet: it is said again when it is
            return
        fields: dict[str, Any] = {}
        if action.at_t0:
            clock = self._before.get(action.host)
            # a T0 from before a reboot of this machine is not known, nor is it on a clock that nobody has surveyed:
            # it is past, the worker says that it is late, and the sample is lost as it should be
            fields["at_ns"] = self._t0_ns + clock.middle_ns if self._t0_ns is not None and clock else 0
        self._fleet.send(
            action.host,
            "enter",
            sample=self._key[0],
            attempt=self._key[1],
            state=action.state,
            lease_s=self._lease_s + self._patience_s(self._course.group_of(action.host), self._state.position),
            **fields,
        )

    def _patience_s(self, group: str, position: int) -> float:
        """What the plan needs, beyond the lease; the same for every host of a group."""
        key = (group, position)
        if key not in self._patience:
            self._patience[key] = lease_s(self._course, group, position, MARGIN_S)
        return self._patience[key]

    # T0

    async def _choose_t0(self, hosts: tuple[str, ...]) -> None:
        """Sets T0 as near as all can keep it. Clocks surveyed just now, after the sample before, are known."""
        oldest_ns = time.monotonic_ns() - FRESH_NS
        unknown = [host for host in hosts if host not in self._before or self._before[host].at_ns < oldest_ns]
        self._before.update(await self._fleet.survey(unknown))
        if self._state.verdict:  # lost in the meantime
            return
        self._way_ns = self._fleet.slowest_way_ns(hosts)
        lead_ns = self.lead.ns(way_ns=self._way_ns, hosts=len(hosts), parts=bool(self._parting_hosts))
        self._chosen_ns = time.monotonic_ns()
        self._set_t0(self._chosen_ns + lead_ns)
        self._record.write(
            "t0",
            sample=self._key[0],
            attempt=self._key[1],
            t0_ns=self._t0_ns,
            lead_ns=lead_ns,
            boot_id=boot_id(),
            before={host: [bound.at_ns, bound.low_ns, bound.high_ns] for host, bound in self._before.items()},
        )

    def _surveyed(self, task: asyncio.Task[None]) -> None:
        if task.cancelled():
            return
        problem = task.exception()
        failed = walking.Abort(f"T0 could not be chosen: {problem!r}")
        self._events.put_nowait(failed if problem else walking.Surveyed())

    def _set_t0(self, t0_ns: int) -> None:
        self._t0_ns = t0_ns
        self._fleet.keep_silence(t0_ns / 1e9 + self._lasts_s + margin_s(self._lasts_s) if self._lasts_s else None)
        self._progress.window((t0_ns - time.monotonic_ns()) / 1e9)

    def _all_have_their_instant(self) -> bool:
        """Nothing is left to be said or heard until a process ends."""
        if self._chosen_ns is None or not walking.in_window(self._state, self._course):
            return False
        return self._course.steps[self._state.position].entry == "by_itself"

    async def _part(self) -> None:
        began_ns = time.monotonic_ns()
        await self._fleet.part(self._parting_hosts)
        self._parted_ns = time.monotonic_ns()
        self.lead = self.lead.parted(self._parted_ns - began_ns)

    def _learn(self) -> str | None:
        """Notes how long the release has taken; returns why its lead was too short, if it was."""
        if self._chosen_ns is not None and self._armed_ns is not None:
            self.lead = self.lead.armed(self._armed_ns - self._chosen_ns, self._way_ns)
        late_ns = self._parted_ns - self._t0_ns if self._parted_ns and self._t0_ns else 0
        too_short = late_ns > 0 or self._state.verdict == "invalid"
        self.lead = self.lead.judged(too_short=too_short)
        return f"the channels were let go {late_ns / 1e6:.0f} ms after T0, not before it" if late_ns > 0 else None

    # Taking up what an earlier coordinator left

    def _take_up(self) -> None:
        """What the workers tell of this very attempt is so already, whoever brought it about."""
        t0 = self._record.last("t0")
        if t0 and (t0["sample"], t0["attempt"]) == self._key and t0["boot_id"] == boot_id():
            self._before.update({host: Bound(*bound) for host, bound in t0["before"].items()})
            self._set_t0(t0["t0_ns"])
        for host, greeting in self._fleet.greetings.items():
            status = greeting["status"] or {}
            if (status.get("sample"), status.get("attempt")) != self._key or host not in self._course:
                continue
            states = self._course.states[self._course.group_of(host)]
            self._step(walking.Adopted(host, reached_state(states, status["state"], status["phase"])))
            for report in greeting["reports"]:
                self.heard(host, "report", report)
        while not self._events.empty():  # before anything is sent: the sample may be lost already
            self._step(self._events.get_nowait())

    async def _finish(self) -> dict[str, Any]:
        spoken = self._learn()
        after = await self._fleet.survey(self._course.hosts)
        line = sample_line(
            self._plan,
            self._key,
            state=self._state,
            course=self._course,
            facts=self._facts,
            before=self._before,
            after=after,
            t0_ns=self._t0_ns,
            began_ns=self._began_ns,
            barriers=self._barriers,
            failures=self._failures,
            spoken=spoken,
            spoke_ns=self._fleet.spoke_ns,
            missing=self._missing,
        )
        self._record.write("sample", **line)
        self._record.sync()
        self._before.update(after)
        self._progress.verdict(headline(line))
        return line


async def ended(task: asyncio.Task[None]) -> None:
    """Ends it; raises what it has raised."""
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def event_or_late(events: asyncio.Queue[walking.Event], deadline: float) -> walking.Event:
    """The next event, or Late once ``deadline`` (time.monotonic()) has passed, also where events never cease."""
    left_s = deadline - time.monotonic()
    if left_s <= 0:  # a wait for what is there already would never time out
        return walking.Late()
    if not events.empty():  # of a thousand hosts many come at once
        return events.get_nowait()
    try:
        return await asyncio.wait_for(events.get(), left_s)
    except TimeoutError:
        return walking.Late()


def boot_id() -> str:
    """Monotonic instants are comparable as long as this stays the same."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
