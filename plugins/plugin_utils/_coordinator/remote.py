# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Running one subcommand of the worker's program on a host, outside the channel. Private to this collection."""

from __future__ import annotations

import asyncio
import contextlib
from typing import IO

from .endpoint import Endpoint, Prompt
from .errors import HostError, Unreachable
from .signals import kill
from .text import last_words

HUSH_S = 5.0
END_S = 2.0
SSH_FAILED = 255  # exit status of ssh when the connection is to blame: ssh(1)
LIMIT_BYTES = 8 << 30  # of what goes to a file
ANSWER_LIMIT_BYTES = 1 << 20  # of what is kept in memory
_CHUNK = 1 << 18


async def hush(endpoint: Endpoint) -> None:
    """Ends Ansible's own idle connection to the host. Nothing to end is as well."""
    if endpoint.hush:
        quiet = asyncio.subprocess.DEVNULL
        process = await asyncio.create_subprocess_exec(*endpoint.hush, stdin=quiet, stdout=quiet, stderr=quiet)
        try:
            await asyncio.wait_for(process.wait(), HUSH_S)
        except TimeoutError:
            kill(process.pid)
            await process.wait()


async def run(
    endpoint: Endpoint,
    subcommand: str,
    *arguments: str,
    given: bytes = b"",
    output: IO[bytes] | None = None,
    timeout_s: float,
    stall_s: float | None = None,
) -> bytes:
    """Runs ``worker.pyz subcommand …`` on the host with ``given`` on its stdin; returns stdout, or writes it to
    ``output``.

    Raises HostError when it cannot be run, takes longer than ``timeout_s``, says too much, or ends with another
    status than 0; Unreachable when the connection is to blame, or nothing comes for ``stall_s``.
    """
    argv = endpoint.argv(subcommand, *arguments)
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as problem:
        raise HostError(endpoint.host, f"could not start {argv[0]}: {problem.strerror}") from problem
    conversation = _Conversation(process, endpoint, subcommand, given, output, stall_s)
    try:
        return await asyncio.wait_for(conversation.hold(), timeout_s)
    except TimeoutError:
        raise HostError(
            endpoint.host, f"'worker {subcommand}' took longer than {timeout_s:g} s{conversation.said()}"
        ) from None
    finally:
        await conversation.close()


class _Conversation:
    def __init__(
        self,
        process: asyncio.subprocess.Process,
        endpoint: Endpoint,
        subcommand: str,
        given: bytes,
        output: IO[bytes] | None,
        stall_s: float | None,
    ) -> None:
        self._process = process
        self._subcommand = subcommand
        self._endpoint = endpoint
        self._given = given
        self._output = output
        self._stall_s = stall_s
        self._stderr = b""
        self._entered = False
        self._listener = asyncio.create_task(self._listen())

    async def hold(self) -> bytes:
        stdin, stdout = self._process.stdin, self._process.stdout
        if not stdin:
            raise AssertionError
        if not stdout:
            raise AssertionError
        if self._endpoint.become:
            await self._gain_rights(stdout, self._endpoint.become.success.encode())
        sender = asyncio.create_task(self._give(stdin))
        collected, total = [], 0
        while data := await self._read(stdout):
            total += len(data)
            limit = ANSWER_LIMIT_BYTES if self._output is None else LIMIT_BYTES
            if total > limit:
                raise HostError(self._endpoint.host, f"sent more than {limit} bytes")
            if self._output is None:
                collected.append(data)
            else:
                self._output.write(data)
        await sender
        status = await self._process.wait()
        if status:
            await asyncio.wait([self._listener], timeout=0.2)  # a multiplexing ssh master may hold stderr open
            if status == SSH_FAILED and self._endpoint.ssh:
                raise Unreachable(self._endpoint.host, f"cannot be reached (ssh ended with status 255){self.said()}")
            raise HostError(self._endpoint.host, f"'worker {self._subcommand}' ended with status {status}{self.said()}")
        return b"".join(collected)

    async def _read(self, stdout: asyncio.StreamReader) -> bytes:
        try:
            return await asyncio.wait_for(stdout.read(_CHUNK), self._stall_s)
        except TimeoutError:
            raise Unreachable(self._endpoint.host, f"said nothing for {self._stall_s:g} s{self.said()}") from None

    def said(self) -> str:
        return last_words(self._stderr)

    async def close(self) -> None:
        """Ends the program, if it has not ended. asyncio sees an end only when nothing is left unread, so read it."""
        self._listener.cancel()
        await asyncio.wait([self._listener])
        if self._process.returncode is None:
            kill(self._process.pid)
            with contextlib.suppress(TimeoutError):  # somebody else, an ssh master, may hold the pipes open
                await asyncio.wait_for(self._process.communicate(), END_S)

    async def _give(self, stdin: asyncio.StreamWriter) -> None:
        try:
            stdin.write(self._given)
            await stdin.drain()
            stdin.close()
        except (BrokenPipeError, ConnectionResetError):
            pass  # the other side will say why by its exit status

    async def _listen(self) -> None:
        if not self._process.stderr:
            raise AssertionError
        if not self._process.stdin:
            raise AssertionError
        prompt = Prompt(self._endpoint.become)
        while data := await self._process.stderr.read(4096):
            self._stderr = (self._stderr + data)[-4000:]
            if not self._entered:
                self._stderr = prompt.answer(self._stderr, self._process.stdin)

    async def _gain_rights(self, stdout: asyncio.StreamReader, mark: bytes) -> None:
        line = None
        while line != mark:
            try:
                line = await stdout.readuntil(b"\n")
            except asyncio.LimitOverrunError as problem:  # whatever is said before is not for us, however long it is
                await stdout.readexactly(problem.consumed)
            except asyncio.IncompleteReadError:
                await asyncio.wait([self._listener], timeout=0.5)
                raise HostError(self._endpoint.host, f"no rights to run the worker's program{self.said()}") from None
            else:
                line = line.strip()
        self._entered = True
