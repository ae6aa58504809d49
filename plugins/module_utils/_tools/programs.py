# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a program of the build host, keep what it says, show its end when it fails. Private to this collection."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from .credentials import Address
from .errors import BuildError

TAIL_LINES = 15


def find(program: str, why: str) -> str:
    """The path of a program (rustup's folder included, which need not be in PATH), or what to do without it."""
    home_bin = Path(os.environ.get("CARGO_HOME") or Path.home() / ".cargo") / "bin"
    found = shutil.which(program) or shutil.which(program, path=str(home_bin))
    if found:
        return found
    raise BuildError(
        f"{why} needs {program!r}, which the build host does not have. Install it there "
        f"({_HINTS.get(program, program)}), name another build host, or use ready binaries (source: prebuilt)"
    )


_HINTS = {
    "cargo": "Rust 1.74 or newer, from https://rustup.rs; distributions are often too old",
    "cc": "a C compiler, such as the package gcc",
}


def run(
    argv: Sequence[str],
    *,
    log: Path,
    what: str,
    timeout_s: float,
    environment: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    secret: Address | None = None,
) -> str:
    """Run `argv` to its end with its output in `log`, and return that output.

    Raises:
        BuildError: it failed or took longer than `timeout_s`; the message ends with its last lines.
    """
    with open(log, "wb", opener=lambda path, flags: os.open(path, flags, 0o600)) as output, _Signals() as signals:
        try:
            process = subprocess.Popen(
                list(argv),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})},
                cwd=cwd,
                start_new_session=True,
            )
        except OSError as error:
            raise BuildError(f"{what}: {argv[0]} does not start: {error.strerror}") from error
        try:
            signals.unwind()
            status = process.wait(timeout_s)
        except BaseException as error:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if isinstance(error, subprocess.TimeoutExpired):
                end = _end_of(log, secret)
                raise BuildError(f"{what} took longer than {timeout_s:.0f} s and was stopped.\n{end}") from error
            raise
    said = log.read_text("utf-8", "replace")
    if secret:
        said = secret.scrub(said)
        log.write_text(said, encoding="utf-8")
    if status:
        end = _end_of(log, secret)
        raise BuildError(f"{what} failed with exit status {status}. Its last lines (all of them are in {log}):\n{end}")
    return said


class _Signals:
    """A module that Ansible ends, or whose connection is gone, takes a compilation of minutes with it.

    A signal that comes while the program is being started is noted, and ends it at `unwind`.
    """

    def __init__(self) -> None:
        self._early = 0
        self._unwinds = False

    def __enter__(self) -> _Signals:
        mine = threading.current_thread() is threading.main_thread()  # no other can have handlers
        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP) if mine else ()
        self._before = {number: signal.signal(number, self._received) for number in numbers}
        return self

    def __exit__(self, *_problem: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def unwind(self) -> None:
        """From now on a signal is a SystemExit."""
        self._unwinds = True
        if self._early:
            raise SystemExit(128 + self._early)

    def _received(self, number: int, _frame: object) -> None:
        self._early = number
        if self._unwinds:
            raise SystemExit(128 + number)


def _end_of(log: Path, secret: Address | None) -> str:
    end = "\n".join(log.read_text("utf-8", "replace").rstrip().splitlines()[-TAIL_LINES:])
    return secret.scrub(end) if secret else end
