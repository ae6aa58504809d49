# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""netbench scenarios: read, check, and know their traffic. Private to the collection.

The stable face of the scenario model; its parts are `model`, `parsing`, `references`, `traffic` and `writing`.
"""

from __future__ import annotations

from . import model
from .errors import ScenarioError
from .model import Scenario
from .parsing import parse
from .references import walk
from .traffic import Thresholds, Traffic, expected_bytes, thresholds
from .writing import dump

__all__ = [
    "Scenario",
    "ScenarioError",
    "Thresholds",
    "Traffic",
    "check",
    "dump",
    "expected_bytes",
    "parse",
    "thresholds",
]

ONE_STREAM_DRIVERS = ("tcp", "pynetbench", "s2n-tls", "native-tls")
"""Drivers whose connection is one duplex stream, unless they multiplex."""

TLS_DRIVERS = ("s2n-quic", "s2n-tls", "native-tls")


def check(
    scenario: Scenario,
    *,
    driver: str | None = None,
    multiplex: bool = False,
    servers: int | None = None,
    clients: int | None = None,
) -> None:
    """Raise `ScenarioError` unless this driver can play the scenario on so many hosts; None leaves that side open.

    Names of drivers that we do not know get the checks that hold for all drivers.
    """
    for what, wanted, found in (
        ("servers", servers, len(scenario.servers)),
        ("clients", clients, len(scenario.clients)),
    ):
        if wanted is not None and wanted != found:
            raise ScenarioError(
                what, f"the scenario is made for {found} {what}, but there are {wanted} hosts; generate it for {wanted}"
            )
    if driver == "pynetbench" and multiplex:
        raise ScenarioError("", "pynetbench does not multiplex; use the driver tcp, or one stream per connection")
    if driver in TLS_DRIVERS and not scenario.certificates:
        raise ScenarioError(
            "certificates", f"the driver {driver} needs certificates; generate the scenario with certificates"
        )
    if driver in ONE_STREAM_DRIVERS and not multiplex:
        hosts = {f"clients[{number}]": client.connections for number, client in enumerate(scenario.clients)}
        hosts |= {f"servers[{number}]": server.connections for number, server in enumerate(scenario.servers)}
        for place, connections in hosts.items():
            for index, connection in enumerate(connections):
                _check_one_stream(connection, f"{place}.connections[{index}]", str(driver))


def _check_one_stream(connection: model.Connection, place: str, driver: str) -> None:
    opens = [
        here
        for operation, here in walk(connection.ops, f"{place}.ops")
        if isinstance(operation, (model.OpenBidirectionalStream, model.OpenSendStream))
    ]
    if len(opens) + len(connection.peer_streams) > 1:
        where = opens[1] if len(opens) > 1 else f"{place}.peer_streams"
        advice = "use one stream" if driver == "pynetbench" else "use one stream, or set multiplex"
        raise ScenarioError(where, f"the driver {driver} has one stream per connection; {advice}")
