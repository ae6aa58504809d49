# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The worker's state machine: single steps, and rules that hold on every path that hypothesis can find."""

from __future__ import annotations

from collections import Counter

import pytest
from ansible_collections.netbench.orchestrator.plugins.module_utils._protocol import plan
from ansible_collections.netbench.orchestrator.plugins.module_utils._protocol.machine import (
    ARMED,
    ENDED,
    ENDING,
    ENTERING,
    REACHED,
    Arm,
    Armed,
    Clear,
    Cleared,
    Enter,
    Exited,
    Failed,
    Finish,
    Launch,
    Prepare,
    Report,
    RuleMet,
    Status,
    Stop,
    TooLate,
    Watch,
    step,
)
from hypothesis import given, settings
from hypothesis import strategies as st


def point(entry="at_once", stop=None, extra=()):
    names = ["ready", "running", *extra, "done"]
    rules = {"ready": "prepared", "done": "stopped"}
    states = [
        {"name": name, "reached": {"rule": rules.get(name, "started")}, "deadline_s": 5, "entry": entry}
        if name == "running"
        else {"name": name, "reached": {"rule": rules.get(name, "started")}, "deadline_s": 5}
        for name in names
    ]
    processes = [{"name": "p", "command": ["p"]}]
    record = {"processes": processes, "states": states, "stop": stop or {"rule": "exit"}}
    document = {"schema": 1, "run_id": "r", "suite": "s", "host": "h", "group": "g", "index": 0}
    return plan.build({**document, "points": [record], "samples": [0, 0]}).points[0]


CLIENT = point("at_t0")
SERVER = point(stop={"rule": "signal"})
TIMED = point("at_t0", stop={"rule": "signal", "after_s": 1})
WARM = point(extra=["warm"], stop={"rule": "signal"})
SELF = point()
POINTS = (CLIENT, SERVER, TIMED, WARM, SELF)


def walk(which, *events, status=None):
    """The status after these events, and all actions on the way."""
    status, done = status or Status(), []
    for event in events:
        status, actions = step(status, event, which)
        done += actions
    return status, done


def kinds(actions):
    return [action.kind for action in actions if isinstance(action, Report)]


READY = (Enter(0, 1, "ready"), RuleMet("ready"))


def test_a_client_walks_to_done_by_itself():
    armed = (Enter(0, 1, "running", 9), Armed(), RuleMet("running"))
    status, actions = walk(CLIENT, *READY, *armed, Exited(), RuleMet("done"))
    assert status == Status(0, 1, "done", REACHED, exited=True)
    assert kinds(actions) == ["reached", "armed", "reached"]
    assert [type(action) for action in actions if not isinstance(action, Report)] == [
        Prepare, Watch, Arm, Watch, Finish,
    ]  # fmt: skip


def test_a_server_is_ended_when_asked():
    status, actions = walk(
        SERVER, *READY, Enter(0, 1, "running"), RuleMet("running"), Enter(0, 1, "done"), Exited(), RuleMet("done")
    )
    assert (status.state, status.phase) == ("done", REACHED)
    assert kinds(actions) == ["reached"] * 3


def test_a_server_that_ends_by_itself_has_failed():
    status, actions = walk(SERVER, *READY, Enter(0, 1, "running"), RuleMet("running"), Exited())
    assert (status.state, status.phase) == ("failed", ENDING)
    assert kinds(actions)[-1] == "failed"
    assert isinstance(actions[-1], Clear)


def test_too_late_goes_back_to_ready_and_may_be_tried_again():
    status, actions = walk(CLIENT, *READY, Enter(0, 1, "running", 9), TooLate())
    assert (status.state, status.phase, kinds(actions)[-1]) == ("ready", REACHED, "late")
    status, _actions = walk(CLIENT, Enter(0, 1, "running", 99), Armed(), status=status)
    assert status.phase == ARMED


@pytest.mark.parametrize("event", [Armed(), TooLate()])
def test_nobody_is_armed_who_was_not_asked_to(event):
    ready, _actions = walk(CLIENT, *READY)
    assert step(ready, event, CLIENT) == (ready, ())


@pytest.mark.parametrize(
    ("events", "reason"),
    [
        ([Enter(0, 1, "running")], "a sample begins with 'ready'"),
        ([Enter(0, 1, "nonsense")], "there is no such sample or state in the plan"),
        ([*READY, Enter(1, 1, "ready")], "sample 0 is still ready"),
        ([*READY, Enter(0, 1, "done")], "'done' does not follow 'ready' (reached)"),
        ([Enter(0, 1, "ready"), Enter(0, 1, "running")], "'running' does not follow 'ready' (entering)"),
        ([*READY, Stop("x"), Cleared(), Enter(0, 1, "ready")], "this sample has ended here, it is not started twice"),
    ],
)
def test_what_does_not_fit_is_refused_and_changes_nothing(events, reason):
    before, _actions = walk(SERVER, *events[:-1])
    after, (report,) = step(before, events[-1], SERVER)
    assert (report.kind, report.reason, after) == ("refused", reason, before)


def test_no_instant_is_refused_and_a_sample_that_does_not_exist_too():
    status, actions = walk(CLIENT, *READY, Enter(0, 1, "running"))
    assert (kinds(actions)[-1], status.state) == ("refused", "ready")
    _status, (report,) = step(status, Enter(7, 1, "ready"), None)
    assert report.kind == "refused"


@pytest.mark.parametrize("which", POINTS)
def test_a_repeated_request_is_answered_again_and_does_nothing(which):
    status, _actions = walk(which, *READY)
    again, actions = step(status, Enter(0, 1, "ready"), which)
    assert (again, kinds(actions), len(actions)) == (status, ["reached"], 1)


NAMES = st.sampled_from(["ready", "running", "warm", "done", "nonsense"])
EVENTS = st.one_of(
    st.builds(Enter, st.integers(0, 2), st.integers(1, 2), NAMES, st.none() | st.just(5)),
    st.builds(RuleMet, NAMES),
    st.sampled_from([Stop("s"), Failed("f"), Armed(), TooLate(), Exited(), Cleared()]),
)


@settings(max_examples=8 * settings.default.max_examples)
@given(st.sampled_from(POINTS), st.lists(EVENTS, max_size=40))
def test_rules_that_hold_whatever_happens(which, events):
    status = Status()
    verdicts: Counter[tuple[int, int]] = Counter()
    prepared: Counter[tuple[int, int]] = Counter()
    for event in events:
        known = which if not isinstance(event, Enter) or event.sample < 2 else None
        before = status
        status, actions = step(before, event, known)
        assert status.key >= before.key, "samples only go forward"
        assert status.phase in (ENTERING, ARMED, REACHED, ENDING, ENDED)
        for action in actions:
            if isinstance(action, Prepare):
                prepared[status.key] += 1
            if isinstance(action, (Launch, Arm)):
                assert status.state == "running"
                assert before.phase == REACHED, "released from ready, nowhere else"
            if isinstance(action, Report):
                assert action.kind != "refused" or status == before
            if isinstance(action, Finish):
                assert status.state == "done"
        if before.phase == ENDING and status.key == before.key:
            assert status.state == before.state, "a verdict stands"
            assert not any(isinstance(action, (Launch, Arm, Prepare)) for action in actions)
        if status.state == "done" and status.phase == REACHED and status != before:
            assert isinstance(event, RuleMet)
            assert before.state == "done"
            verdicts[status.key] += 1
        if status.phase == ENDED and status.sample >= 0 and status != before:
            assert isinstance(event, Cleared)
            verdicts[status.key] += 1
    assert all(count == 1 for count in prepared.values()), "no sample starts twice"
    assert all(count == 1 for count in verdicts.values()), "one verdict for each sample"


@settings(max_examples=4 * settings.default.max_examples)
@given(st.sampled_from(POINTS), st.lists(EVENTS, max_size=25))
def test_a_lost_sample_can_always_be_ended(which, events):
    status, _actions = walk(which, *[event for event in events if not isinstance(event, Enter) or event.sample < 2])
    over, actions = walk(which, Stop("enough"), Cleared(), status=status)
    assert over.over
    if not status.over and status.phase != ENDING:
        assert kinds(actions) == ["aborted", "ended"]
