# SPDX-License-Identifier: GPL-3.0-or-later

"""Coordinator and workers, both pure, with every order in which messages and events can come.

The global state is a tuple of frozen things, so it can be searched exhaustively (``explore``) or walked at random
(``wander``). Each worker has one queue in each direction, as a channel has. ``faults`` says how often each thing may
still go wrong.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any, NamedTuple

from ansible_collections.netbench.orchestrator.plugins.module_utils._protocol import machine
from ansible_collections.netbench.orchestrator.plugins.module_utils._protocol import plan as plans
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._coordinator import walk as walking

STATES = ("ready", "running", "done")


def point(entry: str, rule: str) -> plans.Point:
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


def course(servers: int, clients: int) -> walking.Course:
    steps = (
        walking.Step("servers", "ready", "at_once", 5),
        walking.Step("clients", "ready", "at_once", 5),
        walking.Step("servers", "running", "at_once", 5),
        walking.Step("clients", "running", "at_t0", 5),
        walking.Step("clients", "done", "by_itself", 5),
        walking.Step("servers", "done", "at_once", 5),
    )
    groups = {
        "servers": tuple(f"s{i}" for i in range(servers)),
        "clients": tuple(f"c{i}" for i in range(clients)),
    }
    return walking.Course(steps, groups, {"servers": STATES, "clients": STATES})


class World(NamedTuple):  # a tuple, because half a million of them are made and hashed
    walk: walking.Walk
    workers: tuple[machine.Status, ...]
    to_worker: tuple[tuple[Any, ...], ...]
    to_coordinator: tuple[tuple[Any, ...], ...]
    pending: tuple[frozenset[Any], ...]  # per worker: what its processes and timers may do next
    survey: bool = False
    faults: tuple[tuple[str, int], ...] = ()
    alive: tuple[bool, ...] = ()
    released: frozenset[int] = frozenset()  # workers whose processes were started
    verdicts: int = 0


class Simulation:
    def __init__(self, servers: int, clients: int, **faults: int) -> None:
        self.course = course(servers, clients)
        self.hosts = self.course.hosts
        self.faults = faults

    def start(self) -> World:
        n = len(self.hosts)
        world = World(
            walking.Walk(), (machine.Status(),) * n, ((),) * n, ((),) * n, (frozenset(),) * n,
            faults=tuple(sorted(self.faults.items())), alive=(True,) * n,
        )  # fmt: skip
        return self._walk(world, walking.Begin())

    # Transitions

    def successors(self, world: World) -> Iterator[tuple[str, World]]:
        for i, host in enumerate(self.hosts):
            if world.to_worker[i] and world.alive[i]:
                message, *rest = world.to_worker[i]
                taken = world._replace(to_worker=_set(world.to_worker, i, tuple(rest)))
                yield f"{host} <- {message}", self._worker(taken, i, message)
                if self._left(world, "duplicate"):
                    yield f"{host} <- {message} twice", self._worker(self._spend(world, "duplicate"), i, message)
            if world.to_coordinator[i]:
                event, *rest = world.to_coordinator[i]
                taken = world._replace(to_coordinator=_set(world.to_coordinator, i, tuple(rest)))
                yield f"{host} -> {event}", self._walk(taken, event)
            if world.alive[i]:
                for event in sorted(world.pending[i], key=str):
                    done = world._replace(pending=_set(world.pending, i, world.pending[i] - {event}))
                    yield f"{host}: {event}", self._worker(done, i, event)
                if self._left(world, "failure") and not world.workers[i].over:
                    yield f"{host} fails", self._worker(self._spend(world, "failure"), i, machine.Failed("broken"))
                if self._left(world, "crash"):
                    yield f"{host} crashes", self._crash(self._spend(world, "crash"), i)
        if world.survey:
            yield "surveyed", self._walk(world._replace(survey=False), walking.Surveyed())
        if self._left(world, "deadline") and not world.walk.finished:
            yield "deadline", self._walk(self._spend(world, "deadline"), walking.Late())
        if self._left(world, "abort") and not world.walk.finished:
            yield "abort", self._walk(self._spend(world, "abort"), walking.Abort("Ctrl-C"))

    def _walk(self, world: World, event: walking.Event) -> World:
        walk, actions = walking.step(world.walk, event, self.course)
        world = world._replace(walk=walk)
        for action in actions:
            if isinstance(action, walking.Send):
                at_ns = 1 if action.at_t0 else None
                world = self._post(world, action.host, machine.Enter(0, 1, action.state, at_ns))
            elif isinstance(action, walking.StopAll):
                for host in action.hosts:
                    world = self._post(world, host, machine.Stop(action.reason))
            elif isinstance(action, walking.Survey):
                world = world._replace(survey=True)
            elif isinstance(action, walking.Over):
                world = world._replace(verdicts=world.verdicts + 1)
        return world

    def _post(self, world: World, host: str, message: Any) -> World:
        i = self.hosts.index(host)
        return world._replace(to_worker=_set(world.to_worker, i, (*world.to_worker[i], message)))

    def _worker(self, world: World, i: int, event: machine.Event) -> World:
        host = self.hosts[i]
        mine = POINTS[self.course.group_of(host)]
        status, actions = machine.step(world.workers[i], event, mine)
        world = world._replace(workers=_set(world.workers, i, status))
        pending = world.pending[i]
        reports = []
        for action in actions:
            if isinstance(action, machine.Report):
                reports.append(walking.Reported(host, action.kind, action.state, action.reason))
            elif isinstance(action, machine.Prepare):
                pending = pending | {machine.RuleMet("ready")}
            elif isinstance(action, machine.Arm):
                pending = pending | {machine.Armed(), machine.TooLate()}
            elif isinstance(action, machine.Launch):
                pending = pending | {machine.RuleMet("running")}
                world = world._replace(released=world.released | {i})
            elif isinstance(action, machine.Finish):
                pending = frozenset({machine.RuleMet("done")})
            elif isinstance(action, machine.Clear):
                pending = frozenset({machine.Cleared()})
        if isinstance(event, (machine.Armed, machine.TooLate)):
            pending = pending - {machine.Armed(), machine.TooLate()}
        if isinstance(event, machine.Armed) and status.phase == machine.ARMED:
            pending = pending | {machine.Exited()}
            world = world._replace(released=world.released | {i})
        world = world._replace(pending=_set(world.pending, i, pending))
        return world._replace(to_coordinator=_set(world.to_coordinator, i, (*world.to_coordinator[i], *reports)))

    def _crash(self, world: World, i: int) -> World:
        """The worker dies and stays away; the coordinator learns it after what was sent before."""
        gone = walking.Gone(self.hosts[i], "crashed")
        return world._replace(
            alive=_set(world.alive, i, False),
            pending=_set(world.pending, i, frozenset()),
            to_worker=_set(world.to_worker, i, ()),
            to_coordinator=_set(world.to_coordinator, i, (*world.to_coordinator[i], gone)),
        )

    def _left(self, world: World, fault: str) -> bool:
        return dict(world.faults).get(fault, 0) > 0

    def _spend(self, world: World, fault: str) -> World:
        left = dict(world.faults)
        left[fault] -= 1
        return world._replace(faults=tuple(sorted(left.items())))

    # Search

    def explore(self, check: Any, limit: int = 2_000_000) -> int:
        """Visits every reachable world, calls ``check(world, is_end)``; returns how many there are."""
        first = self.start()
        seen: dict[World, tuple[World | None, str]] = {first: (None, "start")}
        queue = deque([first])
        while queue:
            world = queue.popleft()
            ends = True
            for name, after in self.successors(world):
                ends = False
                if after not in seen:
                    seen[after] = (world, name)
                    queue.append(after)
            try:
                check(world, ends)
            except AssertionError as problem:
                raise AssertionError(f"{problem}\n" + "\n".join(_trace(seen, world))) from problem
            assert len(seen) < limit, "the state space is larger than expected"
        return len(seen)


def _set(values: tuple[Any, ...], i: int, value: Any) -> tuple[Any, ...]:
    return (*values[:i], value, *values[i + 1 :])


def _trace(seen: dict[World, tuple[World | None, str]], world: World | None) -> list[str]:
    lines: list[str] = []
    while world is not None:
        world, name = seen[world]
        lines.append(name)
    return lines[::-1]
