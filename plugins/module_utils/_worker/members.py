# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One planned process of a sample: its program, its gate, and its end. Private to this collection."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import re
import shutil
import signal
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from .._protocol.plan import Process, Stop
from .descendants import Exit
from .errors import SampleError
from .process import Gate, Program
from .storage import open_regular

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
TAIL_BYTES = 2048
_CHUNK_BYTES = 1 << 20
_ESCAPES = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)?|.)?", re.S)


class Member:
    """A process of the sample from its gate to its end."""

    def __init__(self, process: Process, program: Program) -> None:
        self.process = process
        self.program = program
        self.gate: Gate | None = None
        self.exit: Exit | None = None

    @property
    def name(self) -> str:
        return self.process.name

    @property
    def held_gate(self) -> Gate:
        """The gate, once there is one. Raises RuntimeError, a mistake of the worker's own, before that."""
        if self.gate is None:
            raise RuntimeError(f"{self.name} has no gate yet")
        return self.gate

    @property
    def alive(self) -> bool:
        return self.gate is not None and self.exit is None

    def problem(self, stop: Stop, *, asked: bool) -> str | None:
        """Why its end is a failure; None when it ended as it should. ``asked``: the worker had told it to end."""
        if self.gate is None or self.exit is None:
            return f"{self.name} was never started"
        if self.gate.problem:
            doing = "executed" if self.gate.released else "prepared"
            return f"{self.name} could not be {doing}: {self.gate.problem}"
        if not self.gate.executed:
            return f"{self.name} {self.exit} before it was started"
        if asked and self._ended_by(stop.signal):
            return None
        if asked and self._ended_by("KILL"):
            return f"{self.name} had to be killed: it did not end within {stop.grace_s:g} s of SIG{stop.signal}"
        if not asked and stop.rule == "signal":
            return f"{self.name} {self.exit} before it was asked to end"
        return None if self.exit.status in self.process.success else f"{self.name} {self.exit}"

    def _ended_by(self, name: str) -> bool:
        as_shells_say = 128 + signal.Signals["SIG" + name]
        return self.exit is not None and (self.exit.signal == name or self.exit.status == as_shells_say)

    def stderr_tail(self) -> str:
        secrets = [self.process.environment.get(name, "") for name in self.process.secret_environment]
        return tail(self.program.folder / self.program.stderr, secrets)

    def facts(self) -> dict[str, Any]:
        """As messages.FACTS has it."""
        return {
            "name": self.name,
            "pid": self.gate.pid if self.gate else None,
            "start_ns": self.gate.start_ns if self.gate else None,
            "stop_ns": self.exit.at_ns if self.exit else None,
            "exit_status": self.exit.status if self.exit else None,
            "signal": self.exit.signal if self.exit else None,
            "stderr_tail": self.stderr_tail(),
            "notes": self.gate.notes if self.gate else [],
        }


async def program_of(process: Process, folder: Path) -> Program:
    """Find and check the program's file; reading it also brings it into memory before the start. Raises SampleError."""
    path = find(process.command[0], process.environment, folder)
    digest = hashlib.sha256()
    try:
        with open(path, "rb", buffering=0) as stream:
            while chunk := stream.read(_CHUNK_BYTES):
                digest.update(chunk)
                await asyncio.sleep(0)
    except PermissionError:  # one may execute what one may not read
        if process.sha256:
            raise SampleError(f"{process.name}: {path} cannot be read, so its checksum is unknown") from None
    if process.sha256 and digest.hexdigest() != process.sha256:
        raise SampleError(
            f"{process.name}: {path} is not the planned program (sha256 {digest.hexdigest()[:12]}…, "
            f"planned {process.sha256[:12]}…): install it again"
        )
    return Program(
        name=process.name,
        path=path,
        command=process.command,
        environment=process.environment,
        folder=folder,
        stdout=process.name + ".stdout",
        stderr=process.name + ".stderr",
        cpus=process.cpus,
        priority=process.priority,
    )


def find(command: str, environment: Mapping[str, str], folder: Path) -> str:
    """The file that a command names, looked up in its own PATH. Raises SampleError."""
    search = environment.get("PATH") or DEFAULT_PATH
    path = str(folder / command) if "/" in command else shutil.which(command, path=search)
    if path is None:
        raise SampleError(f"the program {command!r} was not found in {search}")
    if not os.path.isfile(path):
        raise SampleError(f"the program {path} is not there")
    if not os.access(path, os.X_OK):
        raise SampleError(f"the program {path} is not executable")
    return path


def tail(path: Path, secrets: Iterable[str] = ()) -> str:
    """The last lines of an output file, fit for a terminal: no control characters, no escapes, no secrets."""
    data = b""
    with contextlib.suppress(OSError):
        handle = open_regular(path)
        try:
            size = os.fstat(handle).st_size
            data = os.pread(handle, 2 * TAIL_BYTES, max(0, size - 2 * TAIL_BYTES))
        finally:
            os.close(handle)
    text = data.decode("utf-8", "replace")
    for secret in secrets:
        if secret:
            text = text.replace(secret, "***")
    return printable(text)[-TAIL_BYTES:].strip()


def printable(text: str) -> str:
    """Without terminal escapes and without what cannot be seen, but newlines and tabs."""
    plain = _ESCAPES.sub("", text.replace("\r\n", "\n"))
    return "".join(letter for letter in plain if letter in "\n\t" or letter.isprintable())
