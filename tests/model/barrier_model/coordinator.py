# SPDX-License-Identifier: GPL-3.0-or-later

"""The coordinator of the model: the walk, what carries it out, and a second coordinator after the first has died.

A decision is a function of what the coordinator knows (:class:`Coordinator`, and a :class:`View` of each host) and of
a stimulus. It yields the next coordinator and one :class:`Effect` for each host, so decisions can be remembered.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from ansible_collections.netbench.orchestrator.plugins.plugin_utils._coordinator import walk as walking

from . import promises
from .host import LOST, STATES, Host, Message

Stimulus = tuple[Any, ...]  # ("read", message), ("astray", i, message), ("gone",), or one of GLOBAL
GLOBAL: tuple[Stimulus, ...] = (
    ("surveyed",), ("late",), ("late", "early"), ("late", "in vain"),
    ("abort",), ("crash",), ("record",), ("take up",), ("silent",),
)  # fmt: skip
SPENT: dict[Stimulus, str] = {("abort",): "crash", ("late", "early"): "delay"}


class Coordinator(NamedTuple):
    position: int = -1
    surveying: bool = False
    released: bool = False
    verdict: str | None = None
    finished: bool = False
    survey: bool = False  # a survey of the clocks is under way
    waits: bool = False  # a deadline is set
    life: str = "walking"  # opening: attaches to all hosts before it takes up the walk; recorded: the line is written
    verdicts: int = 0
    tokens: frozenset[str] = frozenset()  # crash: it dies, or somebody presses Ctrl-C; delay: a deadline of its passes
    broken: str = ""


class View(NamedTuple):
    """What it knows of a host; ``greeting``: the reply to a hello that was not used yet."""

    rank: int
    entered: bool
    over: bool
    observed: bool
    known_lost: bool
    greeting: Message | None


def view(host: Host) -> View:
    return View(host.rank, host.entered, host.over, host.observed, host.known_lost, host.greeting)


class Effect(NamedTuple):
    """What a decision does to a host, after the stimulus was taken from the one it came from."""

    rank: int
    entered: bool
    over: bool
    observed: bool
    known_lost: bool
    posts: tuple[Message, ...] = ()
    happens: str = ""  # crash, record, take up
    claimed: bool = False  # from now on nothing of the sample is left on it, says the coordinator


FORGOTTEN = Effect(-1, entered=False, over=False, observed=True, known_lost=False)


def stimuli(host: Host, life: str) -> list[Stimulus]:
    """What the coordinator may hear of this host next. One that begins hears the greeting, and then as it comes."""
    found: list[Stimulus] = []
    if life == "recorded":
        return found
    if life == "opening":
        greets = host.outbox and (host.outbox[0][0] == "greeting" or host.link == "greeted")
        return [("read", host.outbox[0])] if greets else found
    if host.outbox:
        found.append(("read", host.outbox[0]))
    found += [("astray", i, message) for i, (way, message) in enumerate(host.astray) if way == "out"]
    if host.link == "down":
        found.append(("gone",))
    return found


def course(servers: int, clients: int) -> walking.Course:
    steps = (
        walking.Step("servers", "ready", "at_once", 5),
        walking.Step("clients", "ready", "at_once", 5),
        walking.Step("servers", "running", "at_once", 5),
        walking.Step("clients", "running", "at_t0", 5),
        walking.Step("clients", "done", "by_itself", 5),
        walking.Step("servers", "done", "at_once", 5),
    )
    groups = {
        "servers": tuple(f"s{i}" for i in range(servers)),
        "clients": tuple(f"c{i}" for i in range(clients)),
    }
    return walking.Course(steps, groups, {"servers": STATES, "clients": STATES})


class Decisions:
    """``step`` is the walk under test."""

    def __init__(self, course: walking.Course, step: Callable[..., walking.Next] = walking.step) -> None:
        self.course = course
        self._step = step
        self._hosts = course.hosts
        self._servers = len(course.groups["servers"])

    def decide(
        self, before: Coordinator, views: Sequence[View], at: int | None, stimulus: Stimulus
    ) -> tuple[Coordinator, tuple[Effect, ...]]:
        """``at``: which host the stimulus came from."""
        if stimulus == ("silent",):
            return before._replace(broken=promises.LEFT_ALONE), _unchanged(views)
        if stimulus == ("late", "in vain"):
            before = before._replace(broken=promises.IN_VAIN)
        if stimulus == ("record",):
            return before._replace(life="recorded"), _unchanged(views, happens="record")
        if stimulus == ("crash",):  # and the same command is given again
            after = Coordinator(life="opening", tokens=before.tokens - {"crash"}, broken=before.broken)
            fresh = tuple(each._replace(rank=-1, entered=False, over=False) for each in views)
            return after, _unchanged(fresh, happens="crash")
        if stimulus in SPENT:
            before = before._replace(tokens=before.tokens - {SPENT[stimulus]})
        heard = self._heard(before, views, at, stimulus)
        return self._walk(before, views, at, stimulus, heard)

    def _heard(
        self, before: Coordinator, views: Sequence[View], at: int | None, stimulus: Stimulus
    ) -> list[walking.Event]:
        """The walk's events."""
        what = stimulus[0]
        if what == "surveyed":
            return [walking.Surveyed()]
        if what == "late":
            return [walking.Late()]
        if what == "abort":
            return [walking.Abort("why")]
        if what == "take up":
            return [*self._taken_up(views), walking.Begin()]
        if at is None:
            raise AssertionError(stimulus)
        host = self._hosts[at]
        if what == "gone":
            return [walking.Gone(host, "why")]
        message = stimulus[-1]
        if before.life == "opening":
            return []  # kept until the walk is taken up
        if message[0] == "greeting":
            said = [walking.Reported(host, kind, state, "why") for kind, state in message[2]]
            return [*said, walking.Attached(host, idle=message[1] == "idle")]
        return [walking.Reported(host, message[0], message[1], "why")]

    def _taken_up(self, views: Sequence[View]) -> list[walking.Event]:
        """What every host has said, in the order of the hosts: which verdict is the first makes no difference here."""
        adopted: list[walking.Event] = []
        said: list[walking.Event] = []
        for host, each in zip(self._hosts, views, strict=True):
            _kind, known, reports = each.greeting or (None, "idle", ())
            adopted += [walking.Adopted(host, known)] if known != "idle" else []
            said += [walking.Reported(host, kind, state, "why") for kind, state in reports]
        return adopted + said

    def _walk(
        self, before: Coordinator, views: Sequence[View], at: int | None, stimulus: Stimulus, heard: list[walking.Event]
    ) -> tuple[Coordinator, tuple[Effect, ...]]:
        after = before._replace(survey=before.survey and stimulus[0] != "surveyed")
        if stimulus[0] == "take up":
            after = after._replace(life="walking")
        walk = walking.Walk(
            position=before.position,
            reached=walking.Ranks(
                {host: each.rank for host, each in zip(self._hosts, views, strict=True) if each.rank >= 0}
            ),
            awaited=self._awaited(before.position, views),
            surveying=before.surveying,
            released=before.released,
            verdict=before.verdict,
            reason="why" if before.verdict else None,
            entered=frozenset(host for host, each in zip(self._hosts, views, strict=True) if each.entered),
            over=frozenset(host for host, each in zip(self._hosts, views, strict=True) if each.over),
            finished=before.finished,
        )
        observed = [each.observed for each in views]
        lost = [each.known_lost for each in views]
        posts: list[list[Message]] = [[] for _host in self._hosts]
        broken = after.broken
        for event in heard:
            if isinstance(event, walking.Adopted) and event.state in ("running", "done"):
                observed[self._hosts.index(event.host)] = True
            if isinstance(event, walking.Reported) and (event.kind, event.state) == ("reached", "running"):
                observed[self._hosts.index(event.host)] = True
            if isinstance(event, walking.Reported) and event.kind in LOST:
                lost[self._hosts.index(event.host)] = True
            verdict = walk.verdict
            walk, actions = self._step(walk, event, self.course)
            for action in actions:
                if isinstance(action, walking.Send):
                    broken = broken or self._wrong(action, verdict, observed, lost)
                    posts[self._hosts.index(action.host)].append(("enter", action.state))
                elif isinstance(action, walking.StopAll):
                    for host in action.hosts:
                        posts[self._hosts.index(host)].append(("stop",))
                elif isinstance(action, walking.Survey):
                    after = after._replace(survey=True)
                elif isinstance(action, walking.Wait):
                    after = after._replace(waits=True)
                elif isinstance(action, walking.Over):
                    after = after._replace(verdicts=after.verdicts + 1)
            if verdict and walk.verdict != verdict:
                broken = broken or promises.OTHER_VERDICT
        after = after._replace(
            position=walk.position,
            surveying=walk.surveying,
            released=walk.released,
            verdict=walk.verdict,
            finished=walk.finished,
        )
        ranks = walk.reached
        if (
            walk.verdict == "ok"
            and not before.finished
            and any(ranks.get(host) != len(STATES) - 1 for host in self._hosts)
        ):
            broken = broken or promises.OK_TOO_EARLY
        if after.verdicts > 1:
            broken = broken or promises.TWO_VERDICTS
        if walk.finished != (after.verdicts == 1):
            broken = broken or promises.NO_VERDICT
        if after.life == "walking" and not after.finished and not after.waits:
            broken = broken or promises.WAITS_FOREVER
        effects = tuple(
            Effect(
                rank=ranks.get(host, -1),
                entered=host in walk.entered,
                over=host in walk.over,
                observed=observed[index],
                known_lost=lost[index],
                posts=tuple(posts[index]),
                happens="take up" if stimulus[0] == "take up" else "",
                claimed=host in walk.over and not views[index].over and (index, stimulus[0]) != (at, "gone"),
            )
            for index, host in enumerate(self._hosts)
        )
        if after.finished and "crash" not in after.tokens:  # what it knows is of no use any more
            effects = tuple(
                FORGOTTEN._replace(posts=each.posts, happens=each.happens, claimed=each.claimed) for each in effects
            )
        return after._replace(broken=broken), effects

    def _awaited(self, position: int, views: Sequence[View]) -> int:
        """Follows from the rest, and so is no part of what is told apart."""
        if position < 0:
            return 0
        current = self.course.steps[position]
        ranks = dict(zip(self._hosts, views, strict=True))
        rank = self.course.rank
        return sum(ranks[host].rank < rank(host, current.state) for host in self.course.groups[current.group])

    def _wrong(self, send: walking.Send, verdict: str | None, observed: list[bool], lost: list[bool]) -> str:
        """What is wrong with sending this now."""
        if verdict:
            return promises.SENT_AFTER_VERDICT
        if send.at_t0 and not all(observed[: self._servers]):
            return promises.TOO_EARLY
        if send.at_t0 and any(lost):
            return promises.RELEASED_THOUGH_LOST
        return ""


def _unchanged(views: Sequence[View], happens: str = "") -> tuple[Effect, ...]:
    return tuple(Effect(*each[:5], happens=happens) for each in views)


def taken(host: Host, life: str, stimulus: Stimulus) -> Host:
    """The host after its stimulus has reached the coordinator."""
    what = stimulus[0]
    if what == "gone":
        return host._replace(link="gone")
    if what == "astray":
        index = stimulus[1]
        return host._replace(astray=host.astray[:index] + host.astray[index + 1 :])
    host = host._replace(outbox=host.outbox[1:])
    if life == "opening" and stimulus[1][0] != "greeting":
        return host._replace(greeting=also_heard(host.greeting, stimulus[1]))
    if stimulus[1][0] != "greeting" or host.link != "greeting":  # the answer may come from a channel that is lost again
        return host
    return host._replace(link="up") if life == "walking" else host._replace(link="greeted", greeting=stimulus[1])


def also_heard(greeting: Message | None, message: Message) -> Message:
    """A greeting, and what was said after it."""
    if greeting is None:
        raise AssertionError(message)
    return (*greeting[:2], (*greeting[2], message))


def affected(host: Host, effect: Effect) -> Host:
    """The host after a decision. What is posted on a channel that is down is lost."""
    if effect.happens == "crash":
        host = host._replace(link="down", outbox=(), greeting=None)
    elif effect.happens == "record":
        host = host._replace(link="gone", outbox=())
    elif effect.happens == "take up":
        host = host._replace(link="up", greeting=None)
    if effect.claimed and at_work(host):
        host = host._replace(broken=host.broken or promises.STILL_AT_WORK)
    host = host._replace(
        rank=effect.rank,
        entered=effect.entered,
        over=effect.over,
        observed=effect.observed,
        known_lost=effect.known_lost,
    )
    if not effect.posts:
        return host
    if host.link == "up":
        return host._replace(inbox=(*host.inbox, *effect.posts)) if host.alive else host
    return host._replace(link="down") if host.link == "gone" else host


def at_work(host: Host) -> bool:
    """Whether the worker works on the sample, or is about to. What comes out of order may start what is over."""
    if not host.alive or host.disordered:
        return False
    return not host.status.over or (host.status.sample < 0 and ("enter", STATES[0]) in host.inbox)
