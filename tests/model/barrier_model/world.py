# SPDX-License-Identifier: GPL-3.0-or-later

"""Coordinator and hosts together: what can happen next, by name.

Time passes when nothing else can happen: a deadline of the coordinator ends when nobody has anything to do and
nothing is under way, except a message that is astray. A second coordinator begins as soon as the first has died; it
may take as long as it wants to reach every host, and leases may end meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations, product
from typing import Any, NamedTuple

from ansible_collections.netbench.orchestrator.plugins.module_utils._protocol import machine
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._coordinator import walk as walking

from .coordinator import Coordinator, Decisions, Stimulus, affected, course, stimuli, taken, view
from .host import Host, Transition, Worker

FAULTS = ("crash", "loss", "duplicate", "delay")
OWN_FAULTS = ("crash", "delay")  # of the coordinator


class World(NamedTuple):
    coordinator: Coordinator
    hosts: tuple[Host, ...]


class Situation(NamedTuple):
    """What the rules for the coordinator's own events look at."""

    quiet: bool  # no host has anything to do, nothing is under way but what is astray
    astray: bool
    disordered: bool  # a message came twice or late
    greeted: bool  # every host
    still: bool  # no host can do anything at all
    settled: bool  # no host has anything of the sample left


class Model:
    """``servers`` × ``clients``, with the machines under test."""

    def __init__(
        self,
        servers: int,
        clients: int,
        *,
        worker_step: Callable[..., machine.Step] = machine.step,
        last_word: Callable[[machine.Status], machine.Report | None] = machine.last_word,
        walk_step: Callable[..., walking.Next] = walking.step,
    ) -> None:
        self.groups = ("servers",) * servers + ("clients",) * clients
        self.course = course(servers, clients)
        self.names = self.course.hosts
        self.decisions = Decisions(self.course, walk_step)
        self.workers = {group: Worker(group, worker_step, last_word) for group in self.course.groups}

    def start(self, tokens: tuple[frozenset[str], ...], own: frozenset[str] = frozenset()) -> World:
        """``tokens``: each host's faults; ``own``: the coordinator's."""
        hosts = tuple(Host(tokens=each) for each in tokens)
        return self._decided(World(Coordinator(tokens=own, life="opening"), hosts), None, ("take up",))

    def transitions(self, group: str, host: Host) -> list[Transition]:
        return list(self.workers[group].transitions(host))

    def successors(self, world: World) -> Iterator[tuple[str, World]]:
        coordinator, hosts = world
        for i, (name, group, host) in enumerate(zip(self.names, self.groups, hosts, strict=True)):
            for each in self.transitions(group, host):
                yield f"{name} {each.name}", World(coordinator, (*hosts[:i], each.after, *hosts[i + 1 :]))
            for stimulus in stimuli(host, coordinator.life):
                yield f"coordinator {_text(name, stimulus)}", self._decided(world, i, stimulus)
        for stimulus in own_stimuli(coordinator, self.situation(world)):
            yield f"coordinator: {stimulus[0]}", self._decided(world, None, stimulus)

    def situation(self, world: World) -> Situation:
        moves = [self.transitions(group, host) for group, host in zip(self.groups, world.hosts, strict=True)]
        heard = [stimuli(host, world.coordinator.life) for host in world.hosts]
        return Situation(
            quiet=not any(busy(*each) for each in zip(moves, heard, strict=True)),
            astray=any(host.astray for host in world.hosts),
            disordered=any(host.disordered for host in world.hosts),
            greeted=all(host.link == "greeted" for host in world.hosts),
            still=not any(moves),
            settled=all(host.status.over for host in world.hosts),
        )

    def _decided(self, world: World, at: int | None, stimulus: Stimulus) -> World:
        views = [view(host) for host in world.hosts]
        after, effects = self.decisions.decide(world.coordinator, views, at, stimulus)
        life = world.coordinator.life
        hosts = [taken(host, life, stimulus) if i == at else host for i, host in enumerate(world.hosts)]
        return World(after, tuple(affected(host, effect) for host, effect in zip(hosts, effects, strict=True)))


def placements(model: Model, faults: tuple[str, ...]) -> list[World]:
    """Every way in which each of these faults may be in store for one host; a crash, a delay also for the coordinator.

    Hosts of a group are interchangeable: of placements that differ by their order only, one is given.
    """
    servers = model.groups.count("servers")
    found: dict[Any, World] = {}
    for own in _subsets([fault for fault in faults if fault in OWN_FAULTS]):
        placed = [fault for fault in faults if fault not in own]
        for places in product(range(len(model.groups)), repeat=len(placed)):
            tokens = [
                frozenset(fault for fault, place in zip(placed, places, strict=True) if place == i)
                for i in range(len(model.groups))
            ]
            alike = [sorted(sorted(each) for each in some) for some in (tokens[:servers], tokens[servers:])]
            found.setdefault(str((sorted(own), alike)), model.start(tuple(tokens), own))
    return list(found.values())


def _subsets(values: list[str]) -> list[frozenset[str]]:
    return [frozenset(some) for size in range(len(values) + 1) for some in combinations(values, size)]


def busy(moves: list[Transition], heard: list[Stimulus]) -> bool:
    return any(not (each.fault or each.astray) for each in moves) or any(each[0] != "astray" for each in heard)


def own_stimuli(coordinator: Coordinator, now: Situation) -> list[Stimulus]:
    """What the coordinator can do without a host."""
    found: list[Stimulus] = []
    if coordinator.life == "walking":
        quiet = now.quiet and not coordinator.survey
        may_die = "crash" in coordinator.tokens
        if coordinator.survey:
            found.append(("surveyed",))
        if not coordinator.finished:
            if quiet or (now.astray and not coordinator.verdict):
                found.append(("late",) if now.disordered else ("late", "in vain"))
            if "delay" in coordinator.tokens:
                found.append(("late", "early"))
            if may_die:
                found.append(("abort",))
        elif quiet or may_die:
            found.append(("record",))
        if may_die:
            found.append(("crash",))
    elif coordinator.life == "opening":
        if now.greeted:
            found.append(("take up",))
    elif now.still and not now.settled:
        found.append(("silent",))
    return found


def broken(world: World) -> str:
    """Which promise this world breaks."""
    return world.coordinator.broken or next((host.broken for host in world.hosts if host.broken), "")


def _text(name: str, stimulus: Stimulus) -> str:
    if stimulus == ("gone",):
        return f"gives {name} up"
    message: Any = stimulus[-1]
    if message[0] == "greeting":
        return f"hears {name}: {message[1]}, {', '.join(' '.join(each) for each in message[2]) or 'nothing'}"
    return f"hears {name}: {' '.join(message)}{', astray' if stimulus[0] == 'astray' else ''}"
