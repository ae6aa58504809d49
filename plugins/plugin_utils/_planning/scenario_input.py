# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The scenario of a grid point: generated, or the user's own, and checked against the hosts. Private to this
collection."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ...module_utils._netbench import model
from ...module_utils._netbench import scenario as scenarios
from ...module_utils._netbench.errors import ScenarioError
from ...module_utils._protocol.schema import Path, SchemaError, boolean, choice, suggestion
from . import certificates
from .hosts import Members
from .quantities import rate_bps
from .scenario_parameters import GeneratorError
from .scenarios import KINDS, generate

PLACE: Path = ("workload", "scenario")


@dataclass(frozen=True)
class ScenarioInput:
    """The scenario as the drivers read it; by host, the least payload of a completed sample; the time it may take."""

    text: str
    evidence: Mapping[str, Mapping[str, Any]]
    expected_s: float | None


def scenario_input(
    section: Mapping[str, Any], members: Members, read_file: Callable[[str, Path], str]
) -> ScenarioInput:
    """The scenario of a resolved ``scenario`` section.

    Raises SchemaError when it cannot be made, or not be played by this driver on these hosts.
    """
    servers, clients = members[section["servers"]], members[section["clients"]]
    path = (*PLACE, "file" if section["file"] else "parameters")
    try:
        if section["file"]:
            text = read_file(str(section["file"]), path)
        else:
            text = json.dumps(_generated(section, len(servers), len(clients)))
        scenario = scenarios.parse(text)
        multiplex = boolean(section["multiplex"], (*PLACE, "multiplex"))
        scenarios.check(
            scenario, driver=section["driver"], multiplex=multiplex, servers=len(servers), clients=len(clients)
        )
    except ScenarioError as problem:
        source = f"the scenario {section['file']}" if section["file"] else "the generated scenario"
        raise SchemaError(path, f"{source}: {problem}.", section["file"]) from problem
    alike = not section["file"]  # the generator gives all clients the same to do, and all servers
    evidence = {}
    for role, group in (("client", clients), ("server", servers)):
        first = scenarios.thresholds(scenario, role, 0)
        for member in group:
            same = alike or member.index == 0
            evidence[member.host.name] = first if same else scenarios.thresholds(scenario, role, member.index)
    return ScenarioInput(
        text=text,
        evidence={
            host: {"rx_bytes": least.rx_bytes, "tx_bytes": least.tx_bytes, "exact": least.exact}
            for host, least in evidence.items()
        },
        expected_s=_expected_s(scenario, evidence.values(), section["expected_rate"]),
    )


def _generated(section: Mapping[str, Any], servers: int, clients: int) -> dict[str, Any]:
    kind = section["generator"]
    if kind not in KINDS:
        here = (*PLACE, "generator")
        raise SchemaError(here, f"{kind!r} is not known here.{suggestion(kind, KINDS)}", kind)
    given = {name: value for name, value in section["parameters"].items() if value is not None}
    try:
        document = generate(kind, servers=servers, clients=clients, parameters=given)
    except GeneratorError as problem:
        message = str(problem)
        name = next((name for name in given if message.startswith((f"{name}:", f"unknown parameter {name!r}"))), "")
        here = (*PLACE, "parameters", name) if name else (*PLACE, "parameters")
        raise SchemaError(here, f"the scenario {kind}: {message}.", given.get(name)) from problem
    wanted = section["certificates"]
    if isinstance(wanted, str):
        choice("auto", "always", "never")(wanted, (*PLACE, "certificates"))
    if wanted == "always" or (wanted == "auto" and section["driver"] in scenarios.TLS_DRIVERS):
        try:
            return certificates.with_certificates(document)
        except certificates.CertificateError as problem:
            raise SchemaError((*PLACE, "driver"), f"{problem}.", section["driver"]) from problem
    return document


def _expected_s(scenario: model.Scenario, evidence: Iterable[scenarios.Thresholds], rate: Any) -> float | None:
    """An estimate for progress and deadlines: the times that the scenario names, and its bytes at the expected rate."""
    busiest_bytes = max(max(least.rx_bytes, least.tx_bytes) for least in evidence)
    timed_s = max(_client_ms(scenario, client.scenario, client) for client in scenario.clients) / 1000
    if rate is None:
        return timed_s or None
    return timed_s + busiest_bytes * 8 / rate_bps(rate, (*PLACE, "expected_rate"))


def _client_ms(scenario: model.Scenario, operations: Any, client: model.Client) -> float:
    """How long a client's operations take beside the transfer of their bytes."""
    total_ms = 0.0
    for operation in operations:
        if isinstance(operation, model.ClientSleep):
            total_ms += operation.timeout_ms
        elif isinstance(operation, model.ClientScope):
            total_ms += max((_client_ms(scenario, thread, client) for thread in operation.threads), default=0.0)
        elif isinstance(operation, model.Connect):
            answers = scenario.servers[operation.server_id].connections[operation.server_connection_id].peer_streams
            waits_ms = max((_connection_ms(answer, timed=False) for answer in answers), default=0.0)
            total_ms += _connection_ms(client.connections[operation.client_connection_id].ops, timed=True) + waits_ms
    return total_ms


def _connection_ms(operations: Any, *, timed: bool) -> float:
    total_ms = 0.0
    for operation in operations:
        if isinstance(operation, model.Sleep):
            total_ms += operation.amount_ms
        elif isinstance(operation, model.Profile):
            total_ms += _connection_ms(operation.operations, timed=timed)
        elif isinstance(operation, model.Scope):
            total_ms += max((_connection_ms(thread, timed=timed) for thread in operation.threads), default=0.0)
        elif isinstance(operation, model.Iterate):
            if operation.count is not None:
                total_ms += operation.count * _connection_ms(operation.operations, timed=timed)
            elif timed:
                total_ms += operation.time_ms or 0
    return total_ms
