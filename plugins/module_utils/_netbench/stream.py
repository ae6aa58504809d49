# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One TCP connection as the scenario's single duplex stream. Private to the collection.

The payload means nothing: the same few megabytes are sent again and again in large calls (``sendfile`` costs more than
the copy here, as it goes through a pipe of 64 KiB), and received bytes are discarded in the kernel by ``MSG_TRUNC``
(tcp(7)). What is counted is what the kernel took from us and what was taken off the receive queue.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from collections.abc import Generator
from dataclasses import dataclass
from time import monotonic_ns
from typing import Callable

from .errors import DriverError
from .loop import Event, Loop, Watched, Yielded

CHUNK_BYTES = 4 * 1024 * 1024
HEADER = struct.Struct(">Q")
HEADER_TIMEOUT_S = 30
PEER_SILENCE_S = 30
"""A peer that acknowledges nothing for so long is gone; a connection without traffic is probed in that time."""
_TURNS = 4
"""Successful system calls in a row before other connections have their turn."""
_TCP_INFO_UNACKED = struct.Struct("=24xI28xI")
"""Of ``struct tcp_info`` (linux/tcp.h): segments not acknowledged, and milliseconds since the last acknowledgement."""

Amounts = Generator[Yielded, bool, int]


class PeerGone(DriverError):
    """The peer closed or reset the connection in the middle of the exchange."""


class TimeUp(Exception):
    """The deadline of a time-bounded repetition passed in the middle of an operation."""


@dataclass
class Counters:
    """Payload of all connections of this process."""

    rx_bytes: int = 0
    tx_bytes: int = 0
    first_byte_ns: int | None = None


class Pace:
    """At most so many bytes in each period, on a grid of periods; what a period leaves unused is lost."""

    def __init__(self, limit_bytes: int, period_ms: int) -> None:
        self._limit = limit_bytes
        self._period_ns = period_ms * 1_000_000
        self._left = 0
        self.renewal_ns = 0

    def allowance(self) -> int:
        now = monotonic_ns()
        if now >= self.renewal_ns:
            late = now - self.renewal_ns
            self.renewal_ns = now + self._period_ns - (late if late < self._period_ns else 0)
            self._left = self._limit
        return self._left

    def use(self, count: int) -> None:
        self._left -= count


class Stream:
    """The duplex stream; `send` and `receive` are steps of a task, and return the bytes moved."""

    def __init__(self, loop: Loop, sock: socket.socket, counters: Counters, peer: str) -> None:
        self._loop = loop
        self._watched: Watched = loop.watch(sock)
        self._sock = sock
        self._counters = counters
        self._peer = peer

    def close(self) -> None:
        self._loop.close(self._watched)

    def connected(self, deadline_ns: int) -> Generator[Yielded, bool, None]:
        """Wait until a non-blocking connect has ended; raises OSError as connect(2) would."""
        if not (yield (self._watched.writable, deadline_ns)):
            raise TimeoutError("no answer")
        error = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            raise OSError(error, os.strerror(error))

    def write_header(self, server_connection_id: int) -> None:
        self._sock.sendall(HEADER.pack(server_connection_id))  # the send buffer of a fresh connection holds 8 bytes

    def read_header(self) -> Generator[Yielded, bool, int]:
        header = b""
        deadline_ns = monotonic_ns() + HEADER_TIMEOUT_S * 1_000_000_000
        while len(header) < HEADER.size:
            try:
                part = self._sock.recv(HEADER.size - len(header))
            except BlockingIOError:
                self._watched.readable.clear()
                if not (yield (self._watched.readable, deadline_ns)):
                    raise DriverError(f"{self._peer} sent no connection id within {HEADER_TIMEOUT_S} s") from None
                continue
            except OSError as error:
                raise PeerGone(f"{self._peer} ended the connection before its id: {error.strerror}") from error
            if not part:
                raise PeerGone(f"{self._peer} closed the connection before it sent a connection id")
            header += part
        return int(HEADER.unpack(header)[0])

    def finish_sending(self) -> None:
        with contextlib.suppress(OSError):  # a peer that is gone already has all that it wanted
            self._sock.shutdown(socket.SHUT_WR)

    def send(self, total: int, pace: Pace | None, deadline_ns: int | None) -> Amounts:
        """Send exactly ``total`` bytes."""
        moved = yield from self._transfer(total, pace, deadline_ns, self._send_some, self._watched.writable)
        return moved

    def receive(self, total: int | None, pace: Pace | None, deadline_ns: int | None) -> Amounts:
        """Receive exactly ``total`` bytes, or with None all until the peer finishes."""
        moved = yield from self._transfer(total, pace, deadline_ns, self._receive_some, self._watched.readable)
        if total is not None and moved < total:
            raise PeerGone(f"{self._peer} closed the connection after {moved} of {total} bytes")
        return moved

    def _send_some(self, count: int) -> int:
        sent = self._sock.send(_PAYLOAD[:count])
        self._counters.tx_bytes += sent
        return sent

    def _receive_some(self, count: int) -> int:
        received = self._sock.recv_into(_DISCARDED, count, socket.MSG_TRUNC)
        self._counters.rx_bytes += received
        return received

    def _transfer(
        self, total: int | None, pace: Pace | None, deadline_ns: int | None, attempt: Callable[[int], int], event: Event
    ) -> Amounts:
        moved = turns = 0
        while total is None or moved < total:
            count = CHUNK_BYTES if total is None else min(CHUNK_BYTES, total - moved)
            if pace is not None:
                count = min(count, pace.allowance())
                if not count:
                    renewal_ns = pace.renewal_ns if deadline_ns is None else min(pace.renewal_ns, deadline_ns)
                    yield (None, renewal_ns)
                    _check_time(deadline_ns)
                    continue
            try:
                amount = attempt(count)
            except BlockingIOError:
                event.clear()
                turns = 0
                silent_ns = monotonic_ns() + PEER_SILENCE_S * 1_000_000_000
                if not (yield (event, silent_ns if deadline_ns is None else min(silent_ns, deadline_ns))):
                    _check_time(deadline_ns)
                    self._check_peer(moved, total)
                continue
            except OSError as error:
                raise PeerGone(
                    f"{self._peer} ended the connection after {moved} of {total} bytes: {error.strerror}"
                ) from error
            if not amount:
                break
            if self._counters.first_byte_ns is None:
                self._counters.first_byte_ns = monotonic_ns()
            moved += amount
            if pace is not None:
                pace.use(amount)
            turns += 1
            if turns == _TURNS:
                turns = 0
                yield None
                _check_time(deadline_ns)
        return moved

    def _check_peer(self, moved: int, total: int | None) -> None:
        """Raise if the kernel has waited too long for an acknowledgement (a closed window is no fault of the peer)."""
        info = self._sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_UNACKED.size)
        unacked, last_ack_ms = _TCP_INFO_UNACKED.unpack(info)
        if unacked and last_ack_ms >= PEER_SILENCE_S * 1000:
            raise PeerGone(
                f"{self._peer} has acknowledged nothing for {last_ack_ms / 1000:.0f} s, after {moved} of {total} bytes"
            )


def _check_time(deadline_ns: int | None) -> None:
    if deadline_ns is not None and monotonic_ns() >= deadline_ns:
        raise TimeUp


_PAYLOAD = memoryview(b"*" * CHUNK_BYTES)
_DISCARDED = bytearray(CHUNK_BYTES)


def configure(sock: socket.socket) -> None:
    """No Nagle delay, as the original; and notice a peer that vanished without a word."""
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, PEER_SILENCE_S // 2)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, PEER_SILENCE_S // 6)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
