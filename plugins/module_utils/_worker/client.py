# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A program on the host talks to the worker: join it (attach), or ask it one thing. Private to this collection.

``attach`` is started once per host and run, through SSH, and its start is part of every run's start: so this module
imports little, and copies bytes without looking at them.
"""

from __future__ import annotations

import json
import os
import select
import socket
import struct
import time
from typing import Any

from .errors import NotThere, Refused, StorageError

_CHUNK_BYTES = 65536
_ANSWER_DEADLINE_S = 30.0


def connect(path: str, instance: str) -> socket.socket:
    """A socket to the worker. Raises NotThere; StorageError when somebody else's program sits there."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        sock.settimeout(5.0)
        sock.connect(path)
    except PermissionError as problem:
        sock.close()
        raise NotThere(
            f"the worker's socket {path} may not be used by user {os.getuid()}: become its user, or root."
        ) from problem
    except OSError as problem:
        sock.close()
        raise NotThere(
            f"no worker answers at {path} ({problem.strerror or problem}): start instance {instance!r} on this host."
        ) from problem
    _pid, uid, _gid = struct.unpack("=iII", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    if uid != os.getuid():
        sock.close()
        raise StorageError(f"{path} is served by user {uid}, not by {os.getuid()}: it is not trusted.")
    return sock


def attach(sock: socket.socket, ssh_connection: str) -> None:
    """Join stdin and stdout to the worker until either side ends."""
    sock.settimeout(None)
    sock.sendall(json.dumps({"type": "attach", "ssh_connection": ssh_connection}).encode("ascii") + b"\n")
    here = sock.fileno()
    poller = select.poll()
    poller.register(0, select.POLLIN)
    poller.register(here, select.POLLIN)
    while True:
        for ready, _events in poller.poll():
            data = os.read(ready, _CHUNK_BYTES)
            if not data:
                return
            _write_all(here if ready == 0 else 1, data)


def _write_all(handle: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]


def ssh_connection() -> str:
    """``SSH_CONNECTION``: ours or, when privilege escalation dropped it, of the nearest ancestor that shows it."""
    found, pid = os.environ.get("SSH_CONNECTION", ""), os.getppid()
    while not found and pid > 1:
        try:
            with open(f"/proc/{pid}/environ", "rb") as stream:
                entries = stream.read().split(b"\0")
            with open(f"/proc/{pid}/stat", "rb") as stream:
                pid = int(stream.read().rpartition(b")")[2].split()[1])
        except (OSError, IndexError):
            break
        found = next(
            (entry[15:].decode("ascii", "replace") for entry in entries if entry.startswith(b"SSH_CONNECTION=")), ""
        )
    return found


def ask(sock: socket.socket, verb: str, **fields: Any) -> dict[str, Any]:
    """One question of a person or program on this host. Raises NotThere, Refused."""
    deadline_s = time.monotonic() + _ANSWER_DEADLINE_S
    try:
        sock.sendall(json.dumps({"type": "local", "verb": verb, **fields}).encode("ascii") + b"\n")
        data = b""
        while not data.endswith(b"\n"):
            sock.settimeout(max(0.001, deadline_s - time.monotonic()))
            more = sock.recv(_CHUNK_BYTES)
            if not more:
                raise NotThere("the worker hung up before it answered.")
            data += more
    except OSError as problem:
        raise NotThere(f"the worker did not answer: {problem}") from problem
    answer: dict[str, Any] = json.loads(data)
    if answer.get("refused"):
        raise Refused(str(answer["refused"]))
    return answer
