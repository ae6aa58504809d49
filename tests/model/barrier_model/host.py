# SPDX-License-Identifier: GPL-3.0-or-later

"""One host of the model: the worker with its machine, its processes and timers, the channel to it, and what the
coordinator knows of it. Everything that can happen at a host without the coordinator is a transition here.

A host is a frozen tuple; :meth:`Worker.transitions` is a function of it. What must never be is found out here and
written into ``broken``, which stays. ``tokens`` are the faults that may still befall this host, each once:

* ``crash``: the worker dies, before, between or after what it does for an event; or one of its processes fails or
  ends early
* ``loss``: the connection breaks; what was under way in either direction arrives in part, or not at all
* ``duplicate``, ``delay``: a message in either direction comes twice, or comes late, out of order; or a timer of the
  worker (the deadline of a state, the lease) passes although nothing else is wrong
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

from ansible_collections.netbench.orchestrator.plugins.module_utils._protocol import machine
from ansible_collections.netbench.orchestrator.plugins.module_utils._protocol import plan as plans
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._coordinator.course import reached_state

from . import promises

STATES = ("ready", "running", "done")
LOST = ("failed", "aborted")

# ("enter", state), ("stop",); (kind, state); ("greeting", "idle", or the state that it has reached, or None, reports)
Message = tuple[Any, ...]


def point(entry: str, rule: str) -> plans.Point:
    """A grid point of one process: servers are started at once and stopped, clients are started at T0 and end."""
    states = (("ready", "at_once", "prepared"), ("running", entry, "started"), ("done", "at_once", "stopped"))
    document = {
        "schema": 1, "run_id": "r", "suite": "s", "host": "h", "group": "g", "index": 0, "samples": [0],
        "points": [{
            "processes": [{"name": "p", "command": ["x"]}],
            "states": [{"name": n, "entry": e, "reached": {"rule": r}, "deadline_s": 5} for n, e, r in states],
            "stop": {"rule": rule},
        }],
    }  # fmt: skip
    return plans.build(document).points[0]


POINTS = {"servers": point("at_once", "signal"), "clients": point("at_t0", "exit")}


class Host(NamedTuple):
    # what the coordinator knows
    rank: int = -1
    entered: bool = False
    over: bool = False
    observed: bool = False  # a coordinator has read that it is running
    known_lost: bool = False  # a coordinator has read that it failed or was aborted
    # the channel; link: up, down, greeting (hello is answered), greeted (and read, by a coordinator that begins), gone
    link: str = "up"
    inbox: tuple[Message, ...] = ()
    outbox: tuple[Message, ...] = ()
    astray: tuple[tuple[str, Message], ...] = ()  # ("in" | "out", message), comes at any time
    greeting: Message | None = None
    # the worker
    alive: bool = True
    status: machine.Status = machine.Status()
    reports: tuple[Message, ...] = ()
    due: tuple[str, ...] = ()  # what its processes and tasks will bring about
    processes: str = "none"  # none, held, running, ended, failed, killed
    lease: bool = False
    watched: frozenset[str] = frozenset()  # states whose deadline is running
    prepared: bool = False
    started: bool = False
    told_to_stop: bool = False
    tokens: frozenset[str] = frozenset()
    disordered: bool = False  # a message came twice or late
    broken: str = ""


EVENTS: dict[str, machine.Event] = {
    "ready": machine.RuleMet("ready"),
    "running": machine.RuleMet("running"),
    "done": machine.RuleMet("done"),
    "exited": machine.Exited(),
    "failed": machine.Failed("broken"),
    "cleared": machine.Cleared(),
}


class Transition(NamedTuple):
    """``astray``: a message that may come late without limit, so that timers need not wait for it."""

    name: str
    after: Host
    astray: bool = False
    fault: bool = False


class Worker:
    """The transitions of the hosts of one group. ``step`` and ``last_word`` are the machine under test."""

    def __init__(
        self,
        group: str,
        step: Callable[..., machine.Step] = machine.step,
        last_word: Callable[[machine.Status], machine.Report | None] = machine.last_word,
    ) -> None:
        self._point = POINTS[group]
        self._step = step
        self._last_word = last_word

    def transitions(self, host: Host) -> Iterator[Transition]:
        """Everything that this host can do next, and that can befall it."""
        if host.alive:
            yield from self._at_work(host)
        else:
            yield Transition("restarts", self._restarted(host))
        if host.link in ("up", "greeting", "greeted") and "loss" in host.tokens:
            yield Transition("loses its connection", _spent(host, "loss")._replace(link="down"), fault=True)
        if host.link == "down" and host.alive:
            known = reached_state(STATES, host.status.state, host.status.phase)
            greeting = ("greeting", "idle" if host.status.sample < 0 else known, host.reports)
            yield Transition(
                "is attached again", host._replace(link="greeting", inbox=(), outbox=(greeting,), greeting=None)
            )
        yield from _strays(host)

    def misses_deadline(self, host: Host) -> Host:
        """The deadline of a watched state passes."""
        return self._fed(host, EVENTS["failed"])

    def lease_ends(self, host: Host) -> Host:
        return self._fed(host._replace(lease=False, told_to_stop=True), machine.Stop("why"))

    def _at_work(self, host: Host) -> Iterator[Transition]:
        for name, taken, event in self._events(host):
            for after, outcome in self._outcomes(taken, event):
                yield Transition(name + outcome, after, astray=name.endswith("astray"))
            if "crash" in host.tokens:
                journaled = self._journaled(taken, event)
                if journaled.status != host.status:
                    yield Transition(f"{name}, crashes in between", _crashed(journaled), fault=True)
        active = not host.status.over
        if active and host.lease and host.link not in ("up", "greeting"):
            yield Transition("lease ends", self.lease_ends(host))
        if "crash" in host.tokens:
            yield Transition("crashes", _crashed(host), fault=True)
            spent = _spent(host, "crash")
            if host.processes in ("held", "running") and host.status.phase != machine.ENDING:
                left = tuple(name for name in host.due if name != "exited")
                failed = spent._replace(processes="failed", due=_and(left, "failed"))
                yield Transition("a process fails", failed, fault=True)
                if "exited" not in host.due:
                    ended = spent._replace(processes="ended", due=_and(host.due, "exited"))
                    yield Transition("its processes end early", ended, fault=True)
        if "delay" in host.tokens and active and host.status.phase != machine.ENDING:
            spent = _spent(host, "delay")
            if host.watched:
                yield Transition("misses a deadline", self.misses_deadline(spent), fault=True)
            if host.lease:
                yield Transition("lease ends early", self.lease_ends(spent), fault=True)

    def _events(self, host: Host) -> Iterator[tuple[str, Host, machine.Event]]:
        """What the machine may be fed with next: (name, the host without it, event)."""
        if host.inbox:
            message = host.inbox[0]
            yield f"is told {' '.join(message)}", _told(host._replace(inbox=host.inbox[1:]), message), _event(message)
        for index, (direction, message) in enumerate(host.astray):
            if direction == "in":
                taken = host._replace(astray=host.astray[:index] + host.astray[index + 1 :])
                yield f"is told {' '.join(message)}, astray", _told(taken, message), _event(message)
        for name in host.due:
            if name == "done" and "failed" in host.due:
                continue  # whoever finishes has seen every process's end before
            left = host._replace(due=tuple(other for other in host.due if other != name))
            if name == "exited":
                left = left._replace(processes="ended")
            yield name, left, EVENTS[name]

    # The machine, and what surrounds it

    def _journaled(self, host: Host, event: machine.Event) -> Host:
        """The status is in the journal, and nothing else has been done."""
        status, _actions = self._step(host.status, event, self._point)
        return host._replace(status=replace(status, reason="why" if status.reason else None))

    def _outcomes(self, host: Host, event: machine.Event) -> Iterator[tuple[Host, str]]:
        """An instant is kept or too late, and a worker knows at once which."""
        after = self._fed(host, event)
        if "arm" not in after.due:
            yield after, ""
            return
        after = after._replace(due=tuple(name for name in after.due if name != "arm"))
        yield self._fed(_begun(after, "exited"), machine.Armed()), ""
        yield self._fed(after, machine.TooLate()), ", too late"

    def _fed(self, host: Host, event: machine.Event) -> Host:
        _status, actions = self._step(host.status, event, self._point)
        host = self._journaled(host, event)
        if isinstance(event, machine.RuleMet):
            host = host._replace(watched=host.watched - {event.state})
        for action in actions:
            host = self._performed(host, action)
        return _checked(host)

    def _performed(self, host: Host, action: machine.Action) -> Host:
        if isinstance(action, machine.Report):
            return _reported(host, action)
        if isinstance(action, machine.Prepare):
            twice = promises.PREPARED_TWICE if host.prepared else ""
            return _break(host, twice)._replace(prepared=True, processes="held", due=_and(host.due, "ready"))
        if isinstance(action, machine.Arm):
            return host._replace(due=_and(host.due, "arm"))
        if isinstance(action, machine.Launch):
            return _begun(host, "running")
        if isinstance(action, machine.Watch):
            return host._replace(watched=host.watched | {action.state})
        if isinstance(action, machine.Finish):
            left = tuple(name for name in host.due if name == "failed")
            return host._replace(due=_and(left, "exited" if host.processes in ("held", "running") else "done"))
        if host.processes in ("held", "running"):
            host = host._replace(processes="killed")
        return host._replace(due=("cleared",), watched=frozenset())

    def _restarted(self, host: Host) -> Host:
        host = host._replace(alive=True)
        if host.status.over:
            last_word = self._last_word(host.status)
            return _reported(host, last_word) if last_word else host
        if host.status.phase == machine.ENDING:
            return host._replace(due=("cleared",))
        return self._fed(host, machine.Failed("why"))


def _event(message: Message) -> machine.Event:
    if message[0] == "stop":
        return machine.Stop("why")
    return machine.Enter(0, 1, message[1], 1 if message[1] == "running" else None)


def _told(host: Host, message: Message) -> Host:
    """Every enter renews the lease; a stop is remembered, because nothing may start after it."""
    if message[0] == "enter":
        return host._replace(lease=True)
    return host._replace(told_to_stop=True) if not host.status.over else host


def _begun(host: Host, due: str) -> Host:
    if host.started:
        host = _break(host, promises.STARTED_TWICE)
    if host.told_to_stop or host.status.state in LOST:
        host = _break(host, promises.STARTED_AFTER_ABORT)
    failed = host.processes == "failed"
    return host._replace(started=True, processes="failed" if failed else "running", due=_and(host.due, due))


def _reported(host: Host, action: machine.Report) -> Host:
    message = (action.kind, action.state)
    if action.kind != "refused" and message not in host.reports:
        host = host._replace(reports=(*host.reports, message))
    if message == ("reached", "done") and host.processes != "ended":
        host = _break(host, promises.SAID_DONE)
    told = host.link in ("up", "greeting", "greeted")
    return host._replace(outbox=(*host.outbox, message)) if told else host


def _checked(host: Host) -> Host:
    status = host.status
    if status.over:  # no timer means anything any more
        host = host._replace(watched=frozenset(), lease=False)
    if status.state == "done" and status.phase == machine.REACHED and (status.reason or host.processes != "ended"):
        return _break(host, promises.DONE_OF_A_FAILURE)
    if status.over or status.phase == machine.ENDING or "arm" in host.due:
        return host
    awaited = "done" if status.phase == machine.ARMED else status.state
    if awaited in host.watched or (host.lease and status.phase == machine.REACHED):
        return host
    return _break(host, promises.WORKER_WAITS_FOREVER)


def _crashed(host: Host) -> Host:
    processes = "failed" if host.processes in ("held", "running") else host.processes
    return _spent(host, "crash")._replace(
        alive=False,
        link="gone" if host.link == "gone" else "down",
        inbox=(),
        due=(),
        watched=frozenset(),
        lease=False,
        processes=processes,
    )


def _strays(host: Host) -> Iterator[Transition]:
    """A message leaves the order of the channel, or a copy of it does."""
    for direction, queue in (("in", host.inbox), ("out", host.outbox)):
        if not queue or queue[0][0] == "greeting" or (direction == "in" and not host.alive):
            continue
        message, rest = queue[0], queue[1:]
        astray = tuple(sorted((*host.astray, (direction, message))))
        if "duplicate" in host.tokens:
            copied = _spent(host, "duplicate")._replace(astray=astray, disordered=True)
            yield Transition(f"{direction}: {' '.join(message)} is duplicated", copied, fault=True)
        if "delay" in host.tokens:
            late = _spent(host, "delay")._replace(astray=astray, disordered=True)
            late = late._replace(inbox=rest) if direction == "in" else late._replace(outbox=rest)
            yield Transition(f"{direction}: {' '.join(message)} is delayed", late, fault=True)


def _spent(host: Host, token: str) -> Host:
    return host._replace(tokens=host.tokens - {token})


def _break(host: Host, what: str) -> Host:
    return host._replace(broken=host.broken or what)


def _and(due: tuple[str, ...], name: str) -> tuple[str, ...]:
    return tuple(sorted({*due, name}))
