# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The errors of netbench scenarios and of pynetbench. Private to the collection.

::

    NetbenchError
    ├── ScenarioError   a scenario that cannot be played; the message starts with the place in the document
    ├── UsageError      wrong arguments or environment of the driver
    └── DriverError     the exchange itself failed: peer gone, connection refused, deadlock
"""

from __future__ import annotations


class NetbenchError(Exception):
    """Whatever pynetbench and the scenario functions raise on purpose."""


class ScenarioError(NetbenchError):
    """A scenario is broken. ``place`` says where (``clients[1].connections[0].ops[2].send.stream_id``)."""

    def __init__(self, place: str, message: str) -> None:
        super().__init__(f"{place}: {message}" if place else message)
        self.place = place


class UsageError(NetbenchError):
    """The driver was called with arguments or environment that it cannot use."""


class DriverError(NetbenchError):
    """The scenario could not be completed."""
