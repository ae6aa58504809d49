# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The references inside a scenario: every index and identifier must name something. Private to the collection.

An end *opens* streams in a connection's ``ops`` and answers the peer's in ``peer_streams``, by position. So the streams
opened on a connection are 0, 1, 2, …, each once, and each has its answer on the connection of the other end; otherwise
the drivers panic, or wait for ever.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Union

from . import model
from .errors import ScenarioError

Operation = Union[model.ConnectionOperation, model.ClientOperation]
_OPENS = (model.OpenBidirectionalStream, model.OpenSendStream)
_USES_STREAM = (
    model.Send,
    model.SendFinish,
    model.SendRate,
    model.Receive,
    model.ReceiveAll,
    model.ReceiveFinish,
    model.ReceiveRate,
)


def walk(operations: Iterable[Operation], place: str) -> Iterator[tuple[Operation, str]]:
    """All operations below, each with its place, outer ones first."""
    for index, operation in enumerate(operations):
        here = f"{place}[{index}].{model.NAMES[type(operation)]}"
        yield operation, here
        if isinstance(operation, (model.Profile, model.Iterate)):
            yield from walk(operation.operations, f"{here}.operations")
        elif isinstance(operation, (model.Scope, model.ClientScope)):
            for number, thread in enumerate(operation.threads):
                yield from walk(thread, f"{here}.threads[{number}]")


def check_references(scenario: model.Scenario) -> None:
    """Raise `ScenarioError` for the first reference that names nothing."""
    if not scenario.clients:
        raise ScenarioError("clients", "the scenario has no client; add one")
    if not scenario.servers:
        raise ScenarioError("servers", "the scenario has no server; add one")
    server_opens = [
        _check_server(scenario, server, f"servers[{number}]") for number, server in enumerate(scenario.servers)
    ]
    for number, client in enumerate(scenario.clients):
        _check_client(scenario, client, f"clients[{number}]", server_opens)


def _check_server(scenario: model.Scenario, server: model.Server, place: str) -> list[int]:
    """Check a server, and return for each of its connections how many streams it opens."""
    if scenario.certificates:
        for key in ("private_key", "certificate", "certificate_authority"):
            _check_index(getattr(server, key), len(scenario.certificates), f"{place}.{key}", "certificate")
    return _check_connections(scenario, server.connections, place, set())


def _check_client(scenario: model.Scenario, client: model.Client, place: str, server_opens: list[list[int]]) -> None:
    # A client's own threads and all its connections share one set of checkpoints; a server's connection has its own.
    unparked = _unparked(client.scenario).union(*map(_connection_unparked, client.connections))
    opens = _check_connections(scenario, client.connections, place, unparked)
    if scenario.certificates:
        for index, authority in enumerate(client.certificate_authorities):
            _check_index(
                authority, len(scenario.certificates), f"{place}.certificate_authorities[{index}]", "certificate"
            )
    for operation, here in walk(client.scenario, f"{place}.scenario"):
        if isinstance(operation, model.Connect):
            _check_connect(scenario, client, operation, here)
            mine, theirs = (operation.client_connection_id, operation.server_connection_id)
            server = scenario.servers[operation.server_id].connections[theirs]
            _check_answers(here, "client", opens[mine], "server", len(server.peer_streams))
            _check_answers(
                here,
                "server",
                server_opens[operation.server_id][theirs],
                "client",
                len(client.connections[mine].peer_streams),
            )
        elif isinstance(operation, model.Trace):
            _check_index(operation.trace_id, len(scenario.traces), f"{here}.trace_id", "trace")
        elif isinstance(operation, model.Park):
            _check_park(operation, here, unparked)


def _check_connect(scenario: model.Scenario, client: model.Client, connect: model.Connect, place: str) -> None:
    _check_index(connect.server_id, len(scenario.servers), f"{place}.server_id", "server")
    connections = scenario.servers[connect.server_id].connections
    _check_index(
        connect.server_connection_id, len(connections), f"{place}.server_connection_id", "connection of the server"
    )
    _check_index(
        connect.client_connection_id,
        len(client.connections),
        f"{place}.client_connection_id",
        "connection of the client",
    )
    if connect.router_id is not None:
        _check_index(connect.router_id, len(scenario.routers), f"{place}.router_id", "router")


def _check_answers(place: str, opener: str, opened: int, answerer: str, answered: int) -> None:
    if opened != answered:
        raise ScenarioError(
            place,
            f"the {opener}'s connection opens {opened} stream(s), but the {answerer}'s connection has {answered}"
            " in peer_streams; give each opened stream its answer",
        )


def _check_connections(
    scenario: model.Scenario, connections: tuple[model.Connection, ...], place: str, others_unpark: set[int]
) -> list[int]:
    opens = []
    for index, connection in enumerate(connections):
        here = f"{place}.connections[{index}]"
        opened = _check_opens(connection.ops, f"{here}.ops")
        unparked = others_unpark | _connection_unparked(connection)
        unknown = "is not opened on this connection; open it first"
        _check_operations(scenario, connection.ops, f"{here}.ops", range(opened), unknown, unparked)
        for number, stream in enumerate(connection.peer_streams):
            unknown = f"is not the one answered here; use its position in peer_streams, {number}"
            _check_operations(scenario, stream, f"{here}.peer_streams[{number}]", (number,), unknown, unparked)
        opens.append(opened)
    return opens


def _check_opens(operations: Iterable[Operation], place: str) -> int:
    """The number of streams opened; their ids must be 0, 1, 2, … in any order."""
    opened = [
        (operation.stream_id, here) for operation, here in walk(operations, place) if isinstance(operation, _OPENS)
    ]
    seen: set[int] = set()
    for stream_id, here in opened:
        if stream_id in seen or stream_id >= len(opened):
            problem = "is opened a second time" if stream_id in seen else "skips ids"
            raise ScenarioError(
                f"{here}.stream_id", f"the stream {stream_id} {problem}; number the streams 0, 1, 2, … once each"
            )
        seen.add(stream_id)
    return len(opened)


def _check_operations(
    scenario: model.Scenario,
    operations: Iterable[Operation],
    place: str,
    streams: Collection[int],
    unknown: str,
    unparked: set[int],
) -> None:
    for operation, here in walk(operations, place):
        if isinstance(operation, _USES_STREAM):
            if operation.stream_id not in streams:
                raise ScenarioError(f"{here}.stream_id", f"the stream {operation.stream_id} {unknown}")
        elif isinstance(operation, (model.Trace, model.Profile, model.Iterate)):
            if operation.trace_id is not None:
                _check_index(operation.trace_id, len(scenario.traces), f"{here}.trace_id", "trace")
        elif isinstance(operation, model.Park):
            _check_park(operation, here, unparked)
        elif isinstance(operation, _OPENS) and (".peer_streams[" in place or ".iterate.operations[" in here):
            raise ScenarioError(
                here, "a stream is opened once, in the connection's ops and outside of iterate; move this there"
            )


def _check_index(index: int, count: int, place: str, what: str) -> None:
    if index >= count:
        known = "there is none" if not count else "there is only 0" if count == 1 else f"there are 0 to {count - 1}"
        raise ScenarioError(place, f"{index} names no {what}: {known}; correct the number or add one")


def _check_park(park: model.Park, place: str, unparked: set[int]) -> None:
    if park.checkpoint not in unparked:
        raise ScenarioError(
            f"{place}.checkpoint",
            f"nothing unparks checkpoint {park.checkpoint}, so this waits for ever; add an unpark",
        )


def _unparked(operations: Iterable[Operation]) -> set[int]:
    return {operation.checkpoint for operation, _unused in walk(operations, "") if isinstance(operation, model.Unpark)}


def _connection_unparked(connection: model.Connection) -> set[int]:
    return _unparked(connection.ops).union(*map(_unparked, connection.peer_streams))
