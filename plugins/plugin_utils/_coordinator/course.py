# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From the plan to the course of a sample's walk. Pure, private to this collection."""

from __future__ import annotations

from collections.abc import Collection

from .._planning.plan import RunPlan
from .walk import Course, Step


def course_of(plan: RunPlan, point: int, hosts: Collection[str] | None = None, *, until: str | None = None) -> Course:
    """The steps of this grid point with each state's entry and its longest deadline among the group's workers.

    ``hosts``: only these take part. ``until``: the walk pauses when every step of this state is complete.
    """
    groups = {
        group: tuple(host for host in members if hosts is None or host in hosts)
        for group, members in plan.groups_at(point).items()
    }
    states: dict[str, tuple[str, ...]] = {}
    entries: dict[tuple[str, str], str] = {}
    deadlines: dict[tuple[str, str], float] = {}
    for group, host in ((group, host) for group, members in groups.items() for host in members):
        document = plan.workers[host].document["points"][point]
        by_itself = document["stop"]["rule"] == "exit" or document["stop"].get("after_s") is not None
        states[group] = tuple(state["name"] for state in document["states"])
        for state in document["states"]:
            key = (group, state["name"])
            comes = state["name"] == "done" and by_itself
            entries[key] = "by_itself" if comes else state.get("entry", "at_once")
            deadlines[key] = max(deadlines.get(key, 0.0), state["deadline_s"])
    steps = tuple(Step(*key, entries[key], deadlines[key]) for key in ((step.group, step.state) for step in plan.steps))
    last = max((position for position, step in enumerate(steps) if step.state == until), default=None)
    return Course(steps, groups, states, pause_at=None if last in (None, len(steps) - 1) else last + 1)


def lease_s(course: Course, group: str, position: int, margin_s: float) -> float:
    """How long a group may hear nothing from this step on: until the next one that is sent to it, at worst."""
    total = 0.0
    for distance, step in enumerate(course.steps[max(0, position) :]):
        if distance and step.group == group and step.entry != "by_itself":
            break
        total += step.deadline_s + margin_s
    return total


def reached_state(states: tuple[str, ...], state: str, phase: str) -> str | None:
    """The last of these states that a worker has reached for sure, by its status; None for one that lost its sample."""
    rank = states.index(state) - (phase == "entering") if state in states else -1
    return states[rank] if rank >= 0 else None
