# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""All clients against all servers, in rounds that measure what they are meant to. Pure. Private to this collection.

============== ====================================================================================================
``isolated``   rounds of pairs that share no host, all pairs of a round at once: a proper edge colouring of the graph
               whose edges are the pairs. Clients and servers that are different hosts make it bipartite, and then it
               takes max(clients, servers) rounds, the least possible (König). Hosts that are both make it a general
               graph; the search begins at a lower bound and takes one colour more only when it fails
``sequential`` one pair after the other
``together``   all pairs at once, on purpose: hosts are shared, and so are their links
============== ====================================================================================================

The colouring inserts one edge after the other. When its ends have no free colour in common, the path that alternates
between a colour free at one end and one free at the other is flipped (Kempe); in a bipartite graph that always helps.
In a general one it may not: then an edge in the way is taken out and inserted again later.
"""

from __future__ import annotations

import random
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ...module_utils._protocol.schema import Path, SchemaError

MODES = ("isolated", "sequential", "together")
TRIES = 30  # with the same number of colours, each in another order
EJECTIONS = 3  # for each pair, on average

Pair = tuple[str, str]  # (client, server)
PAIRS = "pairs"  # the parameter that says who works with whom, of a workload that can have it otherwise than in turn


@dataclass(frozen=True)
class Round:
    """Pairs that are measured at the same time, and who takes part: where no host is shared, the i-th client has the
    i-th server."""

    pairs: tuple[Pair, ...]
    groups: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Matrix:
    """Every pair once, in rounds; ``least`` is a lower bound of their number in this mode."""

    mode: str
    rounds: tuple[Round, ...]
    least: int

    @property
    def pairs(self) -> list[Pair]:
        return [pair for each in self.rounds for pair in each.pairs]


def plan(
    groups: Mapping[str, Sequence[str]],
    *,
    clients: str = "clients",
    servers: str = "servers",
    mode: str,
    seed: int,
    path: Path = ("matrix",),
) -> Matrix:
    """The rounds of all pairs. A host that is client and server is not paired with itself. Raises SchemaError.

    The same seed gives the same rounds, in an order that it has drawn.
    """
    ends = (groups[clients], groups[servers])
    for group in ends:
        if twice := [name for name, count in Counter(group).items() if count > 1]:
            raise SchemaError(path, f"the host {twice[0]} is there twice.", twice[0])
    pairs = [(client, server) for client in ends[0] for server in ends[1] if client != server]
    if not pairs:
        problem = "there is no pair of two hosts."
        if all(ends):
            problem = f"{ends[0][0]} would be client and server of the same pair, and there is no other."
        raise SchemaError(path, problem)
    dice = random.Random(seed)
    dice.shuffle(pairs)
    if mode == "together":
        rounds: list[list[Pair]] = [pairs]
    elif mode == "sequential":
        rounds = [[pair] for pair in pairs]
    else:
        rounds = colour(pairs, dice)
        dice.shuffle(rounds)
    least = {"together": 1, "sequential": len(pairs)}.get(mode) or lower_bound(pairs)
    places = {pair: number for number, pair in enumerate((c, s) for c in ends[0] for s in ends[1])}
    ordered = [tuple(sorted(each, key=places.__getitem__)) for each in rounds]
    return Matrix(mode, tuple(Round(each, taking_part(each, clients, servers)) for each in ordered), least)


def taking_part(pairs: Iterable[Pair], clients: str, servers: str) -> dict[str, tuple[str, ...]]:
    """The hosts of these pairs by group, in their order."""
    sides = list(zip(*pairs, strict=True))
    return {clients: tuple(dict.fromkeys(sides[0])), servers: tuple(dict.fromkeys(sides[1]))}


def lower_bound(pairs: Sequence[Pair]) -> int:
    """No fewer rounds than a host has pairs; nor than half of the hosts, rounded down, allow pairs at a time.

    The latter is asked of all hosts, and of those that are client and server.
    """
    both = {client for client, _server in pairs} & {server for _client, server in pairs}
    inner = [pair for pair in pairs if both.issuperset(pair)]
    degree = max(Counter(host for pair in pairs for host in pair).values(), default=0)
    return max(degree, _by_size(pairs), _by_size(inner))


def _by_size(pairs: Sequence[Pair]) -> int:
    at_once = len({host for pair in pairs for host in pair}) // 2
    return -(-len(pairs) // at_once) if at_once else 0


def colour(pairs: Sequence[Pair], dice: random.Random) -> list[list[Pair]]:
    """Rounds of pairs that share no host: as few as :func:`lower_bound` where that can be found."""
    colours = lower_bound(pairs)
    while True:
        for _attempt in range(TRIES):
            found = _Colouring(pairs, colours, dice).rounds()
            if found is not None:
                return found
        colours += 1


class _Colouring:
    """A partial colouring of the pairs; ``_at[host][colour]`` is the pair that has the colour there."""

    def __init__(self, pairs: Sequence[Pair], colours: int, dice: random.Random) -> None:
        self._pairs = pairs
        self._colours = colours
        self._dice = dice
        self._at: dict[str, dict[int, int]] = {host: {} for pair in pairs for host in pair}
        self._free: dict[str, int] = dict.fromkeys(self._at, (1 << colours) - 1)  # bits

    def rounds(self) -> list[list[Pair]] | None:
        """None when the search has spent what it may."""
        waiting = deque(self._dice.sample(range(len(self._pairs)), len(self._pairs)))
        ejections = EJECTIONS * len(self._pairs)
        while waiting:
            pair = waiting.popleft()
            if self._inserted(pair):
                continue
            if ejections == 0:
                return None
            ejections -= 1
            waiting.append(self._forced(pair))
        found: list[list[Pair]] = [[] for _colour in range(self._colours)]
        for host, colours in self._at.items():
            for colour_, pair in colours.items():
                if self._pairs[pair][0] == host:
                    found[colour_].append(self._pairs[pair])
        return [each for each in found if each]

    def _inserted(self, pair: int) -> bool:
        one, other = self._pairs[pair]
        common = self._free[one] & self._free[other]
        if common:
            self._set(pair, _lowest(common))
            return True
        for free_here in _bits(self._free[one]):
            for free_there in _bits(self._free[other]):
                path = self._alternating(other, free_here, free_there)
                if one not in self._pairs[path[-1]]:
                    self._flip(path, free_here, free_there)
                    self._set(pair, free_here)
                    return True
        return False

    def _alternating(self, start: str, first: int, second: int) -> list[int]:
        """The pairs on the path from a host, of the one colour and the other in turn."""
        path, host, wanted, following = [], start, first, second
        while wanted in self._at[host]:
            pair = self._at[host][wanted]
            path.append(pair)
            host = self._other_end(pair, host)
            wanted, following = following, wanted
        return path

    def _other_end(self, pair: int, host: str) -> str:
        one, other = self._pairs[pair]
        return other if host == one else one

    def _flip(self, path: Iterable[int], first: int, second: int) -> None:
        pairs = list(path)
        for position, pair in enumerate(pairs):
            self._clear(pair, second if position % 2 else first)
        for position, pair in enumerate(pairs):
            self._set(pair, first if position % 2 else second)

    def _forced(self, pair: int) -> int:
        """Give the pair a colour that is free at one end; returns the pair that had it at the other."""
        one, other = self._dice.sample(self._pairs[pair], 2)
        chosen = self._dice.choice(list(_bits(self._free[one])))
        ejected = self._at[other][chosen]
        self._clear(ejected, chosen)
        self._set(pair, chosen)
        return ejected

    def _set(self, pair: int, colour_: int) -> None:
        for host in self._pairs[pair]:
            self._at[host][colour_] = pair
            self._free[host] &= ~(1 << colour_)

    def _clear(self, pair: int, colour_: int) -> None:
        for host in self._pairs[pair]:
            del self._at[host][colour_]
            self._free[host] |= 1 << colour_


def _lowest(bits: int) -> int:
    return (bits & -bits).bit_length() - 1


def _bits(bits: int) -> Iterable[int]:
    while bits:
        yield _lowest(bits)
        bits &= bits - 1
