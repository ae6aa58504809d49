# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plays the operations of one connection. Private to the collection.

What the operations mean is read from the original driver (``s2n-netbench`` 0.1, ``src/driver/thread.rs``), with two
exceptions. A stream that ends before a ``receive`` has all its bytes is an error here; the original takes it for done.
And ``send_finish`` closes our half of the TCP connection, so that ``receive_all`` at the other end ends.
"""

from __future__ import annotations

from collections.abc import Iterable
from time import monotonic_ns

from . import model
from .errors import DriverError
from .loop import Event, Loop, Steps
from .stream import Pace, PeerGone, Stream, TimeUp
from .tracing import Tracer

PEER_MAY_STOP_EARLY_NS = 100_000_000
"""Both ends may repeat for the same time; the other end may see that time end a little earlier than we do."""


class Checkpoints:
    """Threads wait here (park) until another has passed (unpark). An unpark is kept until somebody parks."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._passed: set[int] = set()
        self._changed = Event()

    def park(self, checkpoint: int, deadline_ns: int | None = None) -> Steps:
        while checkpoint not in self._passed:
            self._changed.clear()
            if not (yield (self._changed, deadline_ns)):
                raise TimeUp
        self._passed.remove(checkpoint)

    def unpark(self, checkpoint: int) -> None:
        self._passed.add(checkpoint)
        self._loop.set(self._changed)


class Player:
    """Plays a connection: this end's ``ops`` beside its answers to the stream of the peer."""

    def __init__(
        self,
        loop: Loop,
        stream: Stream,
        checkpoints: Checkpoints,
        tracer: Tracer,
        number: int,
        *,
        peer_decides_the_end: bool,
    ) -> None:
        self._loop = loop
        self._stream = stream
        self._checkpoints = checkpoints
        self._tracer = tracer
        self._number = number
        self._peer_decides_the_end = peer_decides_the_end
        self._send_paces: dict[int, Pace] = {}
        self._receive_paces: dict[int, Pace] = {}
        self._opened = False

    def play(self, connection: model.Connection) -> Steps:
        threads = [self._thread(connection.ops, None)]
        for stream_id, operations in enumerate(connection.peer_streams):
            self._open()
            self._event(f"acpt[{stream_id}]")
            threads.append(self._thread(operations, None))
        yield from self._loop.together(threads)

    def _open(self) -> None:
        if self._opened:
            raise DriverError("a connection of pynetbench has one stream, but the scenario opens a second one on it")
        self._opened = True

    def _event(self, text: str) -> None:
        if self._tracer.stdio:
            self._tracer.event(self._number, text)

    def _thread(self, operations: Iterable[model.ConnectionOperation], deadline_ns: int | None) -> Steps:
        for operation in operations:
            if isinstance(operation, model.Send):
                sent = yield from self._stream.send(
                    operation.bytes, self._send_paces.get(operation.stream_id), deadline_ns
                )
                self._event(f"send[{operation.stream_id}]={sent}")
            elif isinstance(operation, model.Receive):
                pace = self._receive_paces.get(operation.stream_id)
                received = yield from self._stream.receive(operation.bytes, pace, deadline_ns)
                self._event(f"recv[{operation.stream_id}]={received}")
            elif isinstance(operation, model.Profile):
                start_ns = monotonic_ns()
                yield from self._thread(operation.operations, deadline_ns)
                self._tracer.profile(self._number, operation.trace_id, monotonic_ns() - start_ns)
            elif isinstance(operation, model.Iterate):
                yield from self._iterate(operation, deadline_ns)
            elif isinstance(operation, model.ReceiveAll):
                received = yield from self._stream.receive(
                    None, self._receive_paces.get(operation.stream_id), deadline_ns
                )
                self._event(f"recv[{operation.stream_id}]={received}")
            elif isinstance(operation, model.Scope):
                yield from self._loop.together([self._thread(thread, deadline_ns) for thread in operation.threads])
            elif isinstance(operation, model.Sleep):
                yield from self._sleep(operation.amount_ms, deadline_ns)
            elif isinstance(operation, model.Park):
                self._event(f"park[{operation.checkpoint}]")
                yield from self._checkpoints.park(operation.checkpoint, deadline_ns)
                self._event(f"uprk[{operation.checkpoint}]")
            else:
                self._at_once(operation)

    def _at_once(self, operation: model.ConnectionOperation) -> None:
        if isinstance(operation, (model.OpenBidirectionalStream, model.OpenSendStream)):
            self._open()
            self._event(f"open[{operation.stream_id}]")
        elif isinstance(operation, model.SendFinish):
            self._stream.finish_sending()
            self._event(f"sfin[{operation.stream_id}]")
        elif isinstance(operation, model.ReceiveFinish):
            self._event(f"rfin[{operation.stream_id}]")
        elif isinstance(operation, model.SendRate):
            self._send_paces[operation.stream_id] = Pace(operation.bytes, operation.period_ms)
        elif isinstance(operation, model.ReceiveRate):
            self._receive_paces[operation.stream_id] = Pace(operation.bytes, operation.period_ms)
        elif isinstance(operation, model.Unpark):
            self._checkpoints.unpark(operation.checkpoint)
        elif isinstance(operation, model.Trace):
            self._event(f"trce[{self._tracer.name(operation.trace_id)}]")

    def _sleep(self, amount_ms: int, deadline_ns: int | None) -> Steps:
        end_ns = monotonic_ns() + amount_ms * 1_000_000
        if deadline_ns is not None and deadline_ns < end_ns:
            yield (None, deadline_ns)
            raise TimeUp
        yield (None, end_ns)

    def _iterate(self, iterate: model.Iterate, deadline_ns: int | None) -> Steps:
        if iterate.time_ms is not None:
            yield from self._repeat_for(iterate, iterate.time_ms, deadline_ns)
        for _turn in range(iterate.count or 0):
            yield from self._once(iterate, deadline_ns)

    def _repeat_for(self, iterate: model.Iterate, time_ms: int, deadline_ns: int | None) -> Steps:
        end_ns = monotonic_ns() + time_ms * 1_000_000
        inner_ns = end_ns if deadline_ns is None else min(end_ns, deadline_ns)
        try:
            while monotonic_ns() < inner_ns:
                yield from self._once(iterate, inner_ns)
        except TimeUp:
            pass
        except PeerGone:
            # Where only time says when to stop, one end stops first: the server follows its client.
            if not self._peer_decides_the_end and monotonic_ns() < end_ns - PEER_MAY_STOP_EARLY_NS:
                raise
        if deadline_ns is not None and monotonic_ns() >= deadline_ns:
            raise TimeUp

    def _once(self, iterate: model.Iterate, deadline_ns: int | None) -> Steps:
        start_ns, polls = monotonic_ns(), self._loop.polls
        yield from self._thread(iterate.operations, deadline_ns)
        if iterate.trace_id is not None:
            self._tracer.profile(self._number, iterate.trace_id, monotonic_ns() - start_ns)
        if self._loop.polls == polls:
            yield None
