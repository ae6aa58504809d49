# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How many bytes a scenario moves, known before it is played. Private to the collection.

A client that completed its scenario has received and sent exactly this much payload, which is the evidence that a run
happened: exit statuses, and wrappers around the drivers, have been seen to lie. Time-bounded repetitions have no exact
figure; they count 0 in the thresholds, beside the one byte that any working exchange moves.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from . import model
from .errors import ScenarioError


@dataclass(frozen=True)
class Traffic:
    """Exact payload bytes of one host, both directions."""

    rx_bytes: int
    tx_bytes: int


@dataclass(frozen=True)
class Thresholds:
    """The least payload that a completed host has moved; equal to its `Traffic` if ``exact``."""

    rx_bytes: int
    tx_bytes: int
    exact: bool


def expected_bytes(scenario: model.Scenario, role: str, index: int) -> Traffic | None:
    """What the client or server ``index`` has moved when all clients completed; None if that is not fixed."""
    least = thresholds(scenario, role, index)
    return Traffic(least.rx_bytes, least.tx_bytes) if least.exact else None


def thresholds(scenario: model.Scenario, role: str, index: int) -> Thresholds:
    """What the client or server ``index`` has moved at least when all clients completed."""
    if role not in ("client", "server"):
        raise ValueError(f"the role is client or server, not {role!r}")
    hosts = len(scenario.clients if role == "client" else scenario.servers)
    if not 0 <= index < hosts:
        raise ScenarioError(f"{role}s", f"there is no {role} {index}; the scenario has {hosts}")
    totals = _Totals()
    to_server = to_client = _Amount()
    for number, client in enumerate(scenario.clients):
        for connect in _connects(client.scenario):
            if index == (number if role == "client" else connect.server_id):
                mine = client.connections[connect.client_connection_id]
                theirs = scenario.servers[connect.server_id].connections[connect.server_connection_id]
                out, back = _moved(totals, mine, theirs)
                to_server, to_client = to_server + out, to_client + back
    rx, tx = (to_client, to_server) if role == "client" else (to_server, to_client)
    return Thresholds(rx.evidence(), tx.evidence(), rx.exact and tx.exact)


@dataclass(frozen=True)
class _Amount:
    bytes: int = 0
    exact: bool = True

    def __add__(self, other: _Amount) -> _Amount:
        return _Amount(self.bytes + other.bytes, self.exact and other.exact)

    def repeated(self, iterate: model.Iterate) -> _Amount:
        if iterate.count is not None:
            return _Amount(self.bytes * iterate.count, self.exact)
        return _Amount(0, exact=self == _Amount())

    def evidence(self) -> int:
        return self.bytes if self.exact else max(self.bytes, 1)


@dataclass(frozen=True)
class _Stream:
    """What one end does on one stream: sends, receives, and whether it receives all that the peer sends."""

    sent: _Amount = _Amount()
    received: _Amount = _Amount()
    receives_all: bool = False

    def __add__(self, other: _Stream) -> _Stream:
        return _Stream(self.sent + other.sent, self.received + other.received, self.receives_all or other.receives_all)

    def repeated(self, iterate: model.Iterate) -> _Stream:
        return _Stream(self.sent.repeated(iterate), self.received.repeated(iterate), self.receives_all)


_Streams = dict[int, _Stream]


class _Totals:
    """The totals of each list of operations, computed once however many connections share it."""

    def __init__(self) -> None:
        self._known: dict[int, _Streams] = {}

    def of(self, operations: tuple[model.ConnectionOperation, ...]) -> _Streams:
        key = id(operations)  # the scenario keeps them alive
        if key not in self._known:
            self._known[key] = _streams(operations)
        return self._known[key]


def _streams(operations: Iterable[model.ConnectionOperation]) -> _Streams:
    total: _Streams = {}
    for operation in operations:
        if isinstance(operation, model.Send):
            moved = {operation.stream_id: _Stream(sent=_Amount(operation.bytes))}
        elif isinstance(operation, model.Receive):
            moved = {operation.stream_id: _Stream(received=_Amount(operation.bytes))}
        elif isinstance(operation, model.ReceiveAll):
            moved = {operation.stream_id: _Stream(receives_all=True)}
        elif isinstance(operation, model.Profile):
            moved = _streams(operation.operations)
        elif isinstance(operation, model.Iterate):
            moved = {key: stream.repeated(operation) for key, stream in _streams(operation.operations).items()}
        elif isinstance(operation, model.Scope):
            moved = _streams(inner for thread in operation.threads for inner in thread)
        else:
            continue
        for key, stream in moved.items():
            total[key] = total.get(key, _Stream()) + stream
    return total


def _connects(operations: Iterable[model.ClientOperation]) -> Iterator[model.Connect]:
    for operation in operations:
        if isinstance(operation, model.Connect):
            yield operation
        elif isinstance(operation, model.ClientScope):
            for thread in operation.threads:
                yield from _connects(thread)


def _moved(totals: _Totals, client: model.Connection, server: model.Connection) -> tuple[_Amount, _Amount]:
    """Bytes to the server and to the client on one connection, as a client that completes has moved them."""
    to_server = to_client = _Amount()
    for opener, answerer in ((client, server), (server, client)):
        for stream_id, answer in enumerate(answerer.peer_streams):
            opens = totals.of(opener.ops).get(stream_id, _Stream())
            answers = totals.of(answer).get(stream_id, _Stream())
            here, there = (opens, answers) if opener is client else (answers, opens)
            to_server += _agreed(here.sent, there.received, there.receives_all)
            to_client += there.sent if here.receives_all else _agreed(here.received, there.sent)
    return to_server, to_client


def _agreed(by_client: _Amount, by_server: _Amount, server_takes_all: bool = False) -> _Amount:
    """The client's amount, exact unless the server's operations fix another one."""
    if server_takes_all or not (by_client.exact and by_server.exact) or by_client.bytes == by_server.bytes:
        return by_client
    return _Amount(min(by_client.bytes, by_server.bytes), exact=False)
