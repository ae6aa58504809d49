# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`Scenario` to the JSON object of the format. Private to the collection.

As in the original, keys with nothing in them are left out.
"""

from __future__ import annotations

from typing import Any

from . import model


def dump(scenario: model.Scenario) -> dict[str, Any]:
    """The scenario as the JSON object that `parse` reads, without the keys that the original leaves out when empty."""
    return {
        "id": scenario.id,
        "clients": [
            _without_empty(
                name=client.name,
                scenario=[_dump_operation(operation) for operation in client.scenario],
                connections=[_dump_connection(connection) for connection in client.connections],
                configuration=dict(client.configuration),
                certificate_authorities=list(client.certificate_authorities),
                keep=("scenario", "connections"),
            )
            for client in scenario.clients
        ],
        "servers": [
            _without_empty(
                name=server.name,
                connections=[_dump_connection(connection) for connection in server.connections],
                configuration=dict(server.configuration),
                private_key=server.private_key,
                certificate=server.certificate,
                certificate_authority=server.certificate_authority,
                keep=("connections", "private_key", "certificate", "certificate_authority"),
            )
            for server in scenario.servers
        ],
        **_without_empty(
            routers=[
                _without_empty(
                    name=router.name,
                    scenario=[{operation.name: dict(operation.arguments)} for operation in router.scenario],
                    configuration=dict(router.configuration),
                    keep=("scenario",),
                )
                for router in scenario.routers
            ],
            traces=list(scenario.traces),
            certificates=[_without_empty(pem=one.pem, pkcs12=one.pkcs12) for one in scenario.certificates],
        ),
    }


def _dump_operation(operation: model.ConnectionOperation | model.ClientOperation) -> dict[str, Any]:
    if isinstance(operation, (model.Scope, model.ClientScope)):
        return {"scope": {"threads": [[_dump_operation(one) for one in thread] for thread in operation.threads]}}
    if isinstance(operation, model.Profile):
        return {
            "profile": {
                "trace_id": operation.trace_id,
                "operations": [_dump_operation(one) for one in operation.operations],
            }
        }
    if isinstance(operation, model.Iterate):
        timed = operation.time_ms is not None
        iterate: dict[str, Any] = {
            "value": {"time": {"amount_ms": operation.time_ms}} if timed else {"count": {"amount": operation.count}},
            "operations": [_dump_operation(one) for one in operation.operations],
        }
        return {"iterate": iterate if operation.trace_id is None else {**iterate, "trace_id": operation.trace_id}}
    return {model.NAMES[type(operation)]: {key: value for key, value in vars(operation).items() if value is not None}}


def _dump_connection(connection: model.Connection) -> dict[str, Any]:
    return _without_empty(
        ops=[_dump_operation(operation) for operation in connection.ops],
        peer_streams=[[_dump_operation(operation) for operation in stream] for stream in connection.peer_streams],
    )


def _without_empty(keep: tuple[str, ...] = (), **items: Any) -> dict[str, Any]:
    return {key: value for key, value in items.items() if key in keep or value}
