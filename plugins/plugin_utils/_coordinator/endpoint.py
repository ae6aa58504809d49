# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a command is run on a host: through the connection that Ansible has. Private to this collection.

An endpoint is resolved by the action plugin (see ``_coordinator.connections``) and from then on needs no Ansible: it
gives an argv for a local process whose stdin and stdout are those of the command on the host.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Become:
    """How Ansible's become plugin wraps a command on this host.

    ``template`` is the wrapped command with ``{command}`` (shell-quoted by us) in it; ``success`` is printed on
    stdout when the rights are there; ``prompt`` on stderr asks for ``password``.
    """

    prefix: str
    suffix: str
    success: str
    prompt: str | None
    password: str | None


@dataclass
class Prompt:
    """The password goes out once. Asked again, it was wrong: the end of the input makes sudo say so and end."""

    become: Become | None
    answered: bool = False

    def answer(self, stderr: bytes, stdin: Any) -> bytes:
        """Answers on ``stdin`` (``write`` and ``close``) what ``stderr`` asks for; returns what of it still counts."""
        become = self.become
        if not (become and become.prompt and become.password) or become.prompt.strip().encode() not in stderr:
            return stderr
        if self.answered:
            stdin.close()
        else:
            stdin.write(become.password.encode() + b"\n")
        self.answered = True
        return b""


@dataclass(frozen=True)
class Endpoint:
    """A host's worker. ``ssh`` is the argv up to and including the destination; empty for a local connection.

    ``alone`` is the same over a connection of its own, and ``hush`` ends Ansible's idle one (empty for a local
    connection). ``speaks``: Ansible's would send keepalives by itself. ``server_speaks_s``: after so many seconds of
    silence the host's ssh server sends something; 0 for never, None when that is not known.
    """

    host: str
    address: str
    ssh: tuple[str, ...]
    python: str
    program: str
    options: tuple[str, ...]  # --instance …, --state-dir …, --runtime-dir …
    become: Become | None = None
    alone: tuple[str, ...] = ()
    hush: tuple[str, ...] = ()
    speaks: bool = False
    server_speaks_s: int | None = None

    def on_its_own(self) -> Endpoint:
        """With a connection that nobody else uses, and that ends with it."""
        return replace(self, ssh=self.alone)

    def argv(self, subcommand: str, *arguments: str) -> list[str]:
        """A local argv that runs ``worker.pyz subcommand …`` on the host."""
        words = [self.python, self.program, subcommand, *self.options, *arguments]
        if self.become:
            command = f"echo {self.become.success}; exec {shlex.join(words)}"
            line = f"{self.become.prefix}{shlex.quote(command)}{self.become.suffix}"
            return [*self.ssh, line] if self.ssh else ["/bin/sh", "-c", line]
        if not self.ssh:
            return words
        return [*self.ssh, "exec " + shlex.join(words)]
