# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One sample's walk through its steps: pure, without I/O or clock. Private to this collection.

A step is "all hosts of this group have reached this state". Steps are taken in order; a step is sent to its group
when the one before is complete, is complete when every host of the group has said so (or, for a state that comes by
itself, when it has come), and has a deadline. The first thing that goes wrong decides the verdict, stops every host
that is not over, and nothing is released after it.

::

    step 1 ─▶ step 2 ─▶ … ─▶ survey ─▶ release at T0 ═ window ═▶ … ─▶ last step ─▶ over(ok)
       └──────────┴──────────────┴────────────┴──────────────┴──▶ stopping ─▶ over(failed | aborted | invalid)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property


@dataclass(frozen=True)
class Step:
    """``entry`` is the state's: at_once, at_t0, by_itself (nothing is sent, it comes)."""

    group: str
    state: str
    entry: str
    deadline_s: float


@dataclass(frozen=True)
class Course:
    """What does not change during a walk: the steps, who is in which group, and the order of each group's states.

    Before the step ``pause_at`` the walk pauses, and nothing of that step is sent.
    """

    steps: tuple[Step, ...]
    groups: Mapping[str, tuple[str, ...]]
    states: Mapping[str, tuple[str, ...]]  # group -> ready … done
    pause_at: int | None = None

    def __contains__(self, host: str) -> bool:
        return host in self._group_of

    def group_of(self, host: str) -> str:
        return self._group_of[host]

    def rank(self, host: str, state: str) -> int:
        states = self.states[self._group_of[host]]
        return states.index(state) if state in states else -1

    @cached_property
    def hosts(self) -> tuple[str, ...]:
        return tuple(self._group_of)

    @cached_property
    def _group_of(self) -> dict[str, str]:
        return {host: group for group, hosts in self.groups.items() for host in hosts}


class Ranks(dict[str, int]):
    """Host -> rank, never changed once made. With a thousand hosts each event must cost next to nothing."""

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self.items()))

    def knowing(self, host: str, rank: int) -> Ranks:
        known = Ranks(self)
        known[host] = rank
        return known


@dataclass(frozen=True)
class Walk:
    """Where a sample is. ``reached`` holds for each host the rank of the last state it has reached (ready is 0)."""

    position: int = -1  # index of the current step
    reached: Ranks = field(default_factory=Ranks)
    awaited: int = 0  # how many hosts of the current step's group have not reached its state
    surveying: bool = False  # the step at T0 waits for its instant
    released: bool = False  # the step at T0 was sent
    verdict: str | None = None  # ok, failed, aborted, invalid
    culprit: str | None = None  # the host that decided it
    reason: str | None = None
    entered: frozenset[str] = frozenset()  # hosts that were sent anything of this sample
    over: frozenset[str] = frozenset()  # hosts on which nothing of this sample is left
    paused: bool = False  # before the step where the course wants it; somebody will go on from there
    finished: bool = False

    def rank(self, host: str) -> int:
        return self.reached.get(host, -1)


# Events


@dataclass(frozen=True)
class Begin:
    pass


@dataclass(frozen=True)
class Adopted:
    """Before Begin: a host that works on this sample already; an earlier coordinator has brought it to this state.

    None: to none yet, or the sample is lost there. What such hosts have said comes as Reported, before Begin too, and
    after all Adopted: a walk that is lost already sends nothing but the stop, and knows whom it concerns.
    """

    host: str
    state: str | None


@dataclass(frozen=True)
class Attached:
    """The channel to a host was lost and is there again; what it had to say has been fed in as reports.

    ``idle``: its worker does nothing for this sample.
    """

    host: str
    idle: bool = False


@dataclass(frozen=True)
class Reported:
    """A worker's report: kind, state and reason as in the protocol."""

    host: str
    kind: str
    state: str
    reason: str | None = None


@dataclass(frozen=True)
class Surveyed:
    """T0 has been chosen; the edge will send it to each host in its own clock."""


@dataclass(frozen=True)
class Gone:
    """The host cannot be reached any more, or its worker has forgotten the run: nothing more will come from it."""

    host: str
    reason: str


@dataclass(frozen=True)
class Late:
    """The deadline of the current step has passed; ``stopping`` has one too."""


@dataclass(frozen=True)
class Abort:
    reason: str


Event = Begin | Adopted | Attached | Reported | Surveyed | Gone | Late | Abort


# Actions


@dataclass(frozen=True)
class Send:
    """Enter this state, now or (``at_t0``) at T0 in the host's own clock."""

    host: str
    state: str
    at_t0: bool = False


@dataclass(frozen=True)
class Survey:
    """Survey the clocks of these hosts and choose T0."""

    hosts: tuple[str, ...]


@dataclass(frozen=True)
class Wait:
    """A new step is current, or the walk is stopping:

    this is its deadline from now (from T0 for what comes by itself).
    """

    group: str
    state: str
    deadline_s: float
    from_t0: bool = False


@dataclass(frozen=True)
class Barrier:
    """All hosts of the group have reached the state."""

    group: str
    state: str


@dataclass(frozen=True)
class StopAll:
    hosts: tuple[str, ...]
    reason: str


@dataclass(frozen=True)
class Over:
    """The walk has ended with this verdict."""

    verdict: str


Action = Send | Survey | Wait | Barrier | StopAll | Over
Next = tuple[Walk, tuple[Action, ...]]

STOPPING_S = 30.0  # processes end at once there; the rest is for hosts that are slow


def step(walk: Walk, event: Event, course: Course) -> Next:
    """One transition. Events after the end, of hosts that are over, or said twice, change nothing."""
    if walk.finished:
        return walk, ()
    if isinstance(event, Begin):
        return _next_step(walk, course) if walk.position < 0 and not walk.verdict else (walk, ())
    if isinstance(event, Adopted):
        return _know(walk, event.host, course.rank(event.host, event.state or ""), course), ()
    if isinstance(event, Attached):
        if walk.verdict and event.idle:  # it would not answer to a stop
            return _over(walk, event.host, course)
        return walk, _say_again(walk, event.host, course)
    if isinstance(event, Reported):
        return _reported(walk, event, course)
    if isinstance(event, Surveyed):
        return _release(walk, course)
    if isinstance(event, Gone):
        gone = replace(walk, over=walk.over | {event.host})
        if walk.verdict:
            return _end_when_all_over(gone, (), course)
        return _lose(gone, course, "failed", event.host, event.reason)
    if isinstance(event, Late):
        return _late(walk, course)
    return (walk, ()) if walk.verdict else _lose(walk, course, "aborted", None, event.reason)


def _reported(walk: Walk, event: Reported, course: Course) -> Next:
    host = event.host
    if event.kind == "ended":
        return _over(walk, host, course)
    if event.kind == "refused":  # the host does nothing for this sample
        refused = replace(walk, over=walk.over | {host})
        if walk.verdict:
            return _end_when_all_over(refused, (), course)
        return _lose(refused, course, "failed", host, _where(event))
    if event.kind == "failed":
        return (walk, ()) if walk.verdict else _lose(walk, course, "failed", host, _where(event))
    if event.kind == "late":
        reason = "was told of T0 too late to keep it"
        return (walk, ()) if walk.verdict else _lose(walk, course, "invalid", host, reason)
    if event.kind == "aborted":
        return (walk, ()) if walk.verdict else _lose(walk, course, "aborted", host, _where(event))
    rank = course.rank(host, event.state)
    if rank <= walk.rank(host):
        return walk, ()
    known = _know(walk, host, rank, course)
    if walk.verdict:
        return _end_when_all_over(known, (), course)
    if walk.position < 0:  # it is being taken up
        return known, ()
    return _advance(known, (), course)


def _where(event: Reported) -> str:
    """The reason, with the state that the host was in."""
    reason = event.reason or event.kind
    return reason if f"state {event.state!r}" in reason else f"in state {event.state!r}: {reason}"


def _know(walk: Walk, host: str, rank: int, course: Course) -> Walk:
    last = rank == len(course.states[course.group_of(host)]) - 1
    return replace(
        walk,
        reached=walk.reached.knowing(host, rank),
        awaited=walk.awaited - _arrives(walk, host, rank, course),
        entered=walk.entered if host in walk.entered else walk.entered | {host},
        over=walk.over | {host} if last else walk.over,
    )


def _arrives(walk: Walk, host: str, rank: int, course: Course) -> bool:
    """Whether this rank is what the current step awaits of the host."""
    if walk.position < 0 or course.group_of(host) != course.steps[walk.position].group:
        return False
    return walk.rank(host) < course.rank(host, course.steps[walk.position].state) <= rank


def _behind(walk: Walk, current: Step, course: Course) -> list[str]:
    """The hosts of a step's group that have not reached its state."""
    hosts = course.groups[current.group]
    return [host for host in hosts if walk.rank(host) < course.rank(host, current.state)]


def _say_again(walk: Walk, host: str, course: Course) -> tuple[Action, ...]:
    """What a host may have missed while its channel was down; workers answer what they know already once more."""
    if host in walk.over:
        return ()
    if walk.verdict:
        return (StopAll((host,), walk.reason or walk.verdict),)
    if walk.position < 0:
        return ()
    current = course.steps[walk.position]
    missing = host in course.groups[current.group] and walk.rank(host) < course.rank(host, current.state)
    if not missing or current.entry == "by_itself" or walk.surveying:
        return ()
    return (Send(host, current.state, at_t0=current.entry == "at_t0"),)


def _advance(walk: Walk, done: tuple[Action, ...], course: Course) -> Next:
    """Take every step that is complete by now, then send the next."""
    if walk.surveying or walk.awaited:
        return walk, done
    current = course.steps[walk.position]
    return _next_step(walk, course, (*done, Barrier(current.group, current.state)))


def _next_step(walk: Walk, course: Course, done: tuple[Action, ...] = ()) -> Next:
    position = walk.position + 1
    if position == course.pause_at:
        return replace(walk, paused=True), done
    if position == len(course.steps):
        ok = replace(walk, verdict="ok", finished=True)
        return ok, (*done, Over("ok"))
    current = course.steps[position]
    hosts, behind = course.groups[current.group], _behind(walk, current, course)
    there = replace(walk, position=position, awaited=len(behind))
    wait = Wait(current.group, current.state, current.deadline_s, from_t0=current.entry == "by_itself")
    if current.entry == "at_t0" and len(behind) == len(hosts):
        return replace(there, surveying=True), (*done, wait, Survey(hosts))
    if current.entry == "by_itself":
        return _advance(there, (*done, wait), course)
    at_t0 = current.entry == "at_t0"  # taken up after a release: who missed it will say that it is late
    sends = tuple(Send(host, current.state, at_t0) for host in behind)
    there = replace(there, released=there.released or at_t0, entered=there.entered | set(hosts))
    return _advance(there, (*done, wait, *sends), course)


def _release(walk: Walk, course: Course) -> Next:
    if walk.verdict or not walk.surveying:
        return walk, ()
    current = course.steps[walk.position]
    hosts = course.groups[current.group]
    released = replace(walk, surveying=False, released=True, entered=walk.entered | set(hosts))
    sends = tuple(Send(host, current.state, at_t0=True) for host in hosts)
    return _advance(released, sends, course)


def _late(walk: Walk, course: Course) -> Next:
    if walk.verdict:  # stopping took too long: the leases end what is left
        return replace(walk, finished=True), (Over(walk.verdict),)
    current = course.steps[walk.position]
    absent = _behind(walk, current, course) or list(course.groups[current.group])
    reason = (
        f"{current.group} did not reach {current.state!r} within {current.deadline_s:g} s; absent: {', '.join(absent)}"
    )
    return _lose(walk, course, "failed", absent[0], reason)


def _lose(walk: Walk, course: Course, verdict: str, culprit: str | None, reason: str) -> Next:
    untouched = set(course.hosts) - walk.entered
    lost = replace(walk, verdict=verdict, culprit=culprit, reason=reason, surveying=False, over=walk.over | untouched)
    rest = tuple(host for host in course.hosts if host not in lost.over)
    stop = StopAll(rest, f"{culprit}: {reason}" if culprit else reason)
    return _end_when_all_over(lost, (stop, Wait("all", "stopped", STOPPING_S)), course)


def _over(walk: Walk, host: str, course: Course) -> Next:
    over = replace(walk, over=walk.over | {host})
    return _end_when_all_over(over, (), course) if walk.verdict else (over, ())


def _end_when_all_over(walk: Walk, done: tuple[Action, ...], course: Course) -> Next:
    if walk.verdict and len(walk.over) == len(course.hosts):
        return replace(walk, finished=True), (*done, Over(walk.verdict))
    return walk, done


def awaited(walk: Walk, course: Course) -> list[str]:
    """The hosts that have to say something next."""
    if walk.verdict:
        return [host for host in course.hosts if host not in walk.over]
    return _behind(walk, course.steps[walk.position], course) if walk.position >= 0 else []


def in_window(walk: Walk, course: Course) -> bool:
    """The group of T0 has been released and the walk waits for what comes by itself: silence."""
    return (
        walk.released
        and not walk.verdict
        and not walk.finished
        and course.steps[walk.position].entry in ("by_itself", "at_t0")
    )
