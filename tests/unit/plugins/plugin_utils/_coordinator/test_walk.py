# SPDX-License-Identifier: GPL-3.0-or-later

"""The barrier by exhaustion: coordinator and workers together, every order of events, with things going wrong.

What must never be is written out in ``barrier_model.promises``. The larger searches are made by ``make model``.
"""

from __future__ import annotations

import pytest
from ansible_collections.netbench.orchestrator.plugins.module_utils._protocol import machine
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._coordinator import walk as walking
from barrier_model import promises
from barrier_model.coordinator import course
from barrier_model.mutations import MUTATIONS
from barrier_model.schedules import Player, drawn
from barrier_model.search import Search
from barrier_model.world import Model, World, broken, placements

SCHEDULES = 1_000


def searched(servers, clients, faults=(), *, reduce=True, **steps):
    model = Model(servers, clients, **steps)
    return Search(model, reduce=reduce, limit=1_000_000).run(placements(model, faults))


@pytest.mark.parametrize(
    ("servers", "clients", "faults"),
    [
        (3, 3, ("loss",)),
        (3, 3, ("duplicate",)),
        (2, 2, ("delay",)),
        (2, 1, ("crash",)),
        (1, 2, ("crash",)),
    ],
)
def test_every_order_of_events_keeps_the_promises(servers, clients, faults):
    result = searched(servers, clients, faults)
    assert not result.problem, "\n".join([result.problem, *result.trace])
    assert result.ends > 1


@pytest.mark.parametrize("faults", [("crash",), ("loss",), ("duplicate",), ("delay",)])
def test_what_is_not_followed_ends_nowhere_else(faults):
    """The reduction leaves out ways, and no end of one."""
    assert searched(1, 1, faults).ends == searched(1, 1, faults, reduce=False).ends


def test_the_tables_say_what_the_model_says():
    """The search in arrays finds as many worlds as one that follows the model's own rules world by world."""
    model = Model(1, 1)
    starts = placements(model, ("loss",))
    seen: set[World] = set(starts)
    left = list(starts)
    while left:
        for _name, after in model.successors(left.pop()):
            if after not in seen:
                seen.add(after)
                left.append(after)
    assert not any(map(broken, seen))
    assert Search(model, reduce=False).run(starts).worlds == len(seen)


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_broken_machine_is_found(name):
    """Also by the reduced search, and by its shortest trace."""
    mutation = MUTATIONS[name]
    found = [
        searched(mutation.servers, 1, mutation.faults, reduce=reduce, **mutation.steps) for reduce in (True, False)
    ]
    assert [each.problem for each in found] == [mutation.finding, mutation.finding]
    assert len(found[1].trace) <= len(found[0].trace) < 25


def test_every_promise_has_a_machine_that_breaks_it():
    assert {mutation.finding for mutation in MUTATIONS.values()} == set(promises.ALL)


def test_random_schedules_keep_the_promises():
    player = Player()
    for seed in range(SCHEDULES):
        failure = player.play(drawn(seed))
        if failure:
            short = player.shrink(failure)
            pytest.fail("\n".join([f"seed {seed}: {short.problem}", str(short.schedule), *short.trace]))
    assert set(player.verdicts) == {"ok", "failed", "aborted", "invalid"}
    assert min(player.verdicts.values()) > SCHEDULES // 50


def test_a_schedule_that_breaks_a_promise_is_made_short():
    player = Player(**MUTATIONS["one server is enough"].steps)
    failure = next(found for found in map(player.play, map(drawn, range(1000))) if found)
    short = player.shrink(failure)
    assert short.problem == failure.problem
    assert len(short.trace) <= min(20, len(failure.trace))


# What the search has found


COURSE = course(1, 1)


def walked(*events):
    walk, actions = walking.Walk(), ()
    for event in events:
        walk, actions = walking.step(walk, event, COURSE)
    return walk, actions


def test_a_sample_that_is_lost_already_is_taken_up_without_sending_anything():
    walk, actions = walked(
        walking.Adopted("c0", "ready"),
        walking.Reported("s0", "reached", "running"),
        walking.Reported("s0", "failed", "running", "broken"),
        walking.Begin(),
    )
    assert (walk.verdict, actions) == ("failed", ())


def test_an_idle_host_that_is_attached_again_after_the_verdict_is_not_waited_for():
    lost = [walking.Begin(), walking.Reported("s0", "failed", "ready"), walking.Reported("s0", "ended", "failed")]
    assert walked(*lost, walking.Attached("s0", idle=True))[0].finished
    walk, actions = walked(walking.Begin(), walking.Abort("why"), walking.Attached("s0"))
    assert not walk.finished
    assert actions == (walking.StopAll(("s0",), "why"),)


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (machine.Status(), None),
        (machine.Status(0, 1, "running", machine.ARMED), None),
        (machine.Status(0, 1, "done", machine.REACHED), ("reached", "done")),
        (machine.Status(0, 1, "failed", machine.ENDED, "broken"), ("ended", "failed")),
    ],
)
def test_a_worker_that_died_before_its_last_word_knows_it(status, said):
    report = machine.last_word(status)
    assert (report and (report.kind, report.state)) == said
