# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The references inside a scenario: every index and identifier must name something. Private to the collection.

An end *opens* streams in a connection's ``ops`` and answers the peer's in ``peer_streams``. So a stream that a client connection opens
must have its answer on the server connection it is played against, and the other way round; otherwise the drivers wait for ever.
"""

from __future__ import annotations

from typing import Collection, Dict, Iterable, Iterator, List, Set, Tuple, Union

from . import model
from .errors import ScenarioError

Operation = Union[model.ConnectionOperation, model.ClientOperation]
_STREAM_OPERATIONS = (
    model.Send,
    model.SendFinish,
    model.SendRate,
    model.Receive,
    model.ReceiveAll,
    model.ReceiveFinish,
    model.ReceiveRate,
)


def walk(operations: Iterable[Operation], place: str) -> Iterator[Tuple[Operation, str]]:
    """All operations below, each with its place, outer ones first."""
    for index, operation in enumerate(operations):
        name = _NAMES[type(operation)]
        here = f"{place}[{index}].{name}"
        yield operation, here
        if isinstance(operation, (model.Profile, model.Iterate)):
            yield from walk(operation.operations, f"{here}.operations")
        elif isinstance(operation, (model.Scope, model.ClientScope)):
            for number, thread in enumerate(operation.threads):
                yield from walk(thread, f"{here}.threads[{number}]")


_NAMES: Dict[type, str] = {
    **{kind: name for name, kind in model.PLAIN_CLIENT_OPERATIONS.items()},
    **{kind: name for name, kind in model.PLAIN_CONNECTION_OPERATIONS.items()},
    model.Profile: "profile",
    model.Iterate: "iterate",
    model.Scope: "scope",
    model.ClientScope: "scope",
}


def opened_streams(connection: model.Connection) -> List[int]:
    """The stream ids that this end opens on the connection, in the order of the document."""
    opens = (model.OpenBidirectionalStream, model.OpenSendStream)
    return [operation.stream_id for operation, _ in walk(connection.ops, "") if isinstance(operation, opens)]


def check_references(scenario: model.Scenario) -> None:
    """Raise `ScenarioError` for the first reference that names nothing."""
    if not scenario.clients:
        raise ScenarioError("clients", "the scenario has no client; add one")
    if not scenario.servers:
        raise ScenarioError("servers", "the scenario has no server; add one")
    for number, server in enumerate(scenario.servers):
        place = f"servers[{number}]"
        for index, connection in enumerate(server.connections):
            _check_connection(scenario, connection, f"{place}.connections[{index}]", others_unpark=set())
        if scenario.certificates:
            for key in ("private_key", "certificate", "certificate_authority"):
                _check_index(getattr(server, key), len(scenario.certificates), f"{place}.{key}", "certificate")
    for number, client in enumerate(scenario.clients):
        _check_client(scenario, client, f"clients[{number}]")


def _check_client(scenario: model.Scenario, client: model.Client, place: str) -> None:
    # A client's own threads and all its connections share one set of checkpoints.
    unparked = _unparked(client.scenario)
    for connection in client.connections:
        unparked |= _connection_unparked(connection)
    for index, connection in enumerate(client.connections):
        _check_connection(scenario, connection, f"{place}.connections[{index}]", others_unpark=unparked)
    if scenario.certificates:
        for index, authority in enumerate(client.certificate_authorities):
            _check_index(authority, len(scenario.certificates), f"{place}.certificate_authorities[{index}]", "certificate")
    for operation, here in walk(client.scenario, f"{place}.scenario"):
        if isinstance(operation, model.Connect):
            _check_connect(scenario, client, operation, here)
        elif isinstance(operation, model.Trace):
            _check_index(operation.trace_id, len(scenario.traces), f"{here}.trace_id", "trace")
        elif isinstance(operation, model.Park):
            _check_park(operation, here, unparked)


def _check_connect(scenario: model.Scenario, client: model.Client, connect: model.Connect, place: str) -> None:
    _check_index(connect.server_id, len(scenario.servers), f"{place}.server_id", "server")
    server = scenario.servers[connect.server_id]
    _check_index(connect.server_connection_id, len(server.connections), f"{place}.server_connection_id", "connection of the server")
    _check_index(connect.client_connection_id, len(client.connections), f"{place}.client_connection_id", "connection of the client")
    if connect.router_id is not None:
        _check_index(connect.router_id, len(scenario.routers), f"{place}.router_id", "router")
    mine, theirs = client.connections[connect.client_connection_id], server.connections[connect.server_connection_id]
    for opener, answerer, who, other in ((mine, theirs, "client", "server"), (theirs, mine, "server", "client")):
        opened, answered = opener.opened_streams, len(answerer.peer_streams)
        if opened != answered:
            raise ScenarioError(
                place,
                f"the {who}'s connection opens {opened} stream(s), but the {other}'s connection answers {answered} in peer_streams;"
                f" give each opened stream its answer",
            )


def _check_connection(scenario: model.Scenario, connection: model.Connection, place: str, others_unpark: Set[int]) -> None:
    opened = connection.opened_streams
    unparked = others_unpark | _connection_unparked(connection)
    _check_operations(scenario, connection.ops, f"{place}.ops", range(opened), "is not opened on this connection; open it first", unparked)
    for index, stream in enumerate(connection.peer_streams):
        missing = "is not the stream answered here; use its position in peer_streams"
        _check_operations(scenario, stream, f"{place}.peer_streams[{index}]", (index,), missing, unparked)


def _check_operations(
    scenario: model.Scenario,
    operations: Iterable[Operation],
    place: str,
    streams: Collection[int],
    missing: str,
    unparked: Set[int],
) -> None:
    for operation, here in walk(operations, place):
        if isinstance(operation, _STREAM_OPERATIONS):
            if operation.stream_id not in streams:
                raise ScenarioError(f"{here}.stream_id", f"the stream {operation.stream_id} {missing}")
        elif isinstance(operation, (model.Trace, model.Profile, model.Iterate)):
            if operation.trace_id is not None:
                _check_index(operation.trace_id, len(scenario.traces), f"{here}.trace_id", "trace")
        elif isinstance(operation, model.Park):
            _check_park(operation, here, unparked)


def _check_index(index: int, count: int, place: str, what: str) -> None:
    if index >= count:
        known = "there is none" if not count else "there is only 0" if count == 1 else f"there are 0 to {count - 1}"
        raise ScenarioError(place, f"{index} names no {what}: {known}; correct the number or add one")


def _check_park(park: model.Park, place: str, unparked: Set[int]) -> None:
    if park.checkpoint not in unparked:
        raise ScenarioError(f"{place}.checkpoint", f"nothing unparks checkpoint {park.checkpoint}, so this waits for ever; add an unpark")


def _unparked(operations: Iterable[Operation]) -> Set[int]:
    return {operation.checkpoint for operation, _ in walk(operations, "") if isinstance(operation, model.Unpark)}


def _connection_unparked(connection: model.Connection) -> Set[int]:
    return _unparked(connection.ops).union(*map(_unparked, connection.peer_streams))
