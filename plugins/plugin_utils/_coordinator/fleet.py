# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The channels to all workers of a run, opened, mended and let go together. Private to this collection."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import math
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from ...module_utils._worker.sockdiag import segments
from . import remote, surveys
from .channel import Channel
from .clock import Bound
from .endpoint import Endpoint
from .errors import ChannelError, CoordinatorError, HostError, Refused
from .joining import Joining

PARALLEL = 16  # connections being opened at the same time: more only fight for the control node's processor
ATTACH_AGAIN_S = 6.0  # systemd restarts a worker within one
ATTACH_ATTEMPTS = 2  # at least: on a busy machine one may take longer than all the time there is
ATTACH_PAUSE_S = 0.3
RETURN_S = 2.0  # for a host that was given up; it holds up the others
SILENT_S = 5.0  # a host that is waited for and has said nothing for so long is asked whether it is there
LOOK_S = 1.0
PARTED = "let go for the window"
GOODBYE_S, GOODBYE_PAUSE_S = 2.0, 0.005

OnEvent = Callable[[str, str, dict[str, Any]], None]  # (host, "report" | "lost" | "attached" | "gone", message)


class Fleet:
    """All workers of one run.

    ``on_event`` is told of reports, of hosts that are attached again and of hosts that are gone.
    """

    def __init__(
        self,
        *,
        run_id: str,
        coordinator: str,
        endpoints: Mapping[str, Endpoint],
        plans: Mapping[str, tuple[str, bytes]],  # host -> (sha256, encoded)
        lease_s: float,
        on_event: OnEvent,
        may_take_over: Callable[[str], bool],
    ) -> None:
        self._run_id = run_id
        self._joining = Joining(run_id, coordinator, plans, lease_s, may_take_over)
        self._endpoints = endpoints
        self._on_event = on_event
        self._channels: dict[str, Channel] = {}
        self._mending: dict[str, asyncio.Task[None]] = {}
        self._asking: dict[str, asyncio.Task[None]] = {}
        self._closing = False
        self._gate = asyncio.Semaphore(PARALLEL)
        self._alone = {host for host, endpoint in endpoints.items() if endpoint.speaks}  # connections of their own
        self._silent_until = 0.0  # time.monotonic()
        self._may_speak = asyncio.Event()
        self.spoke_ns: int | None = None  # when something was first said to a host after the silence
        self.greetings: dict[str, dict[str, Any]] = {}  # host -> the latest reply to hello

    # All together

    async def open(self, *, all_needed: bool = True) -> dict[str, str]:
        """Delivers the plans and attaches to every worker; returns hosts that failed, with the reason.

        Raises CoordinatorError naming every host that failed, when all are needed or none is there.
        """

        async def one(host: str) -> None:
            async with self._gate:
                await self._joining.deliver(self._endpoints[host])
                await self._attach(host)
                if host in self._alone:
                    await remote.hush(self._endpoints[host])

        hosts = list(self._endpoints)
        problems: dict[str, str] = {}
        for result in await asyncio.gather(*(one(host) for host in hosts), return_exceptions=True):
            if isinstance(result, HostError):
                problems[result.host] = result.problem
            elif isinstance(result, BaseException):
                raise result
        if problems and (all_needed or len(problems) == len(hosts)):
            raise CoordinatorError(cannot_take_part(problems, len(hosts)))
        return problems

    async def close(self, *, finish: bool) -> None:
        """Lets go of every worker; ``finish`` tells them that the run is over. Never raises.

        One that was cut off is told as well, if it can be reached by now: it would take its dead connection for a
        coordinator that is there, and refuse the next one.
        """
        self._closing = True
        tasks = [*self._mending.values(), *self._asking.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if finish:  # an unfinished worker ends by its lease
            await asyncio.gather(*map(self._finish, self._channels), return_exceptions=True)
        await asyncio.gather(*(channel.close() for channel in self._channels.values()), return_exceptions=True)

    async def _finish(self, host: str) -> None:
        channel = self._channels[host]
        try:
            await channel.request("finish", run_id=self._run_id, timeout_s=surveys.ANSWER_S)
        except Refused:
            raise
        except ChannelError as problem:
            await self._give_up(channel, problem)
            self._alone.add(host)
            if await self.try_again(host):
                await self._channels[host].request("finish", run_id=self._run_id, timeout_s=surveys.ANSWER_S)

    def send(self, host: str, kind: str, **fields: Any) -> None:
        """To one worker. On a lost channel nothing is sent: its host will be announced as attached again, or gone."""
        try:
            self._channels[host].send(kind, **fields)
        except ChannelError:
            self._lost(host, "the channel is down")

    async def survey(self, hosts: Iterable[str]) -> dict[str, Bound]:
        """The clock offset of each host that answers, from several round trips; one that has to be reached anew for it
        is surveyed when it is back.
        """
        named = list(hosts)
        bounds = await self._survey(named)
        if any(host in self._mending for host in named):
            await self.whole()
            bounds |= await self._survey(host for host in named if host not in bounds and self._channels[host].is_open)
        return bounds

    async def _survey(self, hosts: Iterable[str]) -> dict[str, Bound]:
        return await surveys.survey_all(self._channels, hosts, self._give_up)

    def slowest_way_ns(self, hosts: Iterable[str]) -> int:
        """The slowest of the hosts' latest round trips as they were seen here."""
        return surveys.slowest_way_ns(self._channels, hosts)

    def keep_silence(self, until: float | None) -> None:
        """Nobody is asked and no lost channel is taken up again before ``until`` (time.monotonic(); None: nobody
        knows), or before :meth:`break_silence`.
        """
        self._silent_until = math.inf if until is None else until
        self.spoke_ns = None
        self._may_speak.clear()

    def break_silence(self) -> None:
        self._silent_until = min(self._silent_until, time.monotonic())
        self._may_speak.set()

    async def watch(self, awaited: Callable[[], Iterable[str]]) -> None:
        """Asks whoever is waited for and has said nothing for long, as long as this task lives."""
        while True:
            await self._silence_over()
            long_ago_s = time.monotonic() - SILENT_S
            if self._silent_until <= long_ago_s:
                self._ask(host for host in awaited() if self._unheard_since(host, long_ago_s))
            await asyncio.sleep(LOOK_S)

    def in_doubt(self, awaited: Iterable[str]) -> bool:
        """Whether one of these hosts is being asked, now at the latest, or taken up again."""
        hosts, long_ago_s = list(awaited), time.monotonic() - SILENT_S
        self._ask(host for host in hosts if self._unheard_since(host, long_ago_s))
        return any(host in self._asking or host in self._mending for host in hosts)

    def _unheard_since(self, host: str, instant_s: float) -> bool:
        channel = self._channels.get(host)
        return channel is not None and channel.is_open and channel.heard_s <= instant_s

    def _ask(self, hosts: Iterable[str]) -> None:
        for host in hosts:
            if host not in self._asking:
                self._asking[host] = asyncio.create_task(self._is_there(self._channels[host]))
                self._asking[host].add_done_callback(partial(self._asked, host))

    def _asked(self, host: str, task: asyncio.Task[None]) -> None:
        del self._asking[host]
        if not task.cancelled():
            task.result()

    async def _is_there(self, channel: Channel) -> None:
        self.spoke_ns = self.spoke_ns or time.monotonic_ns()
        try:
            await channel.request("clock", timeout_s=surveys.ANSWER_S)
        except ChannelError as problem:
            await self._give_up(channel, problem)

    async def _give_up(self, channel: Channel, problem: ChannelError) -> None:
        """Of a channel that does not answer: it may be half open, and Ansible's idle connection with it. So it is
        taken up again on a connection of its own.
        """
        if channel.is_open and not isinstance(problem, Refused):
            self._alone.add(channel.host)
            channel.give_up(problem.problem)
            await remote.hush(self._endpoints[channel.host])

    def stand_alone(self, hosts: Iterable[str]) -> None:
        """The channels to these hosts get connections of their own, which end when let go; those that are there at
        once, between two samples."""
        shared = set(hosts) - self._alone
        self._alone |= shared
        for host in shared & set(self._channels):
            self._lost(host, PARTED, after=asyncio.create_task(self._leave_shared(host)))

    async def part(self, hosts: Iterable[str]) -> None:
        """Lets go of these channels; each is taken up again when the silence is over. Returns when all goodbyes are
        said."""
        leaving = {host: asyncio.create_task(self._leave(host)) for host in hosts if host not in self._mending}
        for host, task in leaving.items():
            self._lost(host, PARTED, after=task)
        if leaving:
            await asyncio.wait(list(leaving.values()))

    def unreachable(self) -> set[str]:
        """Hosts whose channel is down, and is not being taken up again."""
        here = {host for host, channel in self._channels.items() if channel.is_open}
        return set(self._endpoints) - here - set(self._mending)

    async def try_again(self, host: str) -> bool:
        """Whether a host that was unreachable is there again, with nothing of an earlier sample going on."""
        until = time.monotonic() + RETURN_S
        try:
            if host in self.unreachable():
                old = self._channels.get(host)
                async with asyncio.timeout(RETURN_S):
                    if host not in self._channels:
                        await self._joining.deliver(self._endpoints[host])
                    await self._attach(host)
                if old:
                    await old.close()
            channel = self._channels[host]
            while not over(status := self.greetings[host]["status"] or {}):
                channel.send("stop", reason="its coordinator is back, and went on without it")
                await asyncio.sleep(ATTACH_PAUSE_S)
                self.greetings[host] = await self._joining.greet(channel)
                if time.monotonic() > until:
                    return False
            return status.get("run_id") in (None, self._run_id)
        except (HostError, TimeoutError):
            return False

    async def whole(self) -> None:
        """Waits for channels that are being taken up again."""
        if self._mending:
            await asyncio.wait(list(self._mending.values()))

    # One host

    async def _attach(self, host: str) -> dict[str, Any]:
        endpoint = self._endpoints[host]
        if host in self._alone:
            endpoint = endpoint.on_its_own()
        channel, greeting = await self._joining.attach(endpoint, self._report, self._lost)
        self._channels[host] = channel
        self.greetings[host] = greeting
        return greeting

    def _report(self, host: str, message: dict[str, Any]) -> None:
        self._on_event(host, "report", message)

    async def _leave(self, host: str) -> None:
        """Ends the channel's connection, and waits until the other end has too: a busy host takes its time."""
        carriers = self._channels[host].carriers()
        await self._channels[host].close()
        until = time.monotonic() + GOODBYE_S
        while any(segments(each) != 0 for each in carriers) and time.monotonic() < until:
            await asyncio.sleep(GOODBYE_PAUSE_S)

    async def _leave_shared(self, host: str) -> None:
        """Ansible's connection, which its master would keep open."""
        await remote.hush(self._endpoints[host])
        await self._channels[host].close()

    def _lost(self, host: str, why: str, after: asyncio.Task[None] | None = None) -> None:
        if not self._closing and host not in self._mending:
            if why != PARTED:
                self._on_event(host, "lost", {"reason": why})
            task = asyncio.create_task(self._mend(host, why, after))
            self._mending[host] = task
            task.add_done_callback(lambda _: self._mending.pop(host, None))

    async def _mend(self, host: str, why: str, after: asyncio.Task[None] | None) -> None:
        if after:
            await asyncio.wait([after])
        await self._silence_over()
        if why == PARTED:
            self.spoke_ns = self.spoke_ns or time.monotonic_ns()
        until = 0.0  # from the first attempt on, which may have to wait for others'
        problem = why
        for attempt in itertools.count(1):
            try:
                async with self._gate:
                    until = until or time.monotonic() + ATTACH_AGAIN_S
                    await self._attach_again(host, why)
                return
            except HostError as failure:
                problem = failure.problem
            if time.monotonic() > until and attempt >= ATTACH_ATTEMPTS:
                reason = f"the worker is lost: {why}; attaching again failed: {problem}"
                if why == PARTED:
                    reason = f"the worker is not there after the window: {problem}"
                self._on_event(host, "gone", {"reason": reason})
                return
            await asyncio.sleep(ATTACH_PAUSE_S)

    async def _silence_over(self) -> None:
        left_s = self._silent_until - time.monotonic()
        if left_s > 0:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._may_speak.wait(), None if left_s == math.inf else left_s)

    async def _attach_again(self, host: str, why: str) -> None:
        """Announces the host at once: nothing is sent on its new channel before."""
        old = self._channels.get(host)
        greeting = await self._attach(host)
        status = greeting["status"] or {}
        known = status.get("run_id") == self._run_id
        if known:
            for report in greeting["reports"]:
                self._on_event(host, "report", report)
            self._on_event(host, "attached", {"reason": why, "status": status})
        if old is not None:
            await old.close()
        if not known:
            raise HostError(host, "its worker has forgotten the run")
        if not self._channels[host].is_open:
            raise HostError(host, "the channel was lost again")


def over(status: Mapping[str, Any]) -> bool:
    """A worker has nothing of a sample left to do, by its status."""
    return status.get("state") in (None, "idle", "done") or status.get("phase") == "ended"


def cannot_take_part(problems: Mapping[str, str], hosts: int) -> str:
    """``2 of 16 hosts cannot take part:`` and why, each reason once: a hundred hosts often say one thing."""
    alike: dict[str, list[str]] = {}
    for host, problem in problems.items():
        alike.setdefault(problem, []).append(host)
    said = [f"  {', '.join(names)}: {problem}" for problem, names in alike.items()]
    return "\n".join([f"{len(problems)} of {hosts} hosts cannot take part:", *said])
