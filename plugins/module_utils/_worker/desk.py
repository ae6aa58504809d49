# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the coordinator asks, and who may ask. Private to this collection.

One coordinator is attached at a time. A second one is refused, and told who is there, as long as the first is
attached or its run has a sample going; unless it says ``takeover``. The same run's coordinator may always come back:
its new connection replaces the old one, which may be dead without anybody knowing. The run goes on without a
connection; only the lease ends it.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .._protocol import frames, machine, messages
from . import about, history, journal, linux, sockdiag, storage
from .connection import Connection
from .descendants import Reaper
from .errors import Refused, SampleError, WorkerError
from .run import Run

_CLEAR_DEADLINE_S = 15.0


@dataclass
class Lease:
    """Ends a run's processes when nothing is heard from its coordinator."""

    duration_s: float = 0.0
    timer: asyncio.TimerHandle | None = None

    @property
    def left_s(self) -> float | None:
        return max(0.0, self.timer.when() - asyncio.get_running_loop().time()) if self.timer else None

    def renew(self, duration_s: float, end: Callable[[float], None]) -> None:
        self.cancel()
        self.duration_s = duration_s
        self.timer = asyncio.get_running_loop().call_later(duration_s, end, duration_s)

    def cancel(self) -> None:
        if self.timer:
            self.timer.cancel()
            self.timer = None


class Desk:
    """Answers requests; holds the run and the attached coordinator."""

    def __init__(self, where: storage.Directories, reaper: Reaper, log: Callable[[str], None]) -> None:
        self._where = where
        self._reaper = reaper
        self._log = log
        self._lease = Lease()
        self._tasks: set[asyncio.Task[None]] = set()
        self.run: Run | None = None
        self.holder: str | None = None  # the coordinator of the run, attached or not
        self.attached: Connection | None = None
        self._control: sockdiag.Connection | None = None  # carries the channel, or carried it last
        self.changed: Callable[[], None] = lambda: None  # active or attached may be different now
        self.since_s = time.monotonic()
        self._over = asyncio.Event()

    @property
    def active(self) -> bool:
        return self.run is not None and self.run.active

    @property
    def _is_ending(self) -> bool:
        return self.run is not None and self.run.status.phase == machine.ENDING

    @property
    def lease_left_s(self) -> float | None:
        """After so long without a coordinator the sample that is going on is ended; None when none is."""
        return self._lease.left_s if self.active else None

    # Requests

    def request(self, peer: Connection, frame: dict[str, Any]) -> None:
        """Answer one frame of a coordinator. Raises FrameError when it is not understood."""
        number, protocol = frame.get("id"), frame.get("protocol")
        if frame.get("type") == "hello" and protocol != frames.PROTOCOL and isinstance(number, int):
            asked = repr(protocol)[:20]
            why = f"this worker speaks protocol {frames.PROTOCOL}, the coordinator {asked}: install the same"
            peer.send({"type": "reply", "id": number, "refused": why})
            return
        request = messages.parse_request(frame)
        kind = request["type"]
        if kind == "hello":
            self._hello(peer, request)
            return
        if peer is not self.attached:
            raise frames.FrameError(f"{kind} came before an accepted hello")
        if kind == "clock":
            self._reply(peer, request, wall_ns=time.time_ns())
        elif kind == "load":
            self._own(self._load(peer, request))
        elif kind == "enter":
            self._enter(peer, request)
        elif kind == "stop":
            self.stop(request["reason"])
        else:
            self._finish(peer, request)

    def _reply(self, peer: Connection, request: dict[str, Any], **fields: Any) -> None:
        peer.send({"type": "reply", "id": request["id"], **fields})

    def _hello(self, peer: Connection, request: dict[str, Any]) -> None:
        in_the_way = self._in_the_way(request["run_id"])
        if not in_the_way:
            self._welcome(peer, request)
        elif request["takeover"]:
            self._own(self._take_over(peer, request))
        elif self._is_ending and not self.attached:
            self._own(self._follow(peer, request))
        else:
            self._reply(peer, request, refused=in_the_way, status=self._status(self.run))

    def _welcome(self, peer: Connection, request: dict[str, Any]) -> None:
        if self.attached and self.attached is not peer:
            self.attached.close("its coordinator came back on another connection")
        peer.coordinator, peer.run_id = request["coordinator"], request["run_id"]
        if self.run:
            self.run.attached(here=True)
        self.attached, self.holder, self._control = peer, request["coordinator"], peer.control
        self._log(f"coordinator {peer.coordinator} is attached for run {peer.run_id}")
        own = self.run if self.run and self.run.run_id == request["run_id"] else None
        reports = own.reports if own else []
        self._reply(peer, request, host=about.host(), status=self._status(own), reports=reports)
        self.changed()

    async def _take_over(self, peer: Connection, request: dict[str, Any]) -> None:
        who = request["coordinator"]
        if self.attached:
            self.attached.close(f"coordinator {who} took over")
        self.stop(f"coordinator {who} took over with run {request['run_id']}")
        await self._follow(peer, request)

    async def _follow(self, peer: Connection, request: dict[str, Any]) -> None:
        """What is here is being cleared away: its turn comes after that."""
        if not await self.over(_CLEAR_DEADLINE_S):
            why = "the run that was here does not end: see the worker's log on this host"
            self._reply(peer, request, refused=why, status=self._status(self.run))
        elif peer.open:
            self._welcome(peer, request)

    @staticmethod
    def _status(run: Run | None) -> dict[str, Any]:
        """As messages.STATUS has it; idle when no run is loaded."""
        status = run.status if run else machine.Status()
        return {
            "run_id": run.run_id if run else None,
            "plan_sha256": run.plan_sha256 if run else None,
            "sample": status.sample,
            "attempt": status.attempt,
            "state": status.state,
            "phase": status.phase,
        }

    def _in_the_way(self, run_id: str) -> str | None:
        other = self.run.run_id if self.run and self.run.run_id != run_id else None
        if self.attached and self.attached.run_id != run_id:
            who = self.attached
            here = f"run {who.run_id} has this worker, and its coordinator {who.coordinator} is attached"
        elif other and self.active and self.run:
            status = self.run.status
            lease = f"a lease of {self._lease.duration_s:g} s" if self._lease.timer else "no lease"
            here = f"sample {status.sample} of run {other} is {status.state} here, for {self.holder}, with {lease}"
        else:
            return None
        return f"{here}: wait for its end, or stop it"

    async def _load(self, peer: Connection, request: dict[str, Any]) -> None:
        try:
            await self._open(request["run_id"], request["plan_sha256"])
        except (WorkerError, OSError) as problem:
            self._reply(peer, request, refused=str(problem))
            return
        self._renew_lease(request["lease_s"])
        self._reply(peer, request)

    async def _open(self, run_id: str, sha256: str) -> None:
        """Have this run loaded. Raises Refused, StorageError."""
        if self.attached is None or run_id != self.attached.run_id:
            raise Refused(f"run {run_id} is not the one that this coordinator said hello for")
        if self.run and self.run.run_id == run_id:
            if self.run.plan_sha256 != sha256:
                raise Refused(f"run {run_id} is loaded with another plan ({self.run.plan_sha256[:12]}…)")
            return
        if self.active:
            raise Refused("a sample of another run is still going on here")
        plan = storage.load_plan(self._where, sha256)
        if plan.run_id != run_id:
            raise Refused(f"plan {sha256[:12]}… belongs to run {plan.run_id}")
        known = history.of(journal.records(self._where.journal(run_id)))
        if known.plan_sha256 not in (None, sha256):
            raise Refused(f"run {run_id} was begun here with another plan ({str(known.plan_sha256)[:12]}…)")
        self._put_down()
        self.run = self._make_run(run_id, sha256, plan, known)
        storage.remember_current(self._where, run_id, sha256)
        await self._clear_up(self.run, known)

    def _make_run(self, run_id: str, sha256: str, plan: Any, known: history.History) -> Run:
        run = Run(
            where=self._where,
            run_id=run_id,
            plan_sha256=sha256,
            plan=plan,
            history=known,
            reaper=self._reaper,
            tell=self._tell,
            control=lambda: self._control,
            log=self._log,
            worker={"worker_version": about.version(), "archive_sha256": about.archive_sha256()},
        )
        run.on_over = self._is_over
        return run

    def _enter(self, peer: Connection, request: dict[str, Any]) -> None:
        if self.run is None or self.run.run_id != peer.run_id:
            raise frames.FrameError("enter came before a plan was loaded")
        self._renew_lease(request["lease_s"])
        self.since_s = time.monotonic()
        self._over.clear()
        self.run.feed(machine.Enter(request["sample"], request["attempt"], request["state"], request["at_ns"]))
        self.changed()

    def _finish(self, peer: Connection, request: dict[str, Any]) -> None:
        if self.run and self.run.run_id == request["run_id"]:
            if self.active:
                still = f"sample {self.run.status.sample} is still {self.run.status.state}: stop it first"
                self._reply(peer, request, refused=still)
                return
            self.run.record("finish", sync=True)
            storage.forget_plan(self._where, self.run.plan_sha256)
            self._put_down()
        self._reply(peer, request)

    # The run

    def stop(self, reason: str) -> None:
        """End the sample at hand, if there is one."""
        if self.run:
            self.run.feed(machine.Stop(reason))

    async def _until_over(self) -> None:
        while self.active:
            self._over.clear()
            await self._over.wait()

    async def over(self, timeout_s: float) -> bool:
        """Wait until no sample is going on; False when it takes longer."""
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._until_over(), timeout_s)
        return not self.active

    def _is_over(self) -> None:
        self.since_s = time.monotonic()
        self._over.set()
        self.changed()

    def _put_down(self) -> None:
        if self.run:
            self.run.close()
            self.run = None
        self._lease.cancel()
        storage.forget_current(self._where)

    def forget(self, run_id: str) -> None:
        """Let go of a run whose folder will be removed. Raises Refused."""
        if self.run and self.run.run_id == run_id:
            if self.active or self.attached:
                raise Refused(f"run {run_id} is going on here")
            self._put_down()

    async def take_up(self) -> None:
        """After a start: what was going on when the worker ended?"""
        current = storage.read_current(self._where)
        if current is None:
            return
        run_id, sha256 = current
        known = history.of(journal.records(self._where.journal(run_id)))
        if known.finished:
            storage.forget_current(self._where)
            return
        plan = storage.load_plan(self._where, sha256)
        self.run = self._make_run(run_id, sha256, plan, known)
        await self._clear_up(self.run, known)

    async def _clear_up(self, run: Run, known: history.History) -> None:
        """A sample that was going on when the worker ended has failed; nothing of it may stay."""
        if not run.active:
            run.take_up("")
            return
        status = known.status
        name = storage.sample_folder_name(*status.key)
        what = "the worker died" if known.boot_id == linux.boot_id() else "the host was rebooted"
        reason = f"{what} while sample {status.sample} was in state {status.state!r}"
        try:
            killed = await history.kill_leftovers(known, self._where.run(run.run_id) / "samples" / name)
            run.record("leftovers", pids=killed)
        except SampleError as problem:
            reason += f", and of its processes one {problem}"
        self._log(f"run {run.run_id}: {reason}")
        run.take_up(reason)

    # The connection

    def gone(self, peer: Connection) -> None:
        """A connection has ended; the run does not care."""
        if peer is self.attached:
            self.attached = None
            if self.run:
                self.run.attached(here=False)
            self.changed()

    def _tell(self, body: dict[str, Any]) -> None:
        if self.attached and self.run and self.attached.run_id == self.run.run_id:
            self.attached.send({"type": "report", **body})

    def _renew_lease(self, duration_s: float) -> None:
        self._lease.renew(duration_s, self._lease_ended)

    def _lease_ended(self, duration_s: float) -> None:
        self._lease.cancel()
        self.stop(f"lease ended: nothing was heard from the coordinator for {duration_s:g} s")

    def _own(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception():
            self._log(f"a request failed: {task.exception()!r}")
