# SPDX-License-Identifier: GPL-3.0-or-later

"""Random schedules of the model, with a simulated clock and any number of faults.

A schedule is a size, the faults that may come, and a list of numbers that decide what comes next and how long it
takes. Deadlines and leases end when the clock says so, in the middle of whatever is going on. A schedule that breaks a
promise is made shorter as long as it still breaks it.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from .coordinator import Coordinator, affected, stimuli, taken, view
from .host import Host
from .world import FAULTS, Model

STATE_S, MARGIN_S, STOPPING_S, LEASE_S = 5.0, 3.0, 30.0, 40.0
LATENCIES_S = (0.001, 0.02, 0.3, 2.0, 9.0)
VERDICT_S = 6 * (STATE_S + MARGIN_S) + STOPPING_S  # every step at its deadline, then the stopping
STEPS_LIMIT = 2000


@dataclass(frozen=True)
class Schedule:
    servers: int
    clients: int
    tokens: tuple[frozenset[str], ...]
    may_die: bool
    pace: int  # the largest latency, as an index
    choices: tuple[int, ...]


@dataclass(frozen=True)
class Failure:
    problem: str
    schedule: Schedule
    trace: tuple[str, ...]


def drawn(seed: int) -> Schedule:
    """The schedule of this seed."""
    draw = random.Random(seed)
    servers, clients = draw.randint(1, 3), draw.randint(1, 3)
    rate = draw.choice((0.0, 0.1, 0.5))
    tokens = tuple(frozenset(fault for fault in FAULTS if draw.random() < rate) for _host in range(servers + clients))
    choices = tuple(draw.getrandbits(30) for _step in range(400))
    return Schedule(servers, clients, tokens, draw.random() < 0.3, draw.randrange(len(LATENCIES_S)), choices)


class Player:
    """Plays schedules; what was worked out once is remembered. ``steps``: see :class:`.world.Model`."""

    def __init__(self, **steps: Callable[..., Any]) -> None:
        self._steps = steps
        self._models: dict[tuple[int, int], Model] = {}
        self._moves: dict[tuple[str, Host], list[tuple[str, bool, Host]]] = {}
        self.played = 0
        self.verdicts: Counter[str] = Counter()  # of all that were played

    def play(self, schedule: Schedule) -> Failure | None:
        """None when every promise was kept."""
        self.played += 1
        size = (schedule.servers, schedule.clients)
        model = self._models.get(size) or self._models.setdefault(size, Model(*size, **self._steps))
        play = _Play(model, schedule, self._moves)
        failure = play.run()
        self.verdicts[play.verdict] += 1
        return failure

    def shrink(self, failure: Failure, tries: int = 3000) -> Failure:
        """A shorter schedule that breaks the same promise."""
        left = tries
        while True:
            for schedule in _shorter(failure.schedule):
                left -= 1
                found = self.play(schedule)
                if found and found.problem == failure.problem and len(found.trace) <= len(failure.trace):
                    failure = found
                    break
                if not left:
                    return failure
            else:
                return failure


def _shorter(schedule: Schedule) -> Iterator[Schedule]:
    for i, tokens in enumerate(schedule.tokens):
        for token in sorted(tokens):
            fewer = (*schedule.tokens[:i], tokens - {token}, *schedule.tokens[i + 1 :])
            yield replace(schedule, tokens=fewer)
    if schedule.may_die:
        yield replace(schedule, may_die=False)
    if schedule.servers > 1:
        yield replace(schedule, servers=schedule.servers - 1, tokens=schedule.tokens[1:])
    if schedule.clients > 1:
        yield replace(schedule, clients=schedule.clients - 1, tokens=schedule.tokens[:-1])
    length = len(schedule.choices)
    width = length // 2
    while width:
        for begin in range(0, length, width):
            yield replace(schedule, choices=schedule.choices[:begin] + schedule.choices[begin + width :])
        width //= 2
    for i, choice in enumerate(schedule.choices):
        if choice:
            yield replace(schedule, choices=(*schedule.choices[:i], 0, *schedule.choices[i + 1 :]))


class _Play:
    def __init__(self, model: Model, schedule: Schedule, moves: dict[Any, Any]) -> None:
        self._model = model
        self._moves = moves
        self._choices = iter(schedule.choices)
        self._schedule = schedule
        self._now_s = 0.0
        self._pace = schedule.pace + 1
        self._trace: list[str] = []
        self._used = 0
        world = model.start(schedule.tokens, frozenset({"crash"}) if schedule.may_die else frozenset())
        self._coordinator, self._hosts = world.coordinator, list(world.hosts)
        self._deadline_s = STATE_S + MARGIN_S
        self._began_s = 0.0
        self._timers: dict[tuple[int, str], float] = {}

    @property
    def verdict(self) -> str:
        return self._coordinator.verdict or "none"

    def run(self) -> Failure | None:
        for _step in range(STEPS_LIMIT):
            problem = broken_now(self._coordinator, self._hosts) or self._too_long()
            if problem:
                used = self._schedule.choices[: self._used]
                return Failure(problem, replace(self._schedule, choices=used), tuple(self._trace))
            if not self._go_on():
                return None
        return Failure(f"it does not end within {STEPS_LIMIT} steps", self._schedule, tuple(self._trace))

    def _too_long(self) -> str:
        walking = self._coordinator.life == "walking" and not self._coordinator.finished
        late_s = self._now_s - self._began_s - VERDICT_S - max(LATENCIES_S)
        return f"no verdict within {VERDICT_S:g} s" if walking and late_s > 0 else ""

    def _go_on(self) -> bool:
        """One event: the next timer, or one of what can happen now."""
        plain, faults = self._candidates()
        choice = next(self._choices, 0)
        self._used += 1
        delay_s = LATENCIES_S[choice // 1000 % self._pace]
        timer = min(self._all_timers(), default=None)
        if not plain:
            if timer is None:
                return self._is_over()
            self._ring(timer)
        elif timer and timer[0] <= self._now_s + delay_s:
            self._ring(timer)
        else:
            self._now_s += delay_s
            some = faults if faults and choice % 10 == 9 else plain
            some[choice // 10 % len(some)]()
        return True

    def _is_over(self) -> bool:
        life = self._coordinator.life
        if life != "recorded" or not all(host.status.over for host in self._hosts):
            self._coordinator = self._coordinator._replace(broken="somebody waits, and no timer is running")
            return True
        return False

    def _candidates(self) -> tuple[list[Callable[[], None]], list[Callable[[], None]]]:
        plain: list[Callable[[], None]] = []
        faults: list[Callable[[], None]] = []
        own = self._coordinator
        for i, host in enumerate(self._hosts):
            for name, fault, after in self._ways(i, host):
                (faults if fault else plain).append(lambda i=i, name=name, after=after: self._move(i, name, after))
            for stimulus in stimuli(host, own.life):
                gone = stimulus == ("gone",)
                (faults if gone and host.alive else plain).append(lambda i=i, s=stimulus: self._decide(i, s))
        if own.life == "walking":
            if own.survey:
                plain.append(lambda: self._decide(None, ("surveyed",)))
            if own.finished:
                plain.append(lambda: self._decide(None, ("record",)))
            if "crash" in own.tokens:
                faults.append(lambda: self._decide(None, ("crash",)))
                if not own.finished:
                    faults.append(lambda: self._decide(None, ("abort",)))
        elif own.life == "opening" and all(host.link == "greeted" for host in self._hosts):
            plain.append(lambda: self._decide(None, ("take up",)))
        return plain, faults

    def _ways(self, i: int, host: Host) -> list[tuple[str, bool, Host]]:
        """What the host does by itself; its timers are this clock's."""
        key = (self._model.groups[i], host)
        found = self._moves.get(key)
        if found is None:
            moves = self._model.transitions(*key)
            found = self._moves[key] = [
                (each.name, each.fault, each.after) for each in moves if each.name not in TIMERS
            ]
        return found

    # The clock

    def _all_timers(self) -> Iterator[tuple[float, int, str]]:
        if self._coordinator.life == "walking" and not self._coordinator.finished:
            yield (self._deadline_s, -1, "late")
        for (i, name), at_s in self._timers.items():
            yield (at_s, i, name)

    def _ring(self, timer: tuple[float, int, str]) -> None:
        at_s, i, name = timer
        self._now_s = max(self._now_s, at_s)
        if i < 0:
            self._decide(None, ("late",))
            return
        worker = self._model.workers[self._model.groups[i]]
        del self._timers[i, name]
        if name == "lease":
            self._move(i, "lease ends", worker.lease_ends(self._hosts[i]))
        else:
            host = self._hosts[i]._replace(watched=self._hosts[i].watched - {name})
            self._move(i, f"misses the deadline of {name}", worker.misses_deadline(host))

    def _move(self, i: int, name: str, after: Host) -> None:
        self._say(f"{self._model.names[i]} {name}")
        self._put(i, after, renewed="enter" in name)

    def _put(self, i: int, after: Host, *, renewed: bool = False) -> None:
        running = {name: LEASE_S for name in ("lease",) if after.lease} | dict.fromkeys(after.watched, STATE_S)
        for name in [name for host, name in self._timers if host == i and name not in running]:
            del self._timers[i, name]
        for name, duration_s in running.items():
            if (i, name) not in self._timers or (renewed and name == "lease"):
                self._timers[i, name] = self._now_s + duration_s
        self._hosts[i] = after

    def _decide(self, at: int | None, stimulus: Any) -> None:
        before = self._coordinator
        self._say(
            f"coordinator: {stimulus[0]}" + (f" {self._model.names[at]}: {stimulus[-1]}" if at is not None else "")
        )
        after, effects = self._model.decisions.decide(before, [view(host) for host in self._hosts], at, stimulus)
        if at is not None:
            self._hosts[at] = taken(self._hosts[at], before.life, stimulus)
        for i, effect in enumerate(effects):
            self._put(i, affected(self._hosts[i], effect))
        if after.life == "walking" and before.life == "opening":
            self._began_s = self._now_s
        if (after.position, after.verdict, after.life) != (before.position, before.verdict, before.life):
            self._deadline_s = self._now_s + (STOPPING_S if after.verdict else STATE_S + MARGIN_S)
        self._coordinator = after

    def _say(self, text: str) -> None:
        self._trace.append(f"{self._now_s:9.3f} s  {text}")


TIMERS = ("lease ends", "lease ends early", "misses a deadline")


def broken_now(coordinator: Coordinator, hosts: list[Host]) -> str:
    return coordinator.broken or next((host.broken for host in hosts if host.broken), "")
