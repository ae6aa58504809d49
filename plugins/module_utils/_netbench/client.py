# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The client end: connects, plays its part, ends. Private to the collection."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Generator, Iterable, Mapping
from time import monotonic_ns
from typing import Any

from . import model
from .errors import DriverError, UsageError
from .loop import Loop, Steps, Yielded
from .player import Checkpoints, Player
from .stream import Counters, Stream, configure
from .tracing import Tracer

RETRY_NS = 50_000_000
_NOT_YET = {errno.ECONNREFUSED, errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ECONNRESET, errno.EAGAIN}
Address = tuple[socket.AddressFamily, Any]
Opening = Generator[Yielded, bool, Stream]


def server_addresses(count: int, environ: Mapping[str, str]) -> list[Address]:
    """The addresses in ``SERVER_0`` …, each ``host:port`` or ``[v6]:port``. All are needed, as in the original."""
    return [_address(f"SERVER_{index}", environ) for index in range(count)]


def _address(key: str, environ: Mapping[str, str]) -> Address:
    text = environ.get(key)
    if text is None:
        raise UsageError(f"missing {key} environment variable; set it to host:port of that server")
    host, colon, port = text.rpartition(":")
    if not (host and colon and port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise UsageError(f"{key}={text!r} is not host:port")
    try:
        found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise UsageError(f"{key}={text!r}: the host name cannot be resolved: {error}") from error
    return found[0][0], found[0][4]


class Client:
    """Plays ``scenario.clients[index]``; `run` are the steps of the main task."""

    def __init__(
        self,
        loop: Loop,
        client: model.Client,
        addresses: list[Address],
        counters: Counters,
        tracer: Tracer,
        *,
        local_ip: str | None,
        connect_timeout_s: float,
    ) -> None:
        self._loop = loop
        self._client = client
        self._addresses = addresses
        self._counters = counters
        self._tracer = tracer
        self._local_ip = local_ip
        self._connect_timeout_s = connect_timeout_s
        self._checkpoints = Checkpoints(loop)
        self._connections = 0

    def run(self) -> Steps:
        yield from self._thread(self._client.scenario)

    def tally(self) -> dict[str, int]:
        """What the end of the statistics has in addition."""
        return {}

    def _thread(self, operations: Iterable[model.ClientOperation]) -> Steps:
        for operation in operations:
            if isinstance(operation, model.Connect):
                yield from self._connect(operation)
            elif isinstance(operation, model.ClientScope):
                yield from self._loop.together([self._thread(thread) for thread in operation.threads])
            elif isinstance(operation, model.ClientSleep):
                yield (None, monotonic_ns() + operation.timeout_ms * 1_000_000)
            elif isinstance(operation, model.Park):
                self._event(f"park[{operation.checkpoint}]")
                yield from self._checkpoints.park(operation.checkpoint)
                self._event(f"uprk[{operation.checkpoint}]")
            elif isinstance(operation, model.Unpark):
                self._checkpoints.unpark(operation.checkpoint)
            else:
                self._event(f"trce[{self._tracer.name(operation.trace_id)}]")

    def _event(self, text: str, number: int = 0) -> None:
        if self._tracer.stdio:
            self._tracer.event(number, text)

    def _connect(self, connect: model.Connect) -> Steps:
        if connect.router_id is not None:
            raise UsageError("the scenario connects through a router, which pynetbench cannot; remove router_id")
        number = self._connections
        self._connections += 1
        start_ns = monotonic_ns()
        stream = yield from self._open(connect.server_id, start_ns)
        try:
            self._event(f"conn[{connect.client_connection_id}]={(monotonic_ns() - start_ns) // 1000}us", number)
            stream.write_header(connect.server_connection_id)
            player = Player(self._loop, stream, self._checkpoints, self._tracer, number, peer_decides_the_end=False)
            yield from player.play(self._client.connections[connect.client_connection_id])
        finally:
            stream.close()

    def _open(self, server_id: int, start_ns: int) -> Opening:
        """A connected stream. A server that is not there yet is tried again, as long as there is time."""
        family, address = self._addresses[server_id]
        peer = f"server {server_id} ({address[0]}:{address[1]})"
        deadline_ns = start_ns + int(self._connect_timeout_s * 1e9)
        while True:
            try:
                stream = Stream(self._loop, self._connecting(family, address), self._counters, peer)
                try:
                    yield from stream.connected(deadline_ns)
                except OSError:
                    stream.close()
                    raise
                return stream
            except OSError as error:
                if error.errno not in _NOT_YET or monotonic_ns() + RETRY_NS >= deadline_ns:
                    spent_s = (monotonic_ns() - start_ns) / 1e9
                    told = error.strerror or error
                    raise DriverError(f"cannot connect to {peer} within {spent_s:.1f} s: {told}") from error
            yield (None, monotonic_ns() + RETRY_NS)

    def _connecting(self, family: socket.AddressFamily, address: Any) -> socket.socket:
        """A socket that has begun to connect; raises OSError."""
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            configure(sock)
            if self._local_ip is not None:
                sock.bind((self._local_ip, 0))
            begun = sock.connect_ex(address)
            if begun not in (0, errno.EINPROGRESS):
                raise OSError(begun, os.strerror(begun))
        except OSError:
            sock.close()
            raise
        return sock
