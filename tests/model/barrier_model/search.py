# SPDX-License-Identifier: GPL-3.0-or-later

"""Every reachable world of the model, level by level, in arrays: a world is a row (coordinator, one number for each
host), a level is everything that can be reached in so many transitions and not in fewer.

Three things make it small enough:

* Hosts of a group are interchangeable: the rows' host numbers are sorted within each group.
* Order that cannot matter is not tried (partial-order reduction with ample sets, ``reduce``). In a world where one
  host's transitions neither influence nor are influenced by anything that others, or the coordinator, can do before
  them, only this host's are followed; the others' follow in the next worlds, so none is forgotten:

  - *after the verdict* (no survey under way, and nothing in store for the coordinator any more) each host is ended for
    itself: what is heard of one changes what is known of this one only, and the deadline comes when all are done;
  - *while a coordinator begins* it needs every host; one that it has not heard is independent of the others;
  - *a worker that has been told something*, has no fault before it, and neither has the coordinator: whatever else is
    posted goes behind what is there, and whatever it says goes behind what it has said.

  What is promised of one host, or of one decision, is checked when it happens, in :mod:`.host` and
  :mod:`.coordinator`, and does not depend on the order of independent transitions.
* Worlds that were seen are kept as 64-bit hashes (uniformly random numbers for each host, summed in each group's
  order); the probability that any two of N worlds were taken for one is below N²/2⁶⁵.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .coordinator import GLOBAL
from .tables import LIVES, Numbers, Tables
from .world import Model, World, broken

CHUNK = 400_000
WALKING, OPENING, RECORDED = (LIVES.index(life) for life in ("walking", "opening", "recorded"))


@dataclass
class Result:
    worlds: int = 0
    transitions: int = 0
    levels: int = 0
    ends: int = 0
    decisions: int = 0
    hosts: int = 0
    problem: str = ""
    trace: list[str] = field(default_factory=list)


class TooMany(Exception):
    """More worlds than were allowed."""


class Search:
    def __init__(self, model: Model, *, reduce: bool = True, limit: int = 1 << 40) -> None:
        self._model = model
        self._tables = Tables(model)
        self._reduce = reduce
        self._limit = limit
        self._n = len(model.groups)
        self._servers = model.groups.count("servers")
        self._first = [i for i, group in enumerate(model.groups) if i == 0 or group != model.groups[i - 1]]
        random = np.random.default_rng(1)
        self._salt = random.integers(0, 1 << 63, size=self._n + 1, dtype=np.uint64) | np.uint64(1)
        self._transitions = 0
        self._ends = 0

    def run(self, starts: list[World], progress: Any = None) -> Result:
        """Searches everything that can be reached from these; ends at the first broken promise."""
        rows = self._canonical(np.array([self._row(world) for world in starts], np.int32))
        hashes, first = np.unique(self._hashes(rows), return_index=True)
        rows, seen = rows[first], hashes
        levels = [rows]
        while len(rows):
            wrong = self._wrong(rows)
            if wrong is not None:
                return self._result(levels, len(seen), rows[wrong], starts)
            found_rows, found_hashes = [], []
            for begin in range(0, len(rows), CHUNK):
                after, _parents = self._expand(rows[begin : begin + CHUNK])
                hashes, first = np.unique(self._hashes(after), return_index=True)
                new = ~_is_in(hashes, seen)
                found_rows.append(after[first[new]])
                found_hashes.append(hashes[new])
            hashes, first = np.unique(np.concatenate(found_hashes), return_index=True)
            rows = np.concatenate(found_rows)[first]
            seen = np.concatenate([seen, hashes])
            seen.sort(kind="stable")
            levels.append(rows)
            if progress:
                progress(len(levels), len(rows), len(seen), self._transitions)
            if len(seen) > self._limit:
                raise TooMany(f"more than {self._limit:,} worlds after {len(levels) - 1} levels")
        return self._result(levels, len(seen), None, starts)

    def _row(self, world: World) -> list[int]:
        tables = self._tables
        pairs = zip(self._model.groups, world.hosts, strict=True)
        return [tables.coordinators.number(world.coordinator), *(tables.hosts.number(pair) for pair in pairs)]

    def _world(self, row: Numbers) -> World:
        tables = self._tables
        hosts = tuple(tables.hosts.values[number][1] for number in row[1:])
        return World(tables.coordinators.values[row[0]], hosts)

    def _canonical(self, rows: Numbers) -> Numbers:
        split = self._servers + 1
        rows[:, 1:split].sort(axis=1)
        rows[:, split:].sort(axis=1)
        return rows

    def _hashes(self, rows: Numbers) -> Numbers:
        total = np.zeros(len(rows), np.uint64)
        for column in range(self._n + 1):
            total = _mixed(total + (rows[:, column].astype(np.uint64) + np.uint64(1)) * self._salt[column])
        return total

    def _wrong(self, rows: Numbers) -> int | None:
        self._tables.learn()
        bad = self._tables.traits["broken"][rows[:, 0]] | self._tables.facts["broken"][rows[:, 1:]].any(axis=1)
        found = np.flatnonzero(bad)
        return int(found[0]) if len(found) else None

    # Transitions

    def _expand(self, rows: Numbers) -> tuple[Numbers, Numbers]:
        """(the worlds after, the row of each one's predecessor)"""
        tables = self._tables
        tables.learn()
        life = tables.traits["life"][rows[:, 0]]
        only = self._ample(rows, life)
        after: list[Numbers] = []
        parents: list[Numbers] = []
        stimulated: list[tuple[Numbers, int, Numbers]] = []  # rows, host, stimuli
        for i in range(self._n):
            alike = (rows[:, i + 1] == rows[:, i]) if i not in self._first else np.zeros(len(rows), bool)
            mine = np.flatnonzero(((only == -1) & ~alike) | (only == i) | (only == i + self._n))
            at, hosts = _listed(tables.moves, mine, rows[mine, i + 1])
            moved = rows[at]
            moved[:, i + 1] = hosts
            after.append(moved)
            parents.append(at)
            mine = mine[only[mine] < self._n]
            for number, name in enumerate(LIVES):
                living = mine[life[mine] == number]
                at, numbers = _listed(tables.heard[name], living, rows[living, i + 1])
                stimulated.append((at, i, numbers))
        stimulated += [(at, -1, np.full(len(at), number)) for at, number in self._own(rows, life, only)]
        for at, i, numbers in stimulated:
            if len(at):
                after.append(self._decided(rows[at], i, numbers))
                parents.append(at)
        count = sum(len(each) for each in after)
        self._transitions += count
        return self._canonical(np.concatenate(after)), np.concatenate(parents)

    def _ample(self, rows: Numbers, life: Numbers) -> Numbers:
        """Which host alone is followed: its number, plus n for what its worker does without the coordinator; or -1."""
        only = np.full(len(rows), -1)
        if not self._reduce:
            return only
        facts, traits = self._tables.facts, self._tables.traits
        steady = (traits["may die"][rows[:, 0]] | traits["may be early"][rows[:, 0]]) == 0
        ending = steady & (life == WALKING) & (traits["verdict"][rows[:, 0]] != 0) & (traits["survey"][rows[:, 0]] == 0)
        for i in reversed(range(self._n)):
            host = rows[:, i + 1]
            only[steady & (life == WALKING) & (facts["told"][host] != 0)] = i + self._n
        for i in reversed(range(self._n)):
            host = rows[:, i + 1]
            only[steady & (life == OPENING) & (facts["greeted"][host] == 0)] = i
            only[ending & (facts["busy walking"][host] != 0)] = i
            only[(life == RECORDED) & (facts["busy recorded"][host] != 0)] = i
        return only

    def _own(self, rows: Numbers, life: Numbers, only: Numbers) -> list[tuple[Numbers, int]]:
        """As :func:`.world.own_stimuli`."""
        facts, traits = self._tables.facts, self._tables.traits
        hosts = rows[:, 1:]
        trait = {name: table[rows[:, 0]] != 0 for name, table in traits.items() if name != "life"}
        astray = facts["astray"][hosts].any(axis=1)
        disordered = facts["disordered"][hosts].any(axis=1)
        quiet = ~facts["busy walking"][hosts].any(axis=1) & ~trait["survey"]
        walking = (life == WALKING) & (only == -1)
        going = walking & ~trait["finished"]
        late = going & (quiet | (astray & ~trait["verdict"]))
        still = ~facts["moves"][hosts].any(axis=1)
        self._ends += int(((life == RECORDED) & still).sum())
        masks = {
            ("surveyed",): walking & trait["survey"],
            ("late",): late & disordered,
            ("late", "early"): going & trait["may be early"],
            ("late", "in vain"): late & ~disordered,
            ("abort",): going & trait["may die"],
            ("crash",): walking & trait["may die"],
            ("record",): walking & trait["finished"] & (quiet | trait["may die"]),
            ("take up",): (life == OPENING) & (only == -1) & facts["greeted"][hosts].all(axis=1),
            ("silent",): (life == RECORDED) & still & ~facts["settled"][hosts].all(axis=1),
        }
        return [(np.flatnonzero(masks[stimulus]), number) for number, stimulus in enumerate(GLOBAL)]

    def _decided(self, rows: Numbers, at: int, stimuli: Numbers) -> Numbers:
        tables = self._tables
        views = tables.facts["view"][rows[:, 1:]]
        order = self._order(views, at)
        columns = np.empty((len(rows), self._n + 3), np.int64)
        columns[:, 0] = rows[:, 0]
        columns[:, 1:-2] = np.take_along_axis(views, order, 1)
        columns[:, -2] = at if at < 0 else np.argmax(order == at, axis=1)
        columns[:, -1] = stimuli
        keys = np.zeros(len(rows), np.uint64)
        for column in range(columns.shape[1]):
            keys = _mixed(keys + (columns[:, column] + 2).astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15))
        numbers = tables.decide(keys, columns)
        decided = tables.decisions[numbers]
        np.put_along_axis(decided[:, 1:], order, decided[:, 1:].copy(), 1)
        after = rows.copy()
        if at >= 0:
            life = tables.traits["life"][rows[:, 0]]
            for number in np.unique(life).tolist():
                living = np.flatnonzero(life == number)
                after[living, at + 1] = tables.take(LIVES[number], rows[living, at + 1], stimuli[living])
        after[:, 0] = decided[:, 0]
        for i in range(self._n):
            after[:, i + 1] = tables.affect(after[:, i + 1], decided[:, i + 1])
        return after

    def _order(self, views: Numbers, at: int) -> Numbers:
        """The hosts of each group by their view, and the one that is heard first among equals: one decision for all."""
        ranks = 2 * views.astype(np.int64) + 1
        if at >= 0:
            ranks[:, at] -= 1
        split = self._servers
        parts = (ranks[:, :split].argsort(axis=1), ranks[:, split:].argsort(axis=1) + split)
        return np.concatenate(parts, axis=1)

    # What is said about it

    def _result(self, levels: list[Numbers], worlds: int, bad: Numbers | None, starts: list[World]) -> Result:
        result = Result(
            worlds=worlds,
            transitions=self._transitions,
            levels=len(levels) - 1,
            ends=self._ends,
            decisions=self._tables.decided,
            hosts=len(self._tables.hosts),
        )
        if bad is not None:
            result.problem = broken(self._world(bad))
            result.trace = self._trace(levels, bad, starts)
        return result

    def _trace(self, levels: list[Numbers], bad: Numbers, starts: list[World]) -> list[str]:
        """The transitions that lead there, by name, with hosts that keep their names."""
        path = [bad]
        for rows in reversed(levels[:-1]):
            wanted = self._hashes(path[0][None, :])[0]
            for begin in range(0, len(rows), CHUNK):
                after, parents = self._expand(rows[begin : begin + CHUNK])
                hits = np.flatnonzero(self._hashes(after) == wanted)
                if len(hits):
                    path.insert(0, rows[begin + parents[hits[0]]])
                    break
        world = next(each for each in starts if self._same(each, path[0]))
        lines = []
        for row in path[1:]:
            name, world = next((name, after) for name, after in self._model.successors(world) if self._same(after, row))
            lines.append(name)
        return lines

    def _same(self, world: World, row: Numbers) -> bool:
        return bool((self._canonical(np.array([self._row(world)], np.int32))[0] == row).all())


def _mixed(numbers: Numbers) -> Numbers:
    """A bijection of 64 bits that leaves no pattern (the finaliser of SplitMix64)."""
    numbers = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    numbers = (numbers ^ (numbers >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return numbers ^ (numbers >> np.uint64(31))


def _is_in(hashes: Numbers, seen: Numbers) -> Numbers:
    places = np.searchsorted(seen, hashes)
    places[places == len(seen)] = 0
    return np.asarray(seen[places] == hashes)


def _listed(lists: Any, rows: Numbers, numbers: Numbers) -> tuple[Numbers, Numbers]:
    """For each row every value listed for its number: (rows, values)."""
    counts = lists.count[numbers]
    total = int(counts.sum())
    if not total:
        return rows[:0], np.zeros(0, np.int32)
    inside = np.arange(total) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.repeat(rows, counts), lists.flat[np.repeat(lists.begin[numbers], counts) + inside]
