# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The worker: one thread, one event loop, one Unix socket. Private to this collection.

:func:`serve` is its whole life: lock, socket, take up what was going on, answer until told to end, end what runs,
leave. Between requests it sleeps; nothing here has a period of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from typing import Any

from .._protocol.frames import FrameError
from . import about, linux, sockdiag, storage
from .connection import Connection, peer_uid
from .descendants import Reaper
from .desk import Desk
from .errors import Refused, StorageError, WorkerError

_END_DEADLINE_S = 20.0
_PEERS_LIMIT = 32


class Daemon:
    """Admits peers to the desk, answers people on the host, and ends when idle or told to."""

    def __init__(self, where: storage.Directories, idle_exit_s: float | None) -> None:
        self._where = where
        self._idle_exit_s = idle_exit_s
        self._reaper = Reaper()
        self.desk = Desk(where, self._reaper, log)
        self.desk.changed = self._watch_idleness
        self._peers: set[Connection] = set()
        self._idle_timer: asyncio.TimerHandle | None = None
        self._end = asyncio.Event()
        self._why = ""
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, listener: socket.socket, ready: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGCHLD, self._reaper.reap)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.end, f"SIG{signal.Signals(number).name[3:]}")
        try:
            await self.desk.take_up()
        except (OSError, WorkerError) as problem:
            log(f"the run that was here cannot be taken up: {problem}")
        loop.add_reader(listener, self._accept, listener)
        self._watch_idleness()
        ready()
        await self._end.wait()
        loop.remove_reader(listener)
        if self.desk.active:
            self.desk.stop(f"the worker was told to end ({self._why})")
            if not await self.desk.over(_END_DEADLINE_S):
                log("the sample does not end; leaving it to the kernel")
        for peer in list(self._peers):
            peer.close("the worker ends")
        if self.desk.run:
            self.desk.run.record("worker ended", sync=True, why=self._why)
        log(f"ended: {self._why}")

    def end(self, why: str) -> None:
        self._why = self._why or why
        self._end.set()

    # Peers

    def _accept(self, listener: socket.socket) -> None:
        try:
            sock, _unused = listener.accept()
        except OSError:
            return
        if peer_uid(sock) != os.getuid() or len(self._peers) >= _PEERS_LIMIT:
            log(f"refused a connection of user {peer_uid(sock)}")
            sock.close()
            return
        self._peers.add(Connection(sock, self._first_frame, self._closed))

    def _first_frame(self, peer: Connection, frame: dict[str, Any]) -> None:
        kind = frame.get("type")
        if kind == "attach":
            peer.control = sockdiag.from_ssh(str(frame.get("ssh_connection", "")))
        elif kind == "local":
            self._own(self._local(peer, frame))
        else:
            self.desk.request(peer, frame)

    def _closed(self, peer: Connection, why: str) -> None:
        self._peers.discard(peer)
        if peer.coordinator:
            log(f"coordinator {peer.coordinator} is not attached any more: {why}")
        elif why != "it hung up":
            log(f"a connection was closed: {why}")
        self.desk.gone(peer)

    # People on the host

    async def _local(self, peer: Connection, frame: dict[str, Any]) -> None:
        verbs = {"status": self._status, "stop": self._stop, "quit": self._quit, "forget": self._forget}
        verb = verbs.get(str(frame.get("verb")))
        if verb is None:
            raise FrameError(f"unknown verb {frame.get('verb')!r}")
        try:
            peer.send({"type": "local", **await verb(frame)})
        except Refused as problem:
            peer.send({"type": "local", "refused": str(problem)})

    async def _status(self, frame: dict[str, Any]) -> dict[str, Any]:
        desk, run = self.desk, self.desk.run
        return {
            "instance": self._where.instance,
            "pid": os.getpid(),
            "version": about.version(),
            "archive_sha256": about.archive_sha256(),
            "run_id": run.run_id if run else None,
            "sample": run.status.sample if run and run.status.sample >= 0 else None,
            "attempt": run.status.attempt if run and run.status.sample >= 0 else None,
            "state": run.status.state if run else "idle",
            "phase": run.status.phase if run else None,
            "reason": run.status.reason if run else None,
            "active": desk.active,
            "since_s": round(time.monotonic() - desk.since_s, 3),
            "coordinator": desk.attached.coordinator if desk.attached else None,
            "lease_left_s": desk.lease_left_s,
            "processes": run.alive if run else [],
        }

    async def _stop(self, frame: dict[str, Any]) -> dict[str, Any]:
        was = self.desk.active
        self.desk.stop("stopped on the host by a person")
        if not await self.desk.over(_END_DEADLINE_S):
            raise Refused("the sample does not end; see the worker's log")
        return {"stopped": was}

    async def _quit(self, frame: dict[str, Any]) -> dict[str, Any]:
        if self.desk.active:
            raise Refused(f"a sample of run {self.desk.run and self.desk.run.run_id} is going on here: stop it first")
        asyncio.get_running_loop().call_soon(self.end, str(frame.get("why", "asked to"))[:200])
        return {}

    async def _forget(self, frame: dict[str, Any]) -> dict[str, Any]:
        self.desk.forget(str(frame.get("run_id")))
        return {}

    def _own(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception():
            log(f"a request of a person failed: {task.exception()}")

    # Idleness

    def _watch_idleness(self) -> None:
        if self._idle_timer:
            self._idle_timer.cancel()
            self._idle_timer = None
        if self._idle_exit_s is not None and not self.desk.active and self.desk.attached is None:
            loop = asyncio.get_running_loop()
            self._idle_timer = loop.call_later(self._idle_exit_s, self.end, f"idle for {self._idle_exit_s:g} s")


def log(text: str) -> None:
    """One line for the service manager, or the log file. Never a value of the plan."""
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    with contextlib.suppress(OSError):
        sys.stderr.write(f"{stamp} {text}"[:2000] + "\n")
        sys.stderr.flush()


def serve(where: storage.Directories, *, idle_exit_s: float | None, ready: Callable[[], None]) -> None:
    """Be the worker of this instance until it ends. Raises StorageError when another one is there already."""
    os.umask(0o077)
    storage.create(where)
    lock = _lock(where)
    try:
        linux.become_subreaper()
        asyncio.run(_serve(where, idle_exit_s, ready))
    finally:
        with contextlib.suppress(OSError):
            os.unlink(where.socket)
        os.close(lock)


async def _serve(where: storage.Directories, idle_exit_s: float | None, ready: Callable[[], None]) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(where.socket)  # of a worker that was killed: we hold the lock
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as listener:
        listener.setblocking(False)
        listener.bind(str(where.socket))
        listener.listen(_PEERS_LIMIT)
        # The hash is taken now, of what runs: the file may be replaced later.
        log(f"worker {about.version()} ({about.archive_sha256()}) serves {where.socket} (pid {os.getpid()})")
        await Daemon(where, idle_exit_s).run(listener, ready)


def _lock(where: storage.Directories) -> int:
    handle = os.open(where.lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        raise StorageError(f"instance {where.instance!r} has a worker already (see {where.lock}).") from None
    os.ftruncate(handle, 0)
    os.write(handle, b"%d\n" % os.getpid())
    return handle
