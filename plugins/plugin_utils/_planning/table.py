# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A plan as a person reads it, before it runs. Private to this collection."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from . import template, versions
from .matrix import PAIRS
from .plan import HIDDEN, RunPlan
from .units import format_duration

MOST_SAMPLES = 20
MOST_PAIRS = 4


def describe(plan: RunPlan, *, commands: bool) -> list[str]:
    """Lines: what runs, in which order, how long; with ``commands`` also each host's command and environment, secrets
    hidden."""
    lines = [
        f"plan {plan.run_id}: workload {plan.workload['name']}, {_count(len(plan.samples), 'sample')}, seed {plan.seed}"
    ]
    lines += [f"  {group}: {', '.join(hosts)}" for group, hosts in plan.groups.items()]
    lines.append("  steps: " + " → ".join(f"{step.group} {step.state}" for step in plan.steps))
    lines += _matrix(plan)
    lines += [f"  {line}" for line in versions.differing(plan.versions)]
    expected = "unknown" if plan.expected_s is None else format_duration(round(plan.expected_s, 3))
    lines.append(f"  expected: {expected} of measurement, beside the steps around it")
    lines += [f"  {line}" for line in _table(plan)]
    if commands:
        lines += list(_commands(plan))
    return lines


def _matrix(plan: RunPlan) -> list[str]:
    """``matrix: 12 pairs in 4 rounds of up to 3 at a time``."""
    rounds = {point.pairs for point in plan.points if point.pairs}
    if not rounds:
        return []
    pairs, most = sum(len(each) for each in rounds), max(len(each) for each in rounds)
    at_once = "one at a time" if most == 1 else f"up to {most} at a time"
    return [f"  matrix: {_count(pairs, 'pair')} in {_count(len(rounds), 'round')}, {at_once}"]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")


def varied(plan: RunPlan) -> list[str]:
    """The parameters that differ between the plan's points."""
    measured = [point.named for point in plan.points if not point.warm_up]
    return [name for name in measured[0] if any(each.get(name) != measured[0][name] for each in measured)]


def _table(plan: RunPlan) -> list[str]:
    columns = [name for name in varied(plan) if name != PAIRS]
    with_pairs = ["pairs"] if plan.is_matrix else []
    rows = [["sample", "point", "repeat", *columns, *with_pairs, "expected"]]
    for sample in plan.samples[:MOST_SAMPLES]:
        point = plan.points[sample.point]
        seconds = "?" if point.expected_s is None else f"{point.expected_s:.1f} s"
        values = [template.as_text(point.named[name]) for name in columns]
        values += [_pairs(point.pairs) for _column in with_pairs]
        repeat = "warm-up" if point.warm_up else str(sample.repeat)
        rows.append([str(sample.sample), str(sample.point), repeat, *values, seconds])
    left = len(plan.samples) - MOST_SAMPLES
    return [*_aligned(rows), *([f"… and {left} more"] if left > 0 else [])]


def _pairs(pairs: Sequence[tuple[str, str]]) -> str:
    named = [f"{client}>{server}" for client, server in pairs[:MOST_PAIRS]]
    return " ".join([*named, *([f"… {len(pairs)} in all"] if len(pairs) > MOST_PAIRS else [])])


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]


def _commands(plan: RunPlan) -> Iterator[str]:
    """Each host's processes at the first point, and at others where they differ."""
    for host, worker in plan.workers.items():
        before = None
        for number, point in enumerate(worker.document["points"]):
            if point is None:
                continue
            shown = [
                "{} {}".format(
                    " ".join(
                        f"{name}={HIDDEN if name in process['secret_environment'] else shlex.quote(value)}"
                        for name, value in process["environment"].items()
                    ),
                    shlex.join(process["command"]),
                )
                for process in point["processes"]
            ]
            if shown != before:
                yield from (f"  {host} (point {number}): {line}" for line in shown)
            before = shown
