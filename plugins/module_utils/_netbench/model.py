# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A netbench scenario as frozen data. Private to the collection.

The format is that of the crate ``s2n-netbench`` 0.1 (``src/scenario.rs`` and ``src/operation.rs`` there). A plain
operation is a class whose fields are exactly the keys of its JSON object; `PLAIN_CONNECTION_OPERATIONS` and
`PLAIN_CLIENT_OPERATIONS` map the JSON names to them, so reading and writing need no further table. Bytes are
application payload; times are milliseconds, as in the format.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Union


@dataclass(frozen=True)
class Sleep:
    """Pause of one thread of a connection."""

    amount_ms: int


@dataclass(frozen=True)
class ClientSleep:
    """Pause of one thread of a client (the format names its field differently)."""

    timeout_ms: int


@dataclass(frozen=True)
class OpenBidirectionalStream:
    stream_id: int


@dataclass(frozen=True)
class OpenSendStream:
    stream_id: int


@dataclass(frozen=True)
class Send:
    stream_id: int
    bytes: int


@dataclass(frozen=True)
class SendFinish:
    stream_id: int


@dataclass(frozen=True)
class SendRate:
    """From here on, at most ``bytes`` are sent on the stream in each period."""

    stream_id: int
    bytes: int
    period_ms: int


@dataclass(frozen=True)
class Receive:
    stream_id: int
    bytes: int


@dataclass(frozen=True)
class ReceiveAll:
    """Receive until the peer finishes the stream."""

    stream_id: int


@dataclass(frozen=True)
class ReceiveFinish:
    stream_id: int


@dataclass(frozen=True)
class ReceiveRate:
    """From here on, at most ``bytes`` are taken from the stream in each period."""

    stream_id: int
    bytes: int
    period_ms: int


@dataclass(frozen=True)
class Park:
    """Wait until some thread unparks the checkpoint."""

    checkpoint: int


@dataclass(frozen=True)
class Unpark:
    checkpoint: int


@dataclass(frozen=True)
class Trace:
    trace_id: int


@dataclass(frozen=True)
class Connect:
    """Open a connection to a server and play it to its end."""

    server_id: int
    server_connection_id: int
    client_connection_id: int
    router_id: int | None = None


@dataclass(frozen=True)
class Profile:
    """Measure how long the operations take."""

    trace_id: int
    operations: tuple[ConnectionOperation, ...]


@dataclass(frozen=True)
class Iterate:
    """Repeat the operations ``count`` times, or for ``time_ms`` (exactly one of the two is set).

    A time-bounded repetition is cut off where it is when its time ends, also in the middle of a transfer.
    """

    operations: tuple[ConnectionOperation, ...]
    count: int | None = None
    time_ms: int | None = None
    trace_id: int | None = None


@dataclass(frozen=True)
class Scope:
    """Perform the threads' operations at the same time."""

    threads: tuple[tuple[ConnectionOperation, ...], ...]


@dataclass(frozen=True)
class ClientScope:
    """Perform the client threads' operations at the same time."""

    threads: tuple[tuple[ClientOperation, ...], ...]


PlainConnectionOperation = Union[
    Sleep, OpenBidirectionalStream, OpenSendStream, Send, SendFinish, SendRate, Receive, ReceiveAll, ReceiveFinish,
    ReceiveRate, Park, Unpark, Trace,
]  # fmt: skip
ConnectionOperation = Union[PlainConnectionOperation, Profile, Iterate, Scope]
PlainClientOperation = Union[ClientSleep, Connect, Park, Unpark, Trace]
ClientOperation = Union[PlainClientOperation, ClientScope]

PLAIN_CONNECTION_OPERATIONS: dict[str, type[PlainConnectionOperation]] = {
    "sleep": Sleep,
    "open_bidirectional_stream": OpenBidirectionalStream,
    "open_send_stream": OpenSendStream,
    "send": Send,
    "send_finish": SendFinish,
    "send_rate": SendRate,
    "receive": Receive,
    "receive_all": ReceiveAll,
    "receive_finish": ReceiveFinish,
    "receive_rate": ReceiveRate,
    "park": Park,
    "unpark": Unpark,
    "trace": Trace,
}
PLAIN_CLIENT_OPERATIONS: dict[str, type[PlainClientOperation]] = {
    "sleep": ClientSleep,
    "connect": Connect,
    "park": Park,
    "unpark": Unpark,
    "trace": Trace,
}


@dataclass(frozen=True)
class Connection:
    """What one end does on a connection: ``ops`` for the streams that it opens, ``peer_streams[i]`` for the peer's."""

    ops: tuple[ConnectionOperation, ...] = ()
    peer_streams: tuple[tuple[ConnectionOperation, ...], ...] = ()


@dataclass(frozen=True)
class Client:
    scenario: tuple[ClientOperation, ...]
    connections: tuple[Connection, ...]
    name: str = ""
    configuration: Mapping[str, str] = field(default_factory=dict)
    certificate_authorities: tuple[int, ...] = ()


@dataclass(frozen=True)
class Server:
    """The certificate fields are indices into `Scenario.certificates`, which may be empty for drivers without TLS."""

    connections: tuple[Connection, ...]
    private_key: int
    certificate: int
    certificate_authority: int
    name: str = ""
    configuration: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class RouterOperation:
    """Routers are part of the format, but no driver we know plays them; kept as read."""

    name: str
    arguments: Mapping[str, int | bool]


@dataclass(frozen=True)
class Router:
    scenario: tuple[RouterOperation, ...]
    name: str = ""
    configuration: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Certificate:
    """``pkcs12`` is base64, only present beside a private key."""

    pem: str = ""
    pkcs12: str = ""


@dataclass(frozen=True)
class Scenario:
    id: str
    clients: tuple[Client, ...]
    servers: tuple[Server, ...]
    routers: tuple[Router, ...] = ()
    traces: tuple[str, ...] = ()
    certificates: tuple[Certificate, ...] = ()


NAMES: dict[type, str] = {
    **{kind: name for name, kind in PLAIN_CLIENT_OPERATIONS.items()},
    **{kind: name for name, kind in PLAIN_CONNECTION_OPERATIONS.items()},
    Profile: "profile",
    Iterate: "iterate",
    Scope: "scope",
    ClientScope: "scope",
}
"""The JSON name of every operation."""
