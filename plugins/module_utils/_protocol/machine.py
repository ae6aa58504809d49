# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The worker's state machine: pure, without I/O or clock, so that it can be checked exhaustively. Private to this
collection.

::

             enter ready        enter running (at T0: armed)          enter done, or the processes end by themselves
    idle ──────────────▶ ready ──────────────────────────▶ running ─ … ──────────────▶ done
                           │                                  │                          ▲
                           └───────────┬──────────────────────┘                          │ only when every process
                  failure, deadline    │    stop, lease                                  │ ended well, is gone, sealed
                                       ▼
                             failed / aborted ──(gone and sealed)──▶ ended

:func:`step` takes a status and an event and returns the next status and what is to be done about it, in order.
Whoever executes the actions journals the status first. An event that does not fit is answered, never ignored and
never obeyed: a repeated request gets its report again, an outdated one is refused.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Union

from .plan import Point

# Phases of the state a worker is in.
ENTERING = "entering"  # the state was entered, its rule is not fulfilled yet
ARMED = "armed"  # the processes wait for T0, or run since then; nothing is said until they end
REACHED = "reached"
ENDING = "ending"  # failed or aborted: processes are being ended
ENDED = "ended"  # everything is gone and sealed


@dataclass(frozen=True)
class Status:
    """Where a worker is. ``state`` is one of the point's, or idle, failed, aborted."""

    sample: int = -1
    attempt: int = 0
    state: str = "idle"
    phase: str = ENDED
    reason: str | None = None
    exited: bool = False  # every process of the sample has ended, each as it should

    @property
    def over(self) -> bool:
        """Nothing of this sample is left to do."""
        return self.phase == ENDED or (self.state == "done" and self.phase == REACHED)

    @property
    def key(self) -> tuple[int, int]:
        return (self.sample, self.attempt)


# Events


@dataclass(frozen=True)
class Enter:
    """The coordinator wants this state entered; ``at_ns`` for a state that is entered at T0."""

    sample: int
    attempt: int
    state: str
    at_ns: int | None = None


@dataclass(frozen=True)
class Stop:
    """The coordinator, a person, or a lease wants the sample ended."""

    reason: str


@dataclass(frozen=True)
class RuleMet:
    """The rule of ``state`` is fulfilled. For ``done``: every process is gone, the outputs are sealed."""

    state: str


@dataclass(frozen=True)
class Armed:
    """Every process has its start instant, which lies far enough ahead."""


@dataclass(frozen=True)
class TooLate:
    """The start instant is past or too near; nothing was released."""


@dataclass(frozen=True)
class Exited:
    """Every process of the sample has ended as it should."""


@dataclass(frozen=True)
class Failed:
    """Something of the sample went wrong: an exit status, a deadline, a port that was taken."""

    reason: str


@dataclass(frozen=True)
class Cleared:
    """After failed or aborted: every process is gone, what there is has been sealed."""


Event = Union[Enter, Stop, RuleMet, Armed, TooLate, Exited, Failed, Cleared]


# Actions


@dataclass(frozen=True)
class Prepare:
    """Place the files, run the prepare commands, check binaries and ports, hold the processes at their gates."""


@dataclass(frozen=True)
class Arm:
    """Give each gate its start instant, or find that it is too late."""

    at_ns: int


@dataclass(frozen=True)
class Launch:
    """Release the gates now."""


@dataclass(frozen=True)
class Watch:
    """Observe the rule of this state until it is met or its deadline passes.

    For ``done`` of processes that end by themselves this begins with their start: the deadline counts from T0 or the
    launch.
    """

    state: str


@dataclass(frozen=True)
class Finish:
    """End processes that still run (by the stop rule), verify that all are gone, undo the preparation, seal."""


@dataclass(frozen=True)
class Clear:
    """As Finish, but without grace for anybody: the sample is lost."""


@dataclass(frozen=True)
class Report:
    """Tell the coordinator. ``reason`` only for what went wrong."""

    kind: str
    sample: int
    attempt: int
    state: str
    reason: str | None = None


Action = Union[Prepare, Arm, Launch, Watch, Finish, Clear, Report]
Step = tuple[Status, tuple[Action, ...]]


def step(status: Status, event: Event, point: Point | None) -> Step:
    """One transition.

    ``point`` is the one of ``event.sample`` for Enter (None: no such sample), else of the current sample.
    """
    if isinstance(event, Enter):
        return _enter(status, event, point)
    if status.over or point is None:
        return status, ()  # a late event of a sample that has ended
    if isinstance(event, Cleared):
        if status.phase != ENDING:
            return status, ()
        ended = replace(status, phase=ENDED)
        return ended, (_report("ended", ended),)
    if status.phase == ENDING:
        return status, ()  # the verdict stands, what comes now changes nothing
    if isinstance(event, Stop):
        return _lose(status, "aborted", event.reason)
    if isinstance(event, Failed):
        return _lose(status, "failed", event.reason)
    if isinstance(event, RuleMet):
        return _rule_met(status, event, point)
    if isinstance(event, (Armed, TooLate)) and (status.state, status.phase) != (point.launch.name, ENTERING):
        return status, ()  # nothing is being armed (any more)
    if isinstance(event, Armed):
        armed = replace(status, phase=ARMED)
        return armed, (Watch("done"), _report("armed", armed))
    if isinstance(event, TooLate):
        back = replace(status, state="ready", phase=REACHED)
        return back, (_report("late", status),)
    return _exited(status, point)


def last_word(status: Status) -> Report | None:
    """What ends the sample that is over; a worker that died before it could say so says it when it is back."""
    if status.sample < 0 or not status.over:
        return None
    return _report("reached" if status.state == "done" else "ended", status)


def _enter(status: Status, event: Enter, point: Point | None) -> Step:
    key = (event.sample, event.attempt)
    if point is None or event.state not in point.names:
        return status, (_refuse(event, "there is no such sample or state in the plan"),)
    order = _in_turn if point.retries == "at_once" else _in_rounds
    if order(key) < order(status.key) or (key == status.key and status.phase == ENDED):
        return status, (_refuse(event, "this sample has ended here, it is not started twice"),)
    if key != status.key:
        if event.state != point.names[0]:
            return status, (_refuse(event, f"a sample begins with {point.names[0]!r}"),)
        if not status.over:
            return status, (_refuse(event, f"sample {status.sample} is still {status.state}"),)
        return Status(*key, state=event.state, phase=ENTERING), (Prepare(), Watch(event.state))
    return _advance(status, event, point)


def _in_turn(key: tuple[int, int]) -> tuple[int, int]:
    return key


def _in_rounds(key: tuple[int, int]) -> tuple[int, int]:
    sample, attempt = key
    return attempt, sample


def _advance(status: Status, event: Enter, point: Point) -> Step:
    if status.phase == ENDING:
        return status, (_report(status.state, status),)
    here, there = point.names.index(status.state), point.names.index(event.state)
    if there <= here:  # asked again: say again what is so, and nothing while it is under way
        again = {REACHED: "reached", ARMED: "armed"}.get(status.phase) if there == here else "reached"
        return status, (_report(again, status, event.state),) if again else ()
    by_itself = status.phase == ARMED and there == here + 1  # an armed state is reached without a word
    if there != here + 1 or not (status.phase == REACHED or by_itself):
        return status, (_refuse(event, f"{event.state!r} does not follow {status.state!r} ({status.phase})"),)
    entered = replace(status, state=event.state, phase=ENTERING)
    if event.state == "done":
        if status.exited or not point.stop.by_itself:
            return entered, (Watch("done"), Finish())
        return entered, ()  # the processes end by themselves: Exited finishes
    if event.state != point.launch.name:
        return entered, (Watch(event.state),)
    if point.launch.entry != "at_t0":
        return entered, (Launch(), Watch(event.state))
    if event.at_ns is None:
        return status, (_refuse(event, f"{event.state!r} is entered at an instant, and none was given"),)
    return entered, (Arm(event.at_ns),)


def _rule_met(status: Status, event: RuleMet, point: Point) -> Step:
    if event.state != status.state or status.phase not in (ENTERING, ARMED):
        return status, ()
    if status.phase == ARMED:  # started, as planned: known, but not said before the end
        return status, ()
    reached = replace(status, phase=REACHED)
    report = _report("reached", reached)
    last_before_done = reached.state == point.names[-2]
    return reached, (Watch("done"), report) if last_before_done and point.stop.by_itself else (report,)


def _exited(status: Status, point: Point) -> Step:
    if status.state == "done":
        if status.exited:
            return status, ()
        return replace(status, exited=True), (Finish(),)
    launched = point.names.index(status.state) >= 1
    last_before_done = status.state == point.names[-2] and status.phase in (REACHED, ARMED)
    if not launched or not point.stop.by_itself or not last_before_done:
        return _lose(status, "failed", f"the processes ended before they were asked to, in state {status.state!r}")
    return replace(status, state="done", phase=ENTERING, exited=True), (Finish(),)


def _lose(status: Status, verdict: str, reason: str) -> Step:
    lost = replace(status, state=verdict, phase=ENDING, reason=reason)
    return lost, (_report(verdict, lost, status.state), Clear())


def _report(kind: str, status: Status, state: str | None = None) -> Report:
    return Report(kind, status.sample, status.attempt, state or status.state, status.reason)


def _refuse(event: Enter, reason: str) -> Report:
    return Report("refused", event.sample, event.attempt, event.state, reason)
