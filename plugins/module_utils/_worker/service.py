# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Starting the daemon: for a service manager, or by itself in the background. Private to this collection."""

from __future__ import annotations

import os
import select
import socket
import sys
import time
from collections.abc import Callable

from . import about, attach, client, daemon, storage
from .errors import NotThere, Refused, WorkerError

_START_DEADLINE_S = 15.0
_LOG_LIMIT_BYTES = 1 << 20
IDLE_EXIT_S = 900.0  # of a detached worker: nobody else ends it


def serve(where: storage.Directories, idle_exit_s: float | None) -> None:
    """In the foreground, telling systemd when it is ready (sd_notify(3))."""
    daemon.serve(where, idle_exit_s=idle_exit_s, ready=_notify_systemd)


def _notify_systemd() -> None:
    address = os.environ.pop("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        sock.sendto(b"READY=1", address)


def start(where: storage.Directories, idle_exit_s: float | None) -> str:
    """Have a worker of this very archive in the background; returns what was done, in words.

    One of another archive is replaced when it is idle. Raises Refused when it has a sample going on, WorkerError when
    ours does not come up.
    """
    running = _running(where)
    if running and running["archive_sha256"] == about.archive_sha256() and about.archive_sha256():
        return f"already running (pid {running['pid']})"
    if running:
        if running["active"]:
            raise Refused(
                f"another version runs here (pid {running['pid']}) and is in the middle of run {running['run_id']}."
            )
        _ask(where, "quit", why="replaced by another version")
        _wait(lambda: _running(where) is None, "the worker that is replaced does not end")
    storage.create(where)
    _spawn(where, idle_exit_s)
    now = _running(where)
    if now is None:
        raise WorkerError(f"the worker ended at once: see {where.log}")
    return f"started (pid {now['pid']})"


def _running(where: storage.Directories) -> dict[str, object] | None:
    try:
        return _ask(where, "status")
    except NotThere:
        return None


def _ask(where: storage.Directories, verb: str, **fields: str) -> dict[str, object]:
    with attach.connect(str(where.socket), where.instance) as sock:
        return client.ask(sock, verb, **fields)


def _wait(true: Callable[[], bool], problem: str) -> None:
    deadline_s = time.monotonic() + _START_DEADLINE_S
    while not true():
        if time.monotonic() > deadline_s:
            raise WorkerError(problem)
        time.sleep(0.02)


def _spawn(where: storage.Directories, idle_exit_s: float | None) -> None:
    """Fork twice; the grandchild says through a pipe that it answers, or why it cannot."""
    news, say = os.pipe()
    child = os.fork()
    if child == 0:
        _detach(where, idle_exit_s, say)
    os.close(say)
    os.waitpid(child, 0)
    said, deadline_s = b"", time.monotonic() + _START_DEADLINE_S
    try:
        while not said.endswith(b"\n"):
            ready = select.select([news], [], [], max(0.0, deadline_s - time.monotonic()))[0]
            if not ready:
                raise WorkerError(f"the worker did not answer within {_START_DEADLINE_S:g} s: see {where.log}")
            more = os.read(news, 4096)
            if not more:
                raise WorkerError(f"the worker ended at once: see {where.log}")
            said += more
    finally:
        os.close(news)
    if said != b"ready\n":
        raise WorkerError(said.decode("utf-8", "replace").strip())


def _detach(where: storage.Directories, idle_exit_s: float | None, say: int) -> None:
    try:
        os.setsid()
        if os.fork():
            os._exit(0)
        _redirect(where)
        os.chdir("/")
        os.closerange(3, say)
        os.closerange(say + 1, 4096)

        def ready() -> None:
            os.write(say, b"ready\n")
            os.close(say)

        try:
            daemon.serve(where, idle_exit_s=idle_exit_s, ready=ready)
        except (OSError, WorkerError) as problem:
            daemon.log(str(problem))
            os.write(say, f"{problem}\n".encode("utf-8", "replace"))
    except BaseException as problem:
        daemon.log(repr(problem))
        os._exit(1)
    os._exit(0)


def _redirect(where: storage.Directories) -> None:
    if where.log.exists() and where.log.stat().st_size > _LOG_LIMIT_BYTES:
        os.replace(where.log, where.log.with_suffix(".log.1"))
    sys.stdout.flush()
    null = os.open(os.devnull, os.O_RDWR)
    log = os.open(where.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
    for number, handle in ((0, null), (1, null), (2, log)):
        os.dup2(handle, number)
    os.close(null)
    os.close(log)
