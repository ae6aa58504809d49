# SPDX-License-Identifier: GPL-3.0-or-later
"""Rounds of a matrix, walked with hosts that fail, go away, come back, or never were there."""

from __future__ import annotations

from types import SimpleNamespace

from ansible_collections.netbench.orchestrator.plugins.plugin_utils._coordinator.rounds import Agenda, Task
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._planning import matrix
from hypothesis import given
from hypothesis import strategies as st


def plan_of(clients=3, servers=3, *, both=0, budget=2, mode="isolated", repeats=1):
    groups = {
        "clients": [f"c{i}" for i in range(clients)] + [f"b{i}" for i in range(both)],
        "servers": [f"s{i}" for i in range(servers)] + [f"b{i}" for i in range(both)],
    }
    rounds = matrix.plan(groups, mode=mode, seed=1).rounds
    points = [SimpleNamespace(pairs=each.pairs) for each in rounds]
    samples = [SimpleNamespace(sample=i, point=i % len(points)) for i in range(len(points) * repeats)]
    return SimpleNamespace(points=points, samples=samples, retry_budget=budget)


def line_of(task, culprit=None, verdict=None):
    hosts = {host: {"verdict": "failed" if host == culprit else "aborted"} for pair in task.pairs for host in pair}
    verdict = verdict or ("failed" if culprit else "ok")
    return {
        "sample": task.sample,
        "attempt": task.attempt,
        "pairs": [list(pair) for pair in task.pairs],
        "verdict": verdict,
        "reason": "broke" if culprit else None,
        "hosts": hosts,
    }


def walked(agenda, broken=lambda task: None, most=10_000, away=()):
    """Every task and its line; ``broken(task)`` is the host that fails in it. ``away`` are hosts that are not there."""
    told = []
    while (task := agenda.next(away)) and len(told) < most:
        line = line_of(task, broken(task))
        if task.reason:
            line |= {"verdict": "failed", "hosts": {}, "reason": task.reason}
        else:
            agenda.told(line)
        told.append((task, line))
    return told


def measured(told):
    return sorted((task.sample, pair) for task, line in told if line["verdict"] == "ok" for pair in task.pairs)


def planned(plan):
    return sorted((sample.sample, pair) for sample in plan.samples for pair in plan.points[sample.point].pairs)


def broken_host(host, times):
    left = [times]

    def broken(task):
        if left[0] and any(host in pair for pair in task.pairs):
            left[0] -= 1
            return host
        return None

    return broken


def test_without_trouble_every_round_is_walked_once_in_order():
    plan = plan_of(repeats=2)
    told = walked(Agenda.of(plan, {}))
    assert [task.key for task, _line in told] == [(number, 1) for number in range(6)]
    assert measured(told) == planned(plan)


def test_a_failed_pair_comes_again_in_a_later_round_and_the_others_of_its_round_too():
    plan = plan_of()
    told = walked(Agenda.of(plan, {}), broken_host("s1", 1))
    assert measured(told) == planned(plan)
    assert [task.key for task, _line in told] == [(0, 1), (1, 1), (2, 1), (0, 2), (0, 3)]
    others, again = told[3][0].pairs, told[4][0].pairs
    assert all("s1" not in pair for pair in others)
    assert [pair[1] for pair in again] == ["s1"]


def test_the_budget_is_for_the_pairs_that_fail_and_not_for_their_neighbours():
    plan = plan_of(budget=1)
    agenda = Agenda.of(plan, {})
    told = walked(agenda, broken_host("s1", 99))
    assert measured(told) == [(sample, pair) for sample, pair in planned(plan) if "s1" not in pair]
    assert agenda.budget == 0
    assert len(agenda.lost) == 3
    assert "the retry budget is used up" in agenda.lost[0]


def test_a_host_that_cannot_take_part_costs_its_pairs_and_no_more():
    plan = plan_of(budget=0)
    agenda = Agenda.of(plan, {"c2": "cannot be reached"})
    told = walked(agenda)
    assert measured(told) == [(sample, pair) for sample, pair in planned(plan) if "c2" not in pair]
    lost = [task for task, _line in told if task.reason]
    assert sorted(pair for task in lost for pair in task.pairs) == [("c2", f"s{i}") for i in range(3)]
    assert {task.reason for task in lost} == {"c2: cannot be reached"}


def test_pairs_of_a_host_that_is_away_wait_for_the_later_rounds():
    plan = plan_of(budget=0)
    agenda = Agenda.of(plan, {})
    first = agenda.next()
    agenda.told(line_of(first))
    told = walked(agenda, away={"c0"})
    assert [task.attempt for task, _line in told] == [1, 1, 2, 2]
    assert all("c0" not in pair for task, _line in told[:2] for pair in task.pairs)
    assert all("c0" in pair for task, _line in told[2:] for pair in task.pairs)


def test_all_pairs_together_are_walked_whole_or_not_at_all():
    plan = plan_of(2, 2, mode="together", budget=1)
    told = walked(Agenda.of(plan, {}), broken_host("s1", 1))
    assert [len(task.pairs) for task, _line in told] == [4, 4]
    told = walked(Agenda.of(plan, {"s1": "cannot be reached"}))
    assert [(len(task.pairs), task.reason) for task, _line in told] == [(4, "s1: cannot be reached")]


def test_an_invalid_round_comes_again_whole():
    plan = plan_of(2, 2)
    agenda = Agenda.of(plan, {})
    first = agenda.next()
    agenda.told(line_of(first, verdict="invalid"))
    assert [(task.key, len(task.pairs)) for task, _line in walked(agenda)] == [((1, 1), 2), ((0, 2), 2)]
    assert agenda.budget == 1


@given(
    st.integers(1, 4),
    st.integers(1, 4),
    st.integers(0, 3),
    st.integers(0, 3),
    st.lists(st.integers(0, 30), max_size=12),
    st.integers(0, 12),
    st.booleans(),
)
def test_whatever_fails_and_wherever_it_is_taken_up(clients, servers, both, budget, failures, stop, begun):
    """Nothing is measured twice, every pair is measured or told, and each worker's attempts come in order."""
    plan = plan_of(clients, servers, both=both, budget=budget)
    hosts = sorted({host for point in plan.points for pair in point.pairs for host in pair})
    pending = list(failures)

    def broken(task):
        choice = pending.pop() if pending else 30
        mine = [host for host in hosts if any(host in pair for pair in task.pairs)]
        return mine[choice] if choice < len(mine) else None

    agenda = Agenda.of(plan, {})
    told = walked(agenda, broken, most=stop)
    left = agenda.next() if begun else None
    lines = [line for _task, line in told]
    again = Agenda.of(plan, {}, lines, left and line_of(left))
    if left:
        assert again.next() == left
        last = line_of(left)
        again.told(last)
        told.append((left, last))
    told += walked(again, broken)
    found = measured(told)
    assert len(found) == len(set(found))
    keys = [task.key for task, _line in told]
    assert len(keys) == len(set(keys))
    failed = {(task.sample, pair) for task, line in told if line["verdict"] != "ok" for pair in task.pairs}
    assert set(planned(plan)) == set(found) | failed
    if len(again.lost) == 0 and len(agenda.lost) == 0:
        assert found == planned(plan)
    for host in hosts:
        order = [(task.attempt, task.sample) for task, _line in told if any(host in pair for pair in task.pairs)]
        assert order == sorted(order)


def test_a_task_is_known_by_its_sample_and_attempt():
    assert Task(2, 5, (("c", "s"),)).key == (5, 2)
