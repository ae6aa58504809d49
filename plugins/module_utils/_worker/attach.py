# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Joins stdin and stdout to the worker's socket. Private to this collection.

It copies bytes without looking at them. The first line is its own: it tells the worker which SSH connection carries the
channel, so that the worker can count that connection's packets.
"""

from __future__ import annotations

import os
import select
import socket
import struct
import sys

from . import place
from .errors import NotThere, StorageError, WorkerError

NOT_THERE = 3  # exit status
_CHUNK_BYTES = 65536
_OPTIONS = ("--instance", "--state-dir", "--runtime-dir")


def understands(arguments: list[str]) -> bool:
    """Only ``--option value`` pairs; anything else is for the full command line to explain."""
    return len(arguments) % 2 == 0 and all(option in _OPTIONS for option in arguments[::2])


def main(arguments: list[str]) -> int:
    options = dict(zip(arguments[::2], arguments[1::2]))
    instance = options.get("--instance", place.DEFAULT_INSTANCE)
    try:
        connection = ssh_connection()  # while we may still look
        state, runtime = place.folders(instance, options.get("--state-dir"), options.get("--runtime-dir"))
        place.give_up_root(state)
        with connect(place.socket_in(runtime), instance) as sock:
            join(sock, connection)
    except NotThere as problem:
        sys.stderr.write(f"worker: {problem}\n")
        return NOT_THERE
    except (WorkerError, OSError) as problem:
        sys.stderr.write(f"worker: {problem}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


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


def join(sock: socket.socket, ssh_connection: str) -> None:
    """Join stdin and stdout to the worker until either side ends."""
    sock.settimeout(None)
    safe = "".join(letter for letter in ssh_connection if letter in "0123456789abcdefABCDEF.:% ")
    sock.sendall(b'{"type":"attach","ssh_connection":"%s"}\n' % safe.encode("ascii"))
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
    """``SSH_CONNECTION``: ours or, when privilege escalation dropped it, of the nearest ancestor that shows it.

    Present but empty means that no SSH connection carries this channel, and nobody else's is taken for it.
    """
    found, pid = os.environ.get("SSH_CONNECTION"), os.getppid()
    while found is None and pid > 1:
        try:
            with open(f"/proc/{pid}/environ", "rb") as stream:
                entries = stream.read().split(b"\0")
            with open(f"/proc/{pid}/stat", "rb") as stream:
                pid = int(stream.read().rpartition(b")")[2].split()[1])
        except (OSError, IndexError):
            break
        named = (entry[15:].decode("ascii", "replace") for entry in entries if entry.startswith(b"SSH_CONNECTION="))
        found = next(named, None)
    return found or ""
