# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The server end: answers each connection with the operations that its client asks for. Private to the collection.

A connection that fails is reported and counted; the server goes on, as the original does, until it is told to stop.
"""

from __future__ import annotations

import errno
import socket
import sys
from time import monotonic_ns

from . import model
from .errors import DriverError, NetbenchError
from .loop import Loop, Steps
from .player import Checkpoints, Player
from .stream import Counters, Stream, configure
from .tracing import Tracer

BACKLOG = 4096
_OUT_OF_DESCRIPTORS = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
_CLIENT_LEFT_EARLY = {errno.ECONNABORTED, errno.EINTR}


def listen(local_ip: str | None, port: int) -> socket.socket:
    """A listening socket on the address; without one, on all addresses of both families."""
    if local_ip in (None, "::") and not socket.has_dualstack_ipv6():
        local_ip = "0.0.0.0"
    address = (local_ip or "::", port)
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if address[0] == "::":
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        sock.bind(address)
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        raise DriverError(f"cannot listen on {address[0]} port {port}: {error.strerror or error}") from error
    sock.setblocking(False)
    return sock


class Server:
    """Plays ``scenario.servers[index]``; `run` are the steps of the main task, which never end by themselves."""

    def __init__(
        self, loop: Loop, server: model.Server, sock: socket.socket, counters: Counters, tracer: Tracer
    ) -> None:
        self._loop = loop
        self._server = server
        self._sock = sock
        self._counters = counters
        self._tracer = tracer
        self.connections = 0
        self.failed_connections = 0
        self.open_connections = 0

    def run(self) -> Steps:
        listener = self._loop.watch(self._sock)
        while True:
            try:
                sock, address = self._sock.accept()
            except BlockingIOError:
                listener.readable.clear()
                yield (listener.readable, None)
            except OSError as error:
                if error.errno in _CLIENT_LEFT_EARLY:
                    continue
                if error.errno not in _OUT_OF_DESCRIPTORS:
                    raise DriverError(f"cannot accept connections: {error.strerror}") from error
                self._complain(f"cannot accept a connection now: {error.strerror}")
                yield (None, monotonic_ns() + 100_000_000)
            else:
                self._loop.spawn(self._serve(sock, f"client {address[0]}:{address[1]}"))

    def tally(self) -> dict[str, int]:
        """What the end of the statistics has in addition."""
        return {"connections": self.connections, "failed_connections": self.failed_connections}

    def _serve(self, sock: socket.socket, peer: str) -> Steps:
        number = self.connections
        self.connections += 1
        self.open_connections += 1
        stream = Stream(self._loop, sock, self._counters, peer)
        try:
            configure(sock)
            if self._tracer.stdio:
                self._tracer.event(number, f"conn[{number}]=0us")
            index = yield from stream.read_header()
            if index >= len(self._server.connections):
                raise DriverError(
                    f"{peer} asked for connection {index}, but this server has {len(self._server.connections)}"
                )
            player = Player(
                self._loop, stream, Checkpoints(self._loop), self._tracer, number, peer_decides_the_end=True
            )
            yield from player.play(self._server.connections[index])
        except NetbenchError as error:
            self.failed_connections += 1
            self._complain(str(error))
        finally:
            self.open_connections -= 1
            stream.close()

    @staticmethod
    def _complain(message: str) -> None:
        sys.stderr.write(f"error: {message}\n")
        sys.stderr.flush()
