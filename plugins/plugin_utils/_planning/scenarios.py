# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Generates netbench scenarios for N servers and M clients. Private to the collection.

Kinds and parameters are those of ``s2n-netbench-scenarios``, which only knows one client. Here every client connects to
every server, each connection with a ``server_connection_id`` of its own, so that servers can tell their clients apart.

Where the original opens a new stream for each request, requests that follow each other share one stream here, so that
the drivers with one stream per connection (tcp, TLS) can play them. With ``duration`` the client repeats its requests
for that time and then leaves, in the middle of a response if need be; the server, whose own loop is longer, sees the
connection end and serves the next one.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ...module_utils._netbench import model
from ...module_utils._netbench.scenario import dump
from . import certificates, units
from .scenario_parameters import MAX_CONNECTIONS, Connect, GeneratorError, Ping, RequestResponse, read, suggestion
from .units import Rate

SERVER_OUTLASTS_MS = 5_000
"""A server repeats this much longer than its client, so that it is the client who ends a time-bounded exchange."""

Operations = tuple[model.ConnectionOperation, ...]


@dataclass(frozen=True)
class Exchange:
    """One connection as both ends see it, before it has its places in the scenario."""

    client: model.Connection
    server: model.Connection


Group = list[list[Exchange]]
"""What runs at the same time: threads, each of exchanges that follow each other. Groups follow each other, too."""


@dataclass
class _Traces:
    names: list[str] = field(default_factory=list)

    def id(self, name: str) -> int:
        if name not in self.names:
            self.names.append(name)
        return self.names.index(name)


def generate(kind: str, *, servers: int, clients: int, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """A scenario document without certificates (`certificates.with_certificates` adds them).

    ``kind`` is incast, request_response, ping or connect. Parameters are texts with units as in the original, or plain
    numbers (bytes, bits per second, seconds); None means the default. The same arguments give the same document and id.
    """
    if kind not in _KINDS:
        raise GeneratorError(f"unknown kind of scenario {kind!r}; {suggestion(kind, _KINDS)}")
    for name, count in (("servers", servers), ("clients", clients)):
        if count < 1:
            raise GeneratorError(f"{name}: a scenario needs at least one, not {count}")
    chosen_type, build = _KINDS[kind]
    chosen = read(chosen_type, parameters)
    rows = chosen.connections * (len(chosen.size) if isinstance(chosen, Ping) else 1)
    if servers * clients * rows > MAX_CONNECTIONS:
        raise GeneratorError(
            f"connections: {servers} servers × {clients} clients × {rows} connections are more than {MAX_CONNECTIONS};"
            " use fewer"
        )
    traces = _Traces()
    groups = build(chosen, traces)
    return _document(groups, servers=servers, clients=clients, traces=tuple(traces.names))


def _document(groups: list[Group], *, servers: int, clients: int, traces: tuple[str, ...]) -> dict[str, Any]:
    # An exchange has one number on each server; the same object twice is the same exchange repeated.
    exchanges = {id(exchange): exchange for group in groups for thread in group for exchange in thread}
    number = {key: index for index, key in enumerate(exchanges)}
    connections = tuple(dict.fromkeys(exchange.client for exchange in exchanges.values()))
    position = {connection: index for index, connection in enumerate(connections)}

    def client(index: int) -> model.Client:
        def connect(server_id: int, exchange: Exchange) -> model.Connect:
            server_connection_id = index * len(exchanges) + number[id(exchange)]
            return model.Connect(server_id, server_connection_id, position[exchange.client])

        operations: list[model.ClientOperation] = []
        for group in groups:
            threads = tuple(
                tuple(connect(server_id, exchange) for exchange in thread)
                for server_id in range(servers)
                for thread in group
            )
            operations += [model.ClientScope(threads)] if len(threads) > 1 else threads[0]
        return model.Client(tuple(operations), connections, certificate_authorities=(certificates.AUTHORITY,))

    server = model.Server(
        connections=tuple(exchange.server for exchange in exchanges.values()) * clients,
        private_key=certificates.PRIVATE_KEY,
        certificate=certificates.CERTIFICATE,
        certificate_authority=certificates.AUTHORITY,
    )
    scenario = model.Scenario("", tuple(map(client, range(clients))), (server,) * servers, traces=traces)
    return {**dump(replace(scenario, id=_stable_id(scenario))), "certificates": []}


def _stable_id(scenario: model.Scenario) -> str:
    """A hash of the content that looks like the original's: base64 of SHA-256, and usable as a label of a DNS name."""
    content = json.dumps(dump(scenario), sort_keys=True).encode()
    while True:
        digest = hashlib.sha256(content).digest()
        label = base64.urlsafe_b64encode(digest).decode().rstrip("=").replace("_", "-")
        if not (label.startswith("-") or label.endswith("-")):
            return label
        content = digest


def _one_by_one(chosen: RequestResponse, traces: _Traces) -> list[Group]:
    """Each server's connections after each other, as the original does."""
    return [[[_requests(chosen, traces) for _unused in range(chosen.connections)]]]


def _all_at_once(chosen: RequestResponse, traces: _Traces) -> list[Group]:
    return [[[_requests(chosen, traces)] for _unused in range(chosen.connections)]]


def _requests(chosen: RequestResponse, traces: _Traces) -> Exchange:
    if chosen.duration is not None and (chosen.count > 1 or chosen.parallel or chosen.response_unblock):
        raise GeneratorError("duration: repeats request after request; leave out count, parallel and response_unblock")
    if chosen.response_unblock and not chosen.parallel:
        raise GeneratorError("response_unblock: only matters between parallel requests; set parallel, or leave it out")
    if chosen.parallel and chosen.count > 1:
        return _parallel_requests(chosen, traces)
    client, server = _request(chosen, traces, 0)
    rates_client, rates_server = _rates(chosen, 0)
    if chosen.duration is not None:
        client = _repeat(client, time_ms=chosen.duration)
        server = _repeat(server, time_ms=chosen.duration + SERVER_OUTLASTS_MS)
    elif chosen.count > 1:
        client, server = _repeat(client, count=chosen.count), _repeat(server, count=chosen.count)
    return Exchange(
        model.Connection(ops=_opened(0, rates_client + client)),
        model.Connection(peer_streams=((rates_server + server + _finish(0)),)),
    )


def _parallel_requests(chosen: RequestResponse, traces: _Traces) -> Exchange:
    """A stream for each request. With ``response_unblock``, each starts when the one before has received so much."""
    unblock = min(chosen.response_unblock, chosen.response_size)
    threads, answers = [], []
    for stream_id in range(chosen.count):
        before = (model.Park(stream_id - 1),) if unblock and stream_id else ()
        after = model.Unpark(stream_id) if unblock and stream_id + 1 < chosen.count else None
        client, server = _request(chosen, traces, stream_id, unblock=unblock, then=after)
        rates_client, rates_server = _rates(chosen, stream_id)
        threads.append(before + _opened(stream_id, rates_client + client))
        answers.append(rates_server + server + _finish(stream_id))
    return Exchange(model.Connection(ops=(model.Scope(tuple(threads)),)), model.Connection(peer_streams=tuple(answers)))


def _request(
    chosen: RequestResponse, traces: _Traces, stream_id: int, *, unblock: int = 0, then: model.Unpark | None = None
) -> tuple[Operations, Operations]:
    """One request and its response: the client's and the server's operations."""
    whole, request, response = (traces.id(name) for name in ("lbl", "request", "response"))
    received: Operations = (model.Receive(stream_id, chosen.response_size),)
    if then is not None:
        received = (model.Receive(stream_id, unblock), then, model.Receive(stream_id, chosen.response_size - unblock))
    client = (
        model.Profile(request, (model.Send(stream_id, chosen.request_size),)),
        model.Profile(response, received),
    )
    server = (
        model.Profile(request, (model.Receive(stream_id, chosen.request_size),)),
        *((model.Sleep(chosen.response_delay),) if chosen.response_delay else ()),
        model.Profile(response, (model.Send(stream_id, chosen.response_size),)),
    )
    return (model.Profile(whole, client),), (model.Profile(whole, server),)


def _rates(chosen: RequestResponse, stream_id: int) -> tuple[Operations, Operations]:
    def operations(send: Rate | None, receive: Rate | None) -> Operations:
        return (
            *((model.SendRate(stream_id, send.bytes, send.period_ms),) if send else ()),
            *((model.ReceiveRate(stream_id, receive.bytes, receive.period_ms),) if receive else ()),
        )

    return (
        operations(chosen.client_send_rate, chosen.client_receive_rate),
        operations(chosen.server_send_rate, chosen.server_receive_rate),
    )


def _pings(chosen: Ping, traces: _Traces) -> list[Group]:
    return [[[_ping(chosen, size, traces)] for _unused in range(chosen.connections)] for size in chosen.size]


def _ping(chosen: Ping, size: int, traces: _Traces) -> Exchange:
    label = units.format_bytes(size)
    ping, pong = traces.id(f"ping {label}"), traces.id(f"pong {label}")
    threads, answers = [], []
    for stream_id in range(chosen.streams):
        send, receive = model.Send(stream_id, size), model.Receive(stream_id, size)
        loop = model.Iterate((send, receive), time_ms=chosen.time, trace_id=ping)
        answer = model.Iterate((receive, send), time_ms=chosen.time + SERVER_OUTLASTS_MS, trace_id=pong)
        threads.append(_opened(stream_id, (loop,)))
        answers.append((answer, *_finish(stream_id)))
    operations = threads[0] if len(threads) == 1 else (model.Scope(tuple(threads)),)
    return Exchange(model.Connection(ops=operations), model.Connection(peer_streams=tuple(answers)))


def _connects(chosen: Connect, traces: _Traces) -> list[Group]:
    del traces  # the original measures nothing here
    send, receive = model.Send(0, 1), model.Receive(0, 1)
    exchange = Exchange(
        model.Connection(ops=_opened(0, (send, receive))),
        model.Connection(peer_streams=((receive, send, *_finish(0)),)),
    )
    return [[[exchange] * chosen.connections]]


def _repeat(operations: Operations, *, count: int | None = None, time_ms: int | None = None) -> Operations:
    """As the original, a repeated profile becomes the repetition's own trace."""
    if len(operations) == 1 and isinstance(operations[0], model.Profile):
        inner = operations[0]
        return (model.Iterate(inner.operations, count=count, time_ms=time_ms, trace_id=inner.trace_id),)
    return (model.Iterate(operations, count=count, time_ms=time_ms),)


def _opened(stream_id: int, operations: Operations) -> Operations:
    return (model.OpenBidirectionalStream(stream_id), *operations, *_finish(stream_id))


def _finish(stream_id: int) -> Operations:
    return (model.SendFinish(stream_id), model.ReceiveFinish(stream_id))


_Build = Callable[[Any, _Traces], list[Group]]
_KINDS: Mapping[str, tuple[type[Any], _Build]] = {
    "incast": (RequestResponse, _all_at_once),
    "request_response": (RequestResponse, _one_by_one),
    "ping": (Ping, _pings),
    "connect": (Connect, _connects),
}
KINDS = tuple(_KINDS)
