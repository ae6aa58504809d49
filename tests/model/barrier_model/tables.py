# SPDX-License-Identifier: GPL-3.0-or-later

"""The model's transitions as tables of integers, filled in when they are first needed.

A host, and a coordinator, is interned to a number once. What a host can do, what the coordinator decides on a
stimulus (it looks at :class:`View` of each host only), and what a decision does to a host are remembered, so that the
machines themselves run some hundred thousand times for any number of worlds.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .coordinator import GLOBAL, Coordinator, Effect, affected, stimuli, taken, view
from .world import Model, busy

Numbers = NDArray[Any]
LIVES = ("walking", "opening", "recorded")


class Interned:
    """Values by number, and numbers by value."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self._numbers: dict[Hashable, int] = {}

    def number(self, value: Hashable) -> int:
        found = self._numbers.get(value)
        if found is None:
            found = self._numbers[value] = len(self.values)
            self.values.append(value)
        return found

    def __len__(self) -> int:
        return len(self.values)


class Lists:
    """A growing table of lists of numbers, laid end to end."""

    def __init__(self) -> None:
        self.begin = np.zeros(1024, np.int64)
        self.count = np.full(1024, -1, np.int64)
        self.flat = np.zeros(1024, np.int32)
        self._used = 0

    def put(self, number: int, values: list[int]) -> None:
        self.begin, self.count = _room(self.begin, number + 1, 0), _room(self.count, number + 1, -1)
        self.flat = _room(self.flat, self._used + len(values), 0)
        self.begin[number], self.count[number] = self._used, len(values)
        self.flat[self._used : self._used + len(values)] = values
        self._used += len(values)


def _room(table: Numbers, size: int, empty: int) -> Numbers:
    if size <= len(table):
        return table
    return np.concatenate([table, np.full(max(size, 2 * len(table)) - len(table), empty, table.dtype)])


class Tables:
    def __init__(self, model: Model) -> None:
        self.model = model
        self.hosts, self.views, self.stimuli, self.effects = Interned(), Interned(), Interned(), Interned()
        self.coordinators = Interned()
        for stimulus in GLOBAL:
            self.stimuli.number(stimulus)
        self.moves = Lists()  # host -> hosts
        self.heard = {life: Lists() for life in LIVES}  # host -> stimuli
        self.facts = {name: np.zeros(1024, np.int32) for name in FACTS}
        self.traits = {name: np.zeros(1024, np.int32) for name in TRAITS}
        self._affected = Pairs()
        self._taken = {life: Pairs() for life in LIVES}
        self._decided: dict[int, int] = {}
        self.decisions = np.zeros((1024, len(model.groups) + 1), np.int32)  # coordinator, then each host's effect
        self.decided = 0
        self._known_hosts = self._known_coordinators = 0

    # Hosts and coordinators

    def learn(self) -> None:
        """Fills in what follows from hosts and coordinators that are new."""
        while self._known_hosts < len(self.hosts):
            self._learn_host(self._known_hosts)
            self._known_hosts += 1
        while self._known_coordinators < len(self.coordinators):
            number = self._known_coordinators
            for name, trait in TRAITS.items():
                self.traits[name] = _room(self.traits[name], number + 1, 0)
                self.traits[name][number] = trait(self.coordinators.values[number])
            self._known_coordinators += 1

    def _learn_host(self, number: int) -> None:
        group, host = self.hosts.values[number]
        moves = self.model.transitions(group, host)
        # hosts that are new here are learned when they are met
        self.moves.put(number, sorted({self.hosts.number((group, each.after)) for each in moves}))
        heard = {life: stimuli(host, life) for life in LIVES}
        for life, lists in self.heard.items():
            lists.put(number, [self.stimuli.number(stimulus) for stimulus in heard[life]])
        known = {
            "view": self.views.number(view(host)),
            "broken": bool(host.broken),
            "busy walking": busy(moves, heard["walking"]),
            "busy recorded": busy(moves, []),
            "moves": len(moves),
            "astray": bool(host.astray),
            "disordered": host.disordered,
            "greeted": host.link == "greeted",
            "settled": host.status.over,
            "told": host.alive and bool(host.inbox) and host.link == "up" and not host.tokens,
        }
        for name in FACTS:
            self.facts[name] = _room(self.facts[name], number + 1, 0)
            self.facts[name][number] = known[name]

    # Decisions

    def decide(self, keys: Numbers, columns: Numbers) -> Numbers:
        """``keys``: one number for each situation, ``columns``: what they stand for: coordinator, each host's view,
        the host that is heard (-1: none), stimulus. Returns numbers of decisions.
        """
        found, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
        numbers = np.empty(len(found), np.int32)
        for i, (key, row) in enumerate(zip(found.tolist(), first.tolist(), strict=True)):
            number = self._decided.get(key)
            if number is None:
                number = self._decided[key] = self._decide(*columns[row].tolist())
            numbers[i] = number
        return numbers[inverse]

    def _decide(self, coordinator: int, *rest: int) -> int:
        *seen, at, stimulus = rest
        after, effects = self.model.decisions.decide(
            self.coordinators.values[coordinator],
            [self.views.values[each] for each in seen],
            None if at < 0 else at,
            self.stimuli.values[stimulus],
        )
        if self.decided == len(self.decisions):
            self.decisions = np.concatenate([self.decisions, np.zeros_like(self.decisions)])
        self.decisions[self.decided, 0] = self.coordinators.number(after)
        self.decisions[self.decided, 1:] = [self.effects.number(each) for each in effects]
        self.decided += 1
        return self.decided - 1

    def affect(self, hosts: Numbers, effects: Numbers) -> Numbers:
        """Each host after its effect."""
        return self._affected.look_up(hosts, effects, self._affect)

    def take(self, life: str, hosts: Numbers, stimuli: Numbers) -> Numbers:
        """Each host after its stimulus has reached the coordinator."""
        return self._taken[life].look_up(hosts, stimuli, lambda host, stimulus: self._take(life, host, stimulus))

    def _affect(self, host: int, effect: int) -> int:
        group, value = self.hosts.values[host]
        known: Effect = self.effects.values[effect]
        return self.hosts.number((group, affected(value, known)))

    def _take(self, life: str, host: int, stimulus: int) -> int:
        group, value = self.hosts.values[host]
        return self.hosts.number((group, taken(value, life, self.stimuli.values[stimulus])))


class Pairs:
    """A function of two numbers, remembered."""

    def __init__(self) -> None:
        self._keys = np.zeros(0, np.int64)
        self._values = np.zeros(0, np.int32)

    def look_up(self, ones: Numbers, others: Numbers, function: Callable[[int, int], int]) -> Numbers:
        keys = ones.astype(np.int64) * (1 << 32) + others
        found, inverse = np.unique(keys, return_inverse=True)
        places = np.searchsorted(self._keys, found)
        known = places < len(self._keys)
        known[known] = self._keys[places[known]] == found[known]
        new = found[~known]
        if len(new):
            values = np.array([function(key >> 32, key & 0xFFFFFFFF) for key in new.tolist()], np.int32)
            at = np.searchsorted(self._keys, new)
            self._keys, self._values = np.insert(self._keys, at, new), np.insert(self._values, at, values)
        return np.asarray(self._values[np.searchsorted(self._keys, found)][inverse])


FACTS = (
    "view", "broken", "busy walking", "busy recorded", "moves", "astray", "disordered", "greeted", "settled", "told",
)  # fmt: skip

TRAITS: dict[str, Callable[[Coordinator], int]] = {
    "life": lambda each: LIVES.index(each.life),
    "verdict": lambda each: each.verdict is not None,
    "finished": lambda each: each.finished,
    "survey": lambda each: each.survey,
    "may die": lambda each: "crash" in each.tokens,
    "may be early": lambda each: "delay" in each.tokens,
    "broken": lambda each: bool(each.broken),
}
