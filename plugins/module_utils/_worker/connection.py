# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One peer at the worker's socket. Private to this collection.

Plain non-blocking reads and writes on the event loop, without streams in between, so that the stamps are next to the
system calls: ``received_ns`` right after the read, ``sent_ns`` right before the write.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections.abc import Callable
from typing import Any

from .._protocol import frames
from . import sockdiag

_READ_BYTES = 65536
_UNSENT_LIMIT_BYTES = 1 << 20  # a peer that reads nothing is let go
_UCRED = struct.Struct("=iII")


class Connection:
    """Turns bytes into frames and back. When ``on_frame`` raises FrameError the peer is let go, and only the peer."""

    def __init__(
        self,
        sock: socket.socket,
        on_frame: Callable[[Connection, dict[str, Any]], None],
        on_close: Callable[[Connection, str], None],
    ) -> None:
        self._socket = sock
        self._on_frame = on_frame
        self._on_close = on_close
        self._decoder = frames.Decoder()
        self._unsent = b""
        self._clogged = False  # the rest goes when the peer reads
        self._received_ns: int | None = None
        self._loop = asyncio.get_running_loop()
        self.open = True
        self.coordinator: str | None = None  # set when its hello was accepted
        self.run_id: str | None = None
        self.control: sockdiag.Connection | None = None
        sock.setblocking(False)
        self._loop.add_reader(sock, self._readable)

    def send(self, message: dict[str, Any]) -> None:
        """Send a message with its stamps; what cannot be sent at once follows when the peer reads."""
        if not self.open:
            return
        stamps = {"received_ns": self._received_ns, "sent_ns": time.monotonic_ns()}
        try:
            self._unsent += frames.encode({**message, **stamps})
        except frames.FrameError as problem:  # ours: better no peer than one that waits for what never comes
            self.close(str(problem))
            return
        if self._clogged and len(self._unsent) <= _UNSENT_LIMIT_BYTES:
            return
        self._flush()

    def close(self, why: str) -> None:
        """Let the peer go. Idempotent."""
        if self.open:
            self.open = False
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
            self._socket.close()
            self._on_close(self, why)

    def _readable(self) -> None:
        try:
            data = self._socket.recv(_READ_BYTES)
            self._received_ns = time.monotonic_ns()
        except BlockingIOError:
            return
        except OSError as problem:
            self.close(str(problem.strerror))
            return
        if not data:
            self.close("it hung up")
            return
        try:
            for frame in self._decoder.feed(data):
                if self.open:
                    self._on_frame(self, frame)
        except frames.FrameError as problem:
            self.close(f"it is not understood: {problem}")

    def _flush(self) -> None:
        try:
            self._unsent = self._unsent[self._socket.send(self._unsent) :]
        except BlockingIOError:
            pass
        except OSError as problem:
            self.close(str(problem.strerror))
            return
        if len(self._unsent) > _UNSENT_LIMIT_BYTES:
            self.close("it reads nothing")
        elif self._unsent:
            self._clogged = True
            self._loop.add_writer(self._socket, self._flush)
        elif self._clogged:
            self._clogged = False
            self._loop.remove_writer(self._socket)


def peer_uid(sock: socket.socket) -> int:
    """The user at the other end of a Unix socket, by the kernel's word (SO_PEERCRED)."""
    _pid, uid, _gid = _UCRED.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    return int(uid)
