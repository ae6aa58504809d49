# SPDX-License-Identifier: GPL-3.0-or-later

"""Machines that are broken on purpose, one defect each: what the model must find, and by which promise."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ansible_collections.netbench.orchestrator.plugins.module_utils._protocol import machine
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._coordinator import walk as walking

from . import promises

# Walks


def one_server_is_enough(walk: walking.Walk, event: Any, course: walking.Course) -> walking.Next:
    servers = course.groups["servers"]
    running = isinstance(event, walking.Reported) and (event.kind, event.state) == ("reached", "running")
    if running and event.host in servers:
        others = dict.fromkeys((host for host in servers if host != event.host), 1)
        walk = replace(walk, reached=walking.Ranks({**walk.reached, **others}), awaited=1)
    return walking.step(walk, event, course)


def survey_beats_verdict(walk: walking.Walk, event: Any, course: walking.Course) -> walking.Next:
    if isinstance(event, walking.Surveyed) and walk.verdict and not walk.finished:
        released, actions = walking.step(replace(walk, verdict=None, surveying=True), event, course)
        return replace(released, verdict=walk.verdict), actions
    return walking.step(walk, event, course)


def what_was_said_before_is_not_heard(walk: walking.Walk, event: Any, course: walking.Course) -> walking.Next:
    lost = isinstance(event, walking.Reported) and event.kind in ("failed", "aborted")
    return (walk, ()) if lost and walk.position < 0 else walking.step(walk, event, course)


def who_has_reached_nothing_is_not_adopted(walk: walking.Walk, event: Any, course: walking.Course) -> walking.Next:
    if isinstance(event, walking.Adopted) and event.state is None:
        return walk, ()
    return walking.step(walk, event, course)


def idle_hosts_are_stopped(walk: walking.Walk, event: Any, course: walking.Course) -> walking.Next:
    if isinstance(event, walking.Attached):
        event = walking.Attached(event.host)
    return walking.step(walk, event, course)


def no_deadline(walk: walking.Walk, event: Any, course: walking.Course) -> walking.Next:
    after, actions = walking.step(walk, event, course)
    return after, tuple(action for action in actions if not isinstance(action, walking.Wait))


def two_verdicts(walk: walking.Walk, event: Any, course: walking.Course) -> walking.Next:
    after, actions = walking.step(walk, event, course)
    again = walk.finished and isinstance(event, (walking.Reported, walking.Gone))
    return after, (*actions, walking.Over("failed")) if again else actions


def no_verdict(walk: walking.Walk, event: Any, course: walking.Course) -> walking.Next:
    after, actions = walking.step(walk, event, course)
    return after, tuple(action for action in actions if not isinstance(action, walking.Over))


def the_last_word_decides(walk: walking.Walk, event: Any, course: walking.Course) -> walking.Next:
    after, actions = walking.step(walk, event, course)
    aborted = isinstance(event, walking.Reported) and event.kind == "aborted"
    return (replace(after, verdict="aborted"), actions) if aborted else (after, actions)


def servers_need_not_be_done(walk: walking.Walk, event: Any, course: walking.Course) -> walking.Next:
    return walking.step(walk, event, replace(course, steps=course.steps[:-1]))


# Workers


def failure_is_success(status: machine.Status, event: Any, point: Any) -> machine.Step:
    if event == machine.Failed("broken") and status.state == "running":
        event = machine.Exited()
    return machine.step(status, event, point)


def failure_is_an_end(status: machine.Status, event: Any, point: Any) -> machine.Step:
    if isinstance(event, machine.Failed) and status.state == "running":
        return replace(status, state="done", phase=machine.REACHED), ()
    return machine.step(status, event, point)


def ended_is_started_again(status: machine.Status, event: Any, point: Any) -> machine.Step:
    if isinstance(event, machine.Enter) and status.phase == machine.ENDED:
        status = machine.Status()
    return machine.step(status, event, point)


def asked_again_is_launched_again(status: machine.Status, event: Any, point: Any) -> machine.Step:
    if isinstance(event, machine.Enter) and event.state == status.state == "running" and not status.over:
        status = replace(status, state="ready", phase=machine.REACHED)
    return machine.step(status, event, point)


def aborted_goes_on(status: machine.Status, event: Any, point: Any) -> machine.Step:
    if isinstance(event, machine.Enter) and event.state == "running" and status.state == "aborted":
        status = replace(status, state="ready", phase=machine.REACHED)
    return machine.step(status, event, point)


def stop_is_ignored(status: machine.Status, event: Any, point: Any) -> machine.Step:
    return (status, ()) if isinstance(event, machine.Stop) else machine.step(status, event, point)


def nothing_is_cleared_after_a_restart(status: machine.Status, event: Any, point: Any) -> machine.Step:
    after, actions = machine.step(status, event, point)
    restarted = event == machine.Failed("why")
    return after, tuple(action for action in actions if not (restarted and isinstance(action, machine.Clear)))


def nothing_is_watched(status: machine.Status, event: Any, point: Any) -> machine.Step:
    after, actions = machine.step(status, event, point)
    return after, tuple(action for action in actions if not isinstance(action, machine.Watch))


def late_is_not_said(status: machine.Status, event: Any, point: Any) -> machine.Step:
    after, actions = machine.step(status, event, point)
    return (after, ()) if isinstance(event, machine.TooLate) else (after, actions)


def nothing_is_said_twice(_status: machine.Status) -> machine.Report | None:
    return None


@dataclass(frozen=True)
class Mutation:
    """``faults`` in whose company, with so many servers and one client, it does its harm."""

    steps: Mapping[str, Callable[..., Any]]
    faults: tuple[str, ...]
    finding: str
    servers: int = 1


def _walk(step: Callable[..., Any], finding: str, *faults: str, servers: int = 1) -> Mutation:
    return Mutation({"walk_step": step}, faults, finding, servers)


def _worker(step: Callable[..., Any], finding: str, *faults: str) -> Mutation:
    return Mutation({"worker_step": step}, faults, finding)


MUTATIONS = {
    "one server is enough": _walk(one_server_is_enough, promises.TOO_EARLY, servers=2),
    "the survey beats the verdict": _walk(survey_beats_verdict, promises.SENT_AFTER_VERDICT, "crash"),
    "what was said before is not heard": _walk(
        what_was_said_before_is_not_heard, promises.RELEASED_THOUGH_LOST, "crash"
    ),
    "who has reached nothing is not adopted": _walk(
        who_has_reached_nothing_is_not_adopted, promises.STILL_AT_WORK, "crash", servers=2
    ),
    "idle hosts are stopped": _walk(idle_hosts_are_stopped, promises.IN_VAIN, "crash", "loss"),
    "no deadline": _walk(no_deadline, promises.WAITS_FOREVER),
    "two verdicts": _walk(two_verdicts, promises.TWO_VERDICTS, "duplicate"),
    "no verdict": _walk(no_verdict, promises.NO_VERDICT),
    "the last word decides": _walk(the_last_word_decides, promises.OTHER_VERDICT, "crash"),
    "servers need not be done": _walk(servers_need_not_be_done, promises.OK_TOO_EARLY),
    "a failure is a success": _worker(failure_is_success, promises.SAID_DONE, "crash"),
    "a failure is an end": _worker(failure_is_an_end, promises.DONE_OF_A_FAILURE, "crash"),
    "what has ended is started again": _worker(ended_is_started_again, promises.PREPARED_TWICE, "crash", "duplicate"),
    "what is asked for again is launched again": _worker(
        asked_again_is_launched_again, promises.STARTED_TWICE, "duplicate"
    ),
    "what was aborted goes on": _worker(aborted_goes_on, promises.STARTED_AFTER_ABORT, "delay"),
    "a stop is ignored": _worker(stop_is_ignored, promises.WORKER_WAITS_FOREVER, "crash"),
    "nothing is cleared after a restart": _worker(nothing_is_cleared_after_a_restart, promises.LEFT_ALONE, "crash"),
    "nothing is watched": _worker(nothing_is_watched, promises.WORKER_WAITS_FOREVER),
    "late is not said": _worker(late_is_not_said, promises.IN_VAIN),
    "a worker that is back says nothing": Mutation({"last_word": nothing_is_said_twice}, ("crash",), promises.IN_VAIN),
}
