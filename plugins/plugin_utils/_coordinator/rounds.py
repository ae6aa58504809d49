# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is to be walked next of a matrix: rounds, and in later rounds the pairs that failed. Pure. Private to this
collection.

A round that fails because of one host costs the others of that round nothing but time: their pairs are walked again
later, free of charge, and those of the host as long as the retry budget lasts. All first attempts come before all
second ones, and so on, so a failed pair is always retried in a later round. Pairs of a host that is away are put off;
those of a host that cannot take part are lost. Pairs that share a host (all ``together``) belong together: they are
walked whole or not at all.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .._planning.matrix import Pair
from .._planning.plan import RunPlan

Pairs = tuple[Pair, ...]
ATTEMPTS = 100  # of one round: each one that fails leaves fewer pairs, or costs one of the budget


@dataclass(frozen=True, order=True)
class Task:
    """Pairs of one sample's round, to be walked as one attempt; with a ``reason``, not to be walked, but lost."""

    attempt: int
    sample: int
    pairs: Pairs
    reason: str = ""

    @property
    def key(self) -> tuple[int, int]:
        return self.sample, self.attempt


class Agenda:
    """``absent`` are hosts that cannot take part in this run, with the reason."""

    def __init__(self, plan: RunPlan, absent: Mapping[str, str], budget: int) -> None:
        self.absent = absent
        self.lost: list[str] = []  # reasons
        self.budget = budget
        self._attempts: dict[int, int] = {}  # of each sample, the last number that was given
        self._queue: list[Task] = []
        self._pairs = {sample.sample: plan.points[sample.point].pairs for sample in plan.samples}

    @classmethod
    def of(
        cls,
        plan: RunPlan,
        absent: Mapping[str, str],
        past: Iterable[Mapping[str, Any]] = (),
        left: Mapping[str, Any] | None = None,
    ) -> Agenda:
        """``past``: the record's lines of an earlier coordinator; ``left``: how it began the attempt that has none."""
        lines = list(past)
        failed = sum(line["verdict"] != "ok" and bool(line["hosts"]) for line in lines)
        agenda = cls(plan, absent, max(0, plan.retry_budget - failed))
        last = max([(line["attempt"], line["sample"]) for line in lines], default=(1, -1))
        if left:
            task = Task(left["attempt"], left["sample"], _as_pairs(left["pairs"]))
            last = max(last, (task.attempt, task.sample))
            agenda._queue.append(task)
        for sample, pairs in agenda._pairs.items():
            mine = [line for line in lines if line["sample"] == sample]
            begun = [*mine, *([left] if left and left["sample"] == sample else [])]
            done = {pair for line in mine if line["verdict"] == "ok" for pair in _as_pairs(line["pairs"])}
            done |= {pair for line in begun if line is left for pair in _as_pairs(line["pairs"])}
            agenda._attempts[sample] = max([line["attempt"] for line in begun], default=0)
            if rest := tuple(pair for pair in pairs if pair not in done):
                after = last[0] + ((last[0], sample) <= last)
                agenda._attempts[sample] = max(agenda._attempts[sample], after - 1)
                agenda._add(sample, rest)
        heapq.heapify(agenda._queue)
        return agenda

    def next(self, away: Collection[str] = ()) -> Task | None:
        """The next attempt, or pairs that are lost (with a reason); None when nothing is left.

        First attempts with hosts that are ``away``, and may come back, are put off.
        """
        away = set(away) - set(self.absent)
        while self._queue:
            task = heapq.heappop(self._queue)
            put_off = self._parted(task, away) if task.attempt == 1 else ()
            if put_off:
                self._add(task.sample, put_off)
                self._push(_without(task, put_off))
                continue
            gone = self._parted(task, self.absent)
            if gone:
                self._push(_without(task, gone))
                reason = next(f"{host}: {self.absent[host]}" for pair in gone for host in pair if host in self.absent)
                self.lost.append(reason)
                self._attempts[task.sample] += 1
                return Task(self._attempts[task.sample], task.sample, gone, reason)
            return task
        return None

    def told(self, line: Mapping[str, Any], *, free: bool = False) -> None:
        """The record's line of an attempt. ``free``: what went wrong costs nothing of the budget."""
        if line["verdict"] == "ok":
            return
        task = Task(line["attempt"], line["sample"], _as_pairs(line["pairs"]))
        culprits = {host for host, entry in line["hosts"].items() if entry.get("verdict") == "failed"}
        guilty = self._parted(task, culprits) if line["verdict"] == "failed" else ()
        guilty = guilty or task.pairs
        if innocent := _without(task, guilty).pairs:
            self._add(task.sample, innocent)
        if (self.budget <= 0 and not free) or self._attempts[task.sample] >= ATTEMPTS:
            self.lost.append(f"sample {task.sample}: {line['reason']}; the retry budget is used up")
            return
        self.budget -= not free
        self._add(task.sample, guilty)

    def _add(self, sample: int, pairs: Pairs) -> None:
        self._attempts[sample] = self._attempts.get(sample, 0) + 1
        self._push(Task(self._attempts[sample], sample, pairs))

    def _push(self, task: Task) -> None:
        if task.pairs:
            heapq.heappush(self._queue, task)

    def _parted(self, task: Task, hosts: Collection[str]) -> Pairs:
        """The task's pairs with one of the hosts; all, when its pairs cannot be parted."""
        found = tuple(pair for pair in task.pairs if any(host in hosts for host in pair))
        members = [host for pair in task.pairs for host in pair]
        return task.pairs if found and len(members) > len(set(members)) else found


def _as_pairs(value: Iterable[Iterable[str]]) -> Pairs:
    return tuple((client, server) for client, server in value)


def _without(task: Task, pairs: Collection[Pair]) -> Task:
    return Task(task.attempt, task.sample, tuple(pair for pair in task.pairs if pair not in pairs))
