# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How many bytes a scenario moves, known before it is played. Private to the collection.

A client that completed its scenario has received and sent exactly this much payload, which is the evidence that a run happened:
exit statuses and wrappers around the drivers have been seen to lie. Time-bounded repetitions have no exact figure; they count
0 in the thresholds, beside the one byte that any working exchange moves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, Iterable, Iterator, Optional, Tuple, Union

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


def expected_bytes(scenario: model.Scenario, role: str, index: int) -> Optional[Traffic]:
    """What the client or server ``index`` has moved when all clients completed; None if that is not fixed."""
    least = thresholds(scenario, role, index)
    return Traffic(least.rx_bytes, least.tx_bytes) if least.exact else None


def thresholds(scenario: model.Scenario, role: str, index: int) -> Thresholds:
    """What the client or server ``index`` has moved at least when all clients completed."""
    hosts = {"client": scenario.clients, "server": scenario.servers}.get(role)
    if hosts is None:
        raise ValueError(f"the role is client or server, not {role!r}")
    if not 0 <= index < len(hosts):
        raise ScenarioError(f"{role}s", f"there is no {role} {index}; the scenario has {len(hosts)}")
    rx = tx = _Amount()
    known: Dict[Tuple[int, int, int, int], Tuple[_Amount, _Amount]] = {}
    for number, client in enumerate(scenario.clients):
        if role == "client" and number != index:
            continue
        for connect in _connects(client.scenario):
            if role == "server" and connect.server_id != index:
                continue
            key = (number, connect.client_connection_id, connect.server_id, connect.server_connection_id)
            if key not in known:
                mine = client.connections[connect.client_connection_id]
                theirs = scenario.servers[connect.server_id].connections[connect.server_connection_id]
                known[key] = _moved(mine, theirs)
            to_server, to_client = known[key]
            rx, tx = (rx + to_client, tx + to_server) if role == "client" else (rx + to_server, tx + to_client)
    return Thresholds(rx.evidence(), tx.evidence(), rx.exact and tx.exact)


@dataclass(frozen=True)
class _Amount:
    bytes: int = 0
    exact: bool = True

    def __add__(self, other: _Amount) -> _Amount:
        return _Amount(self.bytes + other.bytes, self.exact and other.exact)

    def times(self, count: int) -> _Amount:
        return _Amount(self.bytes * count, self.exact)

    def evidence(self) -> int:
        return self.bytes if self.exact else max(self.bytes, 1)


def _connects(operations: Iterable[model.ClientOperation]) -> Iterator[model.Connect]:
    for operation in operations:
        if isinstance(operation, model.Connect):
            yield operation
        elif isinstance(operation, model.ClientScope):
            for thread in operation.threads:
                yield from _connects(thread)


def _moved(client: model.Connection, server: model.Connection) -> Tuple[_Amount, _Amount]:
    """Bytes from client to server, and from server to client, on one connection.

    The sender's operations decide; what the receiver leaves unread is not counted, as its application never sees it.
    """
    to_server = to_client = _Amount()
    for opener, answerer, client_opens in ((client, server, True), (server, client, False)):
        for stream_id, answer in enumerate(answerer.peer_streams):
            out = _received(_sent(opener.ops, stream_id), answer, stream_id)
            back = _received(_sent(answer, stream_id), opener.ops, stream_id)
            to_server, to_client = (to_server + out, to_client + back) if client_opens else (to_server + back, to_client + out)
    return to_server, to_client


def _sent(operations: Iterable[model.ConnectionOperation], stream_id: int) -> _Amount:
    return _total(operations, stream_id, (model.Send,))


def _received(sent: _Amount, operations: Tuple[model.ConnectionOperation, ...], stream_id: int) -> _Amount:
    if _has_receive_all(operations, stream_id):
        return sent
    wanted = _total(operations, stream_id, (model.Receive,))
    if sent.exact and wanted.exact and wanted.bytes != sent.bytes:
        return _Amount(min(sent.bytes, wanted.bytes), exact=False)
    return wanted if not wanted.exact else sent if not sent.exact else wanted


def _has_receive_all(operations: Iterable[model.ConnectionOperation], stream_id: int) -> bool:
    for operation in operations:
        if isinstance(operation, model.ReceiveAll) and operation.stream_id == stream_id:
            return True
        if any(_has_receive_all(inner, stream_id) for inner in _inner(operation)):
            return True
    return False


def _inner(operation: model.ConnectionOperation) -> Tuple[Tuple[model.ConnectionOperation, ...], ...]:
    if isinstance(operation, (model.Profile, model.Iterate)):
        return (operation.operations,)
    return operation.threads if isinstance(operation, model.Scope) else ()


def _total(
    operations: Iterable[model.ConnectionOperation], stream_id: int, kinds: Tuple[type, ...]
) -> _Amount:
    total = _Amount()
    for operation in operations:
        if isinstance(operation, kinds):
            if operation.stream_id == stream_id:
                total += _Amount(operation.bytes)
            continue
        inner = _Amount()
        for operations_inside in _inner(operation):
            inner += _total(operations_inside, stream_id, kinds)
        if isinstance(operation, model.Iterate):
            if operation.count is not None:
                inner = inner.times(operation.count)
            elif inner.bytes or not inner.exact:
                inner = _Amount(0, exact=False)
        total += inner
    return total
