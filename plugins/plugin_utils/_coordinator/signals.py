# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ctrl-C, SIGTERM and a dead parent, as one kind of event. Private to this collection.

Ansible ends an action plugin without its ``finally`` unless it handles the signals itself, and is gone 0.15 s after
Ctrl-C; a killed ansible-playbook leaves the plugin behind. Both must end the benchmark, not only the control node's
part of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1


def on_interrupt(interrupt: Callable[[str], None]) -> None:
    """From now on, as long as the running loop lives, signals call ``interrupt`` with a reason instead of ending
    the process.
    """
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, interrupt, "interrupted by Ctrl-C")
    loop.add_signal_handler(signal.SIGTERM, interrupt, "interrupted (Ctrl-C, or the end of ansible-playbook)")
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def kill(pid: int) -> None:
    """SIGKILL for a subprocess that asyncio has not seen end.

    Its own ``kill`` looks first, and so can take the exit status away from the watcher, which then invents one.
    """
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
