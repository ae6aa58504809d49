# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What ansible-playbook writes to, reached from the process of an action plugin. Private to this collection.

The plugin's own stdout is /dev/null; what it has to say goes through a queue that nobody reads any more after Ctrl-C.
A person who has just interrupted a benchmark wants to know whether it has ended.
"""

from __future__ import annotations

import contextlib
import os

from .text import fitted

USUAL_COLUMNS = 80


class Screen:
    """The terminal of the process ``pid``, or, when its stdout is none, its stderr."""

    def __init__(self, pid: int) -> None:
        folder = f"/proc/{pid}/fd"
        self.is_terminal = False
        self._descriptor: int | None = None
        with contextlib.suppress(OSError):
            self.is_terminal = os.readlink(f"{folder}/1").startswith(("/dev/pts/", "/dev/tty"))
        with contextlib.suppress(OSError):  # another user's terminal, or a socket: it stays unheard
            path = f"{folder}/{1 if self.is_terminal else 2}"
            self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK | os.O_NOCTTY)

    def columns(self) -> int:
        """Its width now."""
        with contextlib.suppress(OSError):
            if self._descriptor is not None:
                return os.get_terminal_size(self._descriptor).columns or USUAL_COLUMNS
        return USUAL_COLUMNS

    def write(self, text: str) -> None:
        """A line, past Ansible. Nothing waits for a reader, and one that is gone is no error."""
        if self._descriptor is not None:
            with contextlib.suppress(OSError):
                line = f"\r\033[K{fitted(text, self.columns())}\n" if self.is_terminal else f"{text}\n"
                os.write(self._descriptor, line.encode())
