# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The channel to one worker: a subprocess whose stdin and stdout are the worker's Unix socket. Private to this
collection.

The subprocess is ``ssh … worker.pyz attach`` with the arguments that Ansible itself would use, or ``worker.pyz
attach`` for a local connection. Only frames cross it. The channel never tries to mend itself: when it is lost, its
owner is told once and decides.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from ...module_utils._protocol.frames import Decoder, FrameError, encode
from ...module_utils._protocol.messages import parse_worker_message
from ...module_utils._worker.ports import connections, inodes_of
from ...module_utils._worker.sockdiag import Connection
from .clock import Exchange
from .endpoint import Endpoint, Prompt
from .errors import ChannelError, Refused
from .signals import kill
from .text import last_words, one_line

OPEN_S = 20.0  # for ssh, sudo and the worker together
REPLY_S = 10.0
STDERR_LIMIT = 4000
UNASKED_LIMIT_BYTES = 1 << 20  # between two messages of ours; an honest worker says a few thousand at most
EXCHANGES_LIMIT = 16

OnReport = Callable[[str, dict[str, Any]], None]
OnLost = Callable[[str, str], None]


class Channel(asyncio.SubprocessProtocol):
    """Requests out, replies matched by id, reports handed over.

    ``exchanges`` are the clock samples of the latest replies; ``heard_s`` is when it last said anything
    (time.monotonic()).
    """

    def __init__(self, endpoint: Endpoint, on_report: OnReport, on_lost: OnLost) -> None:
        self.host = endpoint.host
        self.exchanges: deque[Exchange] = deque(maxlen=EXCHANGES_LIMIT)
        self.messages = 0  # both ways
        self.heard_s = time.monotonic()
        self._endpoint = endpoint
        self._on_report = on_report
        self._on_lost = on_lost
        self._ids = itertools.count(1)
        self._waiting: dict[int, tuple[int, asyncio.Future[dict[str, Any]]]] = {}
        self._decoder = Decoder()
        self._stderr = b""
        self._preamble: bytes | None = b"" if endpoint.become else None
        self._prompt = Prompt(endpoint.become)
        self._entered = asyncio.Event()  # past the preamble, or lost
        self._lost: str | None = None
        self._unasked_bytes = 0
        self._transport: asyncio.SubprocessTransport | None = None
        self._loop = asyncio.get_running_loop()
        self._exited = asyncio.Event()

    # Life

    @classmethod
    async def open(cls, endpoint: Endpoint, on_report: OnReport, on_lost: OnLost) -> Channel:
        """Starts the subprocess, and waits until it has the rights: what is written before, sudo takes for a password.

        Raises ChannelError when that fails; whether a worker answers, ``hello`` will show.
        """
        argv = endpoint.argv("attach")
        try:
            _unused, channel = await asyncio.get_running_loop().subprocess_exec(
                lambda: cls(endpoint, on_report, on_lost), *argv, start_new_session=True, env=_environment()
            )
        except OSError as problem:
            raise ChannelError(endpoint.host, f"could not start {argv[0]}: {problem.strerror}") from problem
        if endpoint.become:
            await channel._gain_rights()
        return channel

    async def close(self) -> None:
        """Lets go of the worker; the run there is not touched."""
        self._on_lost = lambda host, why: None
        if self._transport is None:
            return
        stdin = self._transport.get_pipe_transport(0)
        if stdin is not None:
            stdin.close()
        try:
            await asyncio.wait_for(self._exited.wait(), timeout=1.0)
        except TimeoutError:
            kill(self._transport.get_pid())
            await self._exited.wait()
        self._transport.close()

    def carriers(self) -> list[Connection]:
        """The TCP connections of the subprocess itself, as this machine's kernel sees them."""
        pid = self._transport.get_pid() if self._transport else None
        return connections(inodes_of([pid])) if pid else []

    @property
    def is_open(self) -> bool:
        return self._lost is None

    # Conversation

    def send(self, kind: str, **fields: Any) -> int:
        """Writes a message; returns the instant just before the write. Raises ChannelError when the channel is lost."""
        if self._lost is not None or self._transport is None:
            raise ChannelError(self.host, self._lost or "the channel is closed")
        frame = encode({"type": kind, **fields})
        stdin: Any = self._transport.get_pipe_transport(0)
        self.messages += 1
        self._unasked_bytes = 0
        sent_ns = time.monotonic_ns()
        stdin.write(frame)
        return sent_ns

    async def request(self, kind: str, *, timeout_s: float = REPLY_S, **fields: Any) -> dict[str, Any]:
        """Sends a request and waits for its reply.

        Raises ChannelError when it is refused, late, or the channel is lost.
        """
        number = next(self._ids)
        reply: asyncio.Future[dict[str, Any]] = self._loop.create_future()
        sent_ns = self.send(kind, id=number, **fields)
        self._waiting[number] = (sent_ns, reply)
        deadline = self._loop.call_later(timeout_s, self._expire, reply, kind, timeout_s)
        try:
            answer = await reply
        finally:
            deadline.cancel()
            self._waiting.pop(number, None)
        if answer["refused"]:
            raise Refused(self.host, f"the worker refused {kind!r}: {one_line(answer['refused'])}", answer)
        return answer

    def give_up(self, why: str) -> None:
        """Its owner does not believe in it any more: it is lost, as if it had ended."""
        self._lose(why)

    # Called by asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if not isinstance(transport, asyncio.SubprocessTransport):
            raise AssertionError
        self._transport = transport

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        back_ns = time.monotonic_ns()
        if fd == 2:
            self._stderr = (self._stderr + data)[-STDERR_LIMIT:]
            if self._preamble is not None and self._transport:
                self._stderr = self._prompt.answer(self._stderr, self._transport.get_pipe_transport(0))
            return
        if self._lost is not None:
            return
        self.heard_s = back_ns / 1e9
        if self._preamble is not None:
            data = self._skip_preamble(data)
        self._unasked_bytes += len(data)
        if self._unasked_bytes > UNASKED_LIMIT_BYTES:
            self._lose(f"it sent more than {UNASKED_LIMIT_BYTES} bytes that nobody asked for")
            return
        try:
            for frame in self._decoder.feed(data):
                self._received(parse_worker_message(frame), back_ns)
        except FrameError as problem:
            self._lose(f"the worker is not understood: {one_line(str(problem))}")

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        if fd == 1:  # stderr may still come; the exit tells all
            self._loop.call_later(0.1, self._lose, "the worker closed the channel")

    def process_exited(self) -> None:
        self._exited.set()
        status = self._transport.get_returncode() if self._transport else None
        # what it wrote last may still be in the pipe, which a multiplexing ssh master can keep open for ever
        self._loop.call_later(0.05, self._lose, f"the connection ended (exit status {status})")

    # Inside

    async def _gain_rights(self) -> None:
        try:
            await asyncio.wait_for(self._entered.wait(), OPEN_S)
        except TimeoutError:
            self._lose(f"no rights within {OPEN_S:g} s")
        if self._lost is not None:
            await self.close()
            raise ChannelError(self.host, self._lost)

    def _expire(self, reply: asyncio.Future[dict[str, Any]], kind: str, timeout_s: float) -> None:
        if not reply.done():
            why = f"no answer to {kind!r} within {timeout_s:g} s{last_words(self._stderr)}"
            reply.set_exception(ChannelError(self.host, why))

    def _received(self, message: dict[str, Any], back_ns: int) -> None:
        self.messages += 1
        if message["type"] == "report":
            self._on_report(self.host, message)
            return
        sent_ns, reply = self._waiting.get(message["id"], (0, None))
        if reply is None or reply.done():
            return  # an answer that nobody waits for any more
        if message["received_ns"] is not None:
            self.exchanges.append(Exchange(sent_ns, message["received_ns"], message["sent_ns"], back_ns))
        reply.set_result(message)

    def _lose(self, why: str) -> None:
        if self._lost is not None:
            return
        self._lost = why + last_words(self._stderr)
        self._entered.set()
        for _unused, reply in self._waiting.values():
            if not reply.done():
                reply.set_exception(ChannelError(self.host, self._lost))
        self._on_lost(self.host, self._lost)
        if self._transport and self._transport.get_returncode() is None:
            kill(self._transport.get_pid())

    def _skip_preamble(self, data: bytes) -> bytes:
        """Whatever comes before the become plugin's mark of success is not ours."""
        become = self._endpoint.become
        if become is None:
            raise AssertionError
        if self._preamble is None:
            raise AssertionError
        self._preamble = (self._preamble + data)[-65536:]
        mark = become.success.encode() + b"\n"
        if mark not in self._preamble:
            return b""
        rest = self._preamble.split(mark, 1)[1]
        self._preamble = None
        self._entered.set()
        return rest


def _environment() -> dict[str, str]:
    """Ours, in the C locale, so that messages of ssh and sudo can be recognised."""
    return {**os.environ, "LC_ALL": "C"}
