# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The coordinator's exceptions. Private to this collection.

::

    CoordinatorError            something ended the run; its message is for the user
    ├── HostError               … and a host is to blame: carries its name
    │   ├── Unreachable         a connection to it was lost, or could not be made: it may work later
    │   └── ChannelError        the channel to its worker could not be opened, or was lost
    │       └── Refused         … the worker answered, and said no; carries its answer
    └── Interrupted             Ctrl-C, or the play was ended
"""

from __future__ import annotations

from typing import Any


class CoordinatorError(Exception):
    """The run cannot go on."""


class HostError(CoordinatorError):
    """One host is the reason. ``str()`` begins with its name."""

    def __init__(self, host: str, problem: str) -> None:
        self.host = host
        self.problem = problem
        super().__init__(f"{host}: {problem}")


class Unreachable(HostError):
    """The connection is to blame, not what runs on the host."""


class ChannelError(HostError):
    """No channel to the worker of this host."""


class Refused(ChannelError):
    """The worker said no to a request."""

    def __init__(self, host: str, problem: str, answer: dict[str, Any]) -> None:
        self.answer = answer
        super().__init__(host, problem)


class Interrupted(CoordinatorError):
    """The user, or Ansible, ended the run."""
