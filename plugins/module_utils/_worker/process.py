# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Processes that are made early and started to the microsecond. Private to this collection.

:func:`hold` forks; the child does everything that can be done beforehand (session, directory, output files, CPU
affinity, encoded arguments) and then waits at its *gate*, a pipe. :meth:`Gate.release` writes the start instant into
it. The child sleeps until shortly before, spins the rest, stamps the time and executes the program: two system calls
after the instant.

The child answers through a pipe that closes by itself when the program is executed::

    b"N" + line      any number: a favour that the host does not grant (CPUs, priority); the process goes on without
    b"H"             it is held: all is prepared, then
    b"S" + 8 bytes   the start instant, then
    end of file      the program runs
    b"E" + text      at any point: it could not, and why

stdout and stderr are plain files that the program writes to by itself, so a chatty program costs the worker nothing
in the window; :func:`cut` keeps them below their limit, called at the sampler's ticks and at the end.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import stat
import struct
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from . import linux

SPIN_NS = 200_000
_INSTANT = struct.Struct("=q")
_STARTED = struct.Struct("=cq")
_ALL_SIGNALS = signal.valid_signals()
_GATE, _ANSWER = 3, 4  # the child's only files besides stdio


@dataclass(frozen=True)
class Program:
    """What a gate executes. ``path`` was found beforehand; ``stdout`` and ``stderr`` are made in ``folder``."""

    name: str
    path: str
    command: Sequence[str]
    environment: Mapping[str, str]
    folder: Path
    stdout: str
    stderr: str
    cpus: Sequence[int] | None = None
    priority: int | None = None  # real-time


class Gate:
    """A process from before its start to its end, seen from the worker."""

    def __init__(self, program: Program, pid: int, gate: int, answer: int) -> None:
        self.program = program
        self.pid = pid
        self.answer = answer  # readable whenever the child has said something
        self.notes: list[str] = []  # favours that the host did not grant
        self._gate: int | None = gate
        self._said = b""
        self._silent = False  # it has closed its end

    @property
    def held(self) -> bool:
        return self._said[:1] == b"H"

    @property
    def released(self) -> bool:
        return self._gate is None

    @property
    def executed(self) -> bool:
        """It runs, or ran, its program."""
        return self._silent and self.start_ns is not None and self.problem is None

    @property
    def _has_started(self) -> bool:
        return self.held and self._said[1:2] == b"S"

    @property
    def start_ns(self) -> int | None:
        """When it executed its program, on the monotonic clock; None before that is known."""
        return _STARTED.unpack_from(self._said, 1)[1] if self._has_started and len(self._said) > _STARTED.size else None

    @property
    def problem(self) -> str | None:
        """Why it could not be held, or could not execute its program."""
        rest = self._said[1 + _STARTED.size if self._has_started else 1 if self.held else 0 :]
        return rest[1:].decode("utf-8", "replace") if rest[:1] == b"E" else None

    def release(self, at_ns: int) -> None:
        """Start at this instant of the monotonic clock; 0 is now."""
        if self._gate is not None:
            with contextlib.suppress(BrokenPipeError):  # it died at its gate: its exit says so
                os.write(self._gate, _INSTANT.pack(at_ns))
            os.close(self._gate)
            self._gate = None

    def listen(self) -> bool:
        """Read what the child has said; True while there may be more."""
        while not self._silent:
            try:
                said = os.read(self.answer, 4096)
            except BlockingIOError:
                return True
            self._said += said
            self._silent = not said
            while self._said[:1] == b"N" and b"\n" in self._said:
                note, _newline, self._said = self._said.partition(b"\n")
                self.notes.append(note[1:].decode("ascii", "replace"))
        return False

    def close(self) -> None:
        """Its end was seen: take its last words, and forget it."""
        self.listen()
        os.close(self.answer)
        if self._gate is not None:
            os.close(self._gate)
            self._gate = None


def hold(program: Program) -> Gate:
    """Fork a child that waits at its gate. Raises OSError when there is no process to be had."""
    argv = [_encoded(argument) for argument in program.command]
    environment = {_encoded(name): _encoded(value) for name, value in program.environment.items()}
    gate_read, gate_write = os.pipe()
    answer_read, answer_write = os.pipe()
    mask = signal.pthread_sigmask(signal.SIG_SETMASK, _ALL_SIGNALS)
    gc.freeze()
    try:
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            _child(program, argv, environment, parent, gate_read, answer_write)
    except OSError:
        os.close(gate_write)
        os.close(answer_read)
        raise
    finally:
        gc.unfreeze()
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        os.close(gate_read)
        os.close(answer_write)
    os.set_blocking(answer_read, False)
    return Gate(program, pid, gate_write, answer_read)


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _child(
    program: Program, argv: list[bytes], environment: dict[bytes, bytes], parent: int, gate: int, answer: int
) -> NoReturn:
    try:
        gc.disable()
        _be_a_fresh_process(parent)
        _be_left_with(gate, answer)
        os.setsid()
        os.chdir(program.folder)
        _redirect(program)
        for note in _favour(program):
            os.write(_ANSWER, b"N" + note.encode("ascii", "replace")[:300] + b"\n")
        path = os.fsencode(program.path)
        _wait_until(1)  # touch what the start will need
        os.write(_ANSWER, b"H")
        asked = os.read(_GATE, _INSTANT.size)
        if len(asked) == _INSTANT.size:
            (at_ns,) = _INSTANT.unpack(asked)
            os.write(_ANSWER, _STARTED.pack(b"S", _wait_until(at_ns)))
            os.execve(path, argv, environment)
    except OSError as problem:
        os.write(_ANSWER, b"E" + str(problem.strerror or problem).encode("utf-8")[:500])
    except BaseException as problem:
        os.write(_ANSWER, b"E" + type(problem).__name__.encode("ascii"))
    finally:
        os._exit(127)


def _favour(program: Program) -> list[str]:
    """CPUs of its own and real-time priority, where the host allows them; returns what it does not allow, and why."""
    notes = []
    if program.cpus:
        try:
            os.sched_setaffinity(0, program.cpus)
        except OSError as problem:
            cpus = ",".join(str(cpu) for cpu in program.cpus)
            notes.append(f"{program.name} runs on any CPU, not on {cpus}: {problem.strerror}")
    if program.priority:
        try:
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(program.priority))
        except OSError as problem:
            notes.append(f"{program.name} runs without real-time priority {program.priority}: {problem.strerror}")
    return notes


def _wait_until(at_ns: int) -> int:
    """Sleep, then spin the last stretch; returns the instant at which it ended."""
    now_ns = time.monotonic_ns()
    while at_ns - now_ns > SPIN_NS:
        time.sleep((at_ns - now_ns - SPIN_NS) / 1e9)
        now_ns = time.monotonic_ns()
    while now_ns < at_ns:
        now_ns = time.monotonic_ns()
    return now_ns


def _be_a_fresh_process(parent: int) -> None:
    """Undo what the interpreter did to signals; all are blocked until then."""
    linux.die_with_parent()
    if os.getppid() != parent:
        os._exit(127)  # it died before that took effect
    signal.set_wakeup_fd(-1)
    for number in _ALL_SIGNALS - {signal.SIGKILL, signal.SIGSTOP}:
        if signal.getsignal(number) is not signal.SIG_DFL:
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _be_left_with(gate: int, answer: int) -> None:
    """Close every file but the two pipes, which get fixed numbers and close at execution."""
    high = 1 + max(_ANSWER, gate, answer)
    gate, answer = os.dup2(gate, high, inheritable=False), os.dup2(answer, high + 1, inheritable=False)
    os.dup2(gate, _GATE, inheritable=False)
    os.dup2(answer, _ANSWER, inheritable=False)
    os.closerange(_ANSWER + 1, 1 + max(int(name) for name in os.listdir("/proc/self/fd")))


def _redirect(program: Program) -> None:
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    for number, name in ((1, program.stdout), (2, program.stderr)):
        handle = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
        os.dup2(handle, number)
        os.close(handle)


def cut(path: Path, limit_bytes: int, *, mark: bool = False) -> bool:
    """Cut an output file at its limit (its writer goes on at the new end); True when there was something to cut.

    ``mark`` appends a line that says so, for the last time it is called.
    """
    try:
        handle = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_APPEND | os.O_CLOEXEC)
    except OSError:
        return False  # never made, or replaced by something that is not ours to touch
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode) or found.st_size <= limit_bytes:
            return False
        os.ftruncate(handle, limit_bytes)
        if mark:
            os.write(handle, b"\n[netbench worker: cut here, the limit is %d bytes]\n" % limit_bytes)
        return True
    finally:
        os.close(handle)
