# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Scenario text to `Scenario`. Private to the collection.

`parse` checks everything that can be known from the document alone: its schema here, its references in `references`.
The original drivers read past unknown keys and panic on a wrong index; here both are refused, with the place.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Callable, TypeVar

from . import model
from .errors import ScenarioError
from .references import check_references
from .strict_json import as_list, as_object, as_text, as_unsigned, load, shown, suggestion

MAX_DEPTH = 32
"""Operations may be nested this deep; the original's scenarios stay below 6."""

_CONNECTION_OPERATIONS = (*model.PLAIN_CONNECTION_OPERATIONS, "profile", "iterate", "scope")
_CLIENT_OPERATIONS = (*model.PLAIN_CLIENT_OPERATIONS, "scope")
_OPTIONAL_FIELDS = {"router_id"}
_AT_LEAST_ONE = {"send_rate.bytes", "send_rate.period_ms", "receive_rate.bytes", "receive_rate.period_ms"}
_ROUTER_OPERATIONS = {
    "sleep": ("amount_ms",),
    **{
        f"{side}_{what}": (argument,)
        for side in ("server", "client")
        for what, argument in (
            ("buffer_count", "packet_count"),
            ("drop_rate", "packet_count"),
            ("reorder_rate", "packet_count"),
            ("corrupt_rate", "packet_count"),
            ("delay", "amount_ms"),
            ("jitter", "amount_ms"),
            ("mtu", "mtu"),
        )
    },
    "client_rebind_port_rate": ("packet_count",),
    "client_rebind_address_rate": ("packet_count",),
    "rebind_all": ("ports", "addresses"),
    "trace": ("trace_id",),
}
T = TypeVar("T")


def parse(text: str | bytes) -> model.Scenario:
    """Read a scenario. Every defect is a `ScenarioError` that names its place."""
    document = as_object(
        load(text), "", required=("id", "clients", "servers"), optional=("routers", "traces", "certificates")
    )
    scenario = model.Scenario(
        id=as_text(document["id"], "id"),
        clients=_each(document["clients"], "clients", _client),
        servers=_each(document["servers"], "servers", _server),
        routers=_each(document.get("routers", []), "routers", _router),
        traces=_each(document.get("traces", []), "traces", as_text),
        certificates=_each(document.get("certificates", []), "certificates", _certificate),
    )
    check_references(scenario)
    return scenario


def _each(value: Any, place: str, read: Callable[[Any, str], T]) -> tuple[T, ...]:
    return tuple(read(item, f"{place}[{index}]") for index, item in enumerate(as_list(value, place)))


def _client(value: Any, place: str) -> model.Client:
    client = as_object(
        value,
        place,
        required=("scenario", "connections"),
        optional=("name", "configuration", "certificate_authorities"),
    )
    return model.Client(
        scenario=_operations(client["scenario"], f"{place}.scenario", 1, _client_operation),
        connections=_each(client["connections"], f"{place}.connections", _connection),
        name=as_text(client.get("name", ""), f"{place}.name"),
        configuration=_configuration(client.get("configuration", {}), f"{place}.configuration"),
        certificate_authorities=_each(
            client.get("certificate_authorities", []), f"{place}.certificate_authorities", as_unsigned
        ),
    )


def _server(value: Any, place: str) -> model.Server:
    indices = ("private_key", "certificate", "certificate_authority")
    server = as_object(value, place, required=("connections", *indices), optional=("name", "configuration"))
    return model.Server(
        connections=_each(server["connections"], f"{place}.connections", _connection),
        name=as_text(server.get("name", ""), f"{place}.name"),
        configuration=_configuration(server.get("configuration", {}), f"{place}.configuration"),
        **{key: as_unsigned(server[key], f"{place}.{key}") for key in indices},
    )


def _connection(value: Any, place: str) -> model.Connection:
    connection = as_object(value, place, optional=("ops", "peer_streams"))

    def stream(operations: Any, stream_place: str) -> tuple[model.ConnectionOperation, ...]:
        return _operations(operations, stream_place, 1, _connection_operation)

    return model.Connection(
        ops=stream(connection.get("ops", []), f"{place}.ops"),
        peer_streams=_each(connection.get("peer_streams", []), f"{place}.peer_streams", stream),
    )


def _operations(value: Any, place: str, depth: int, read: Callable[[Any, str, int], T]) -> tuple[T, ...]:
    if depth > MAX_DEPTH:
        raise ScenarioError(place, f"operations are nested deeper than {MAX_DEPTH} levels; flatten them")
    return tuple(read(item, f"{place}[{index}]", depth) for index, item in enumerate(as_list(value, place)))


def _client_operation(value: Any, place: str, depth: int) -> model.ClientOperation:
    name, arguments, place = _named(value, place, _CLIENT_OPERATIONS)
    if name == "scope":
        return model.ClientScope(_threads(arguments, place, depth, _client_operation))
    plain: model.PlainClientOperation = _plain(name, arguments, place, model.PLAIN_CLIENT_OPERATIONS[name])
    return plain


def _connection_operation(value: Any, place: str, depth: int) -> model.ConnectionOperation:
    name, arguments, place = _named(value, place, _CONNECTION_OPERATIONS)
    if name == "scope":
        return model.Scope(_threads(arguments, place, depth, _connection_operation))
    if name == "profile":
        as_object(arguments, place, required=("trace_id", "operations"))
        return model.Profile(
            trace_id=as_unsigned(arguments["trace_id"], f"{place}.trace_id"),
            operations=_operations(arguments["operations"], f"{place}.operations", depth + 1, _connection_operation),
        )
    if name == "iterate":
        return _iterate(arguments, place, depth)
    plain: model.PlainConnectionOperation = _plain(name, arguments, place, model.PLAIN_CONNECTION_OPERATIONS[name])
    return plain


def _iterate(arguments: Any, place: str, depth: int) -> model.Iterate:
    as_object(arguments, place, required=("value", "operations"), optional=("trace_id",))
    operations = _operations(arguments["operations"], f"{place}.operations", depth + 1, _connection_operation)
    if not operations:
        raise ScenarioError(f"{place}.operations", "there is nothing to repeat; add operations or remove the iterate")
    trace_id = arguments.get("trace_id")
    if trace_id is not None:
        as_unsigned(trace_id, f"{place}.trace_id")
    kind, value, value_place = _named(arguments["value"], f"{place}.value", ("time", "count"))
    field = "amount_ms" if kind == "time" else "amount"
    as_object(value, value_place, required=(field,))
    # The original plays a count of 0 once, so 0 says something else than it means.
    amount = as_unsigned(value[field], f"{value_place}.{field}", minimum=1)
    if kind == "time":
        return model.Iterate(operations, time_ms=amount, trace_id=trace_id)
    return model.Iterate(operations, count=amount, trace_id=trace_id)


def _threads(arguments: Any, place: str, depth: int, read: Callable[[Any, str, int], T]) -> tuple[tuple[T, ...], ...]:
    as_object(arguments, place, required=("threads",))
    return _each(
        arguments["threads"], f"{place}.threads", lambda thread, where: _operations(thread, where, depth + 1, read)
    )


def _named(value: Any, place: str, known: tuple[str, ...]) -> tuple[str, Any, str]:
    """The one key of an object ``{name: arguments}``, its value, and its place."""
    if not isinstance(value, dict) or len(value) != 1:
        raise ScenarioError(
            place, f"expected an object with one key, one of {', '.join(sorted(known))}; found {shown(value)}"
        )
    ((name, arguments),) = value.items()
    if name not in known:
        raise ScenarioError(place, f"unknown operation {shown(name)}; {suggestion(name, known)}")
    return name, arguments, f"{place}.{name}"


def _fields(kind: type[Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    names = [field.name for field in dataclasses.fields(kind)]
    required = tuple(name for name in names if name not in _OPTIONAL_FIELDS)
    return required, tuple(name for name in names if name in _OPTIONAL_FIELDS)


_FIELDS: dict[type[Any], tuple[tuple[str, ...], tuple[str, ...]]] = {
    kind: _fields(kind)
    for kind in (*model.PLAIN_CLIENT_OPERATIONS.values(), *model.PLAIN_CONNECTION_OPERATIONS.values())
}
"""The required and the optional keys of each plain operation."""


def _plain(name: str, arguments: Any, place: str, kind: type[Any]) -> Any:
    """A plain operation: its class's fields are its JSON keys, all unsigned."""
    required, optional = _FIELDS[kind]
    as_object(arguments, place, required=required, optional=optional)
    return kind(
        **{
            key: as_unsigned(value, f"{place}.{key}", minimum=1 if f"{name}.{key}" in _AT_LEAST_ONE else 0)
            for key, value in arguments.items()
            if not (key in optional and value is None)
        }
    )


def _configuration(value: Any, place: str) -> dict[str, str]:
    if not isinstance(value, dict):
        raise ScenarioError(place, f"expected an object, found {shown(value)}")
    return {as_text(key, place): as_text(item, f"{place}.{shown(key)}") for key, item in value.items()}


def _router(value: Any, place: str) -> model.Router:
    router = as_object(value, place, required=("scenario",), optional=("name", "configuration"))
    return model.Router(
        scenario=_each(router["scenario"], f"{place}.scenario", _router_operation),
        name=as_text(router.get("name", ""), f"{place}.name"),
        configuration=_configuration(router.get("configuration", {}), f"{place}.configuration"),
    )


def _router_operation(value: Any, place: str) -> model.RouterOperation:
    name, arguments, place = _named(value, place, tuple(_ROUTER_OPERATIONS))
    as_object(arguments, place, required=_ROUTER_OPERATIONS[name])
    if name != "rebind_all":
        for key, item in arguments.items():
            as_unsigned(item, f"{place}.{key}")
    elif not all(isinstance(item, bool) for item in arguments.values()):
        raise ScenarioError(place, "expected true or false for ports and addresses")
    return model.RouterOperation(name, arguments)


def _certificate(value: Any, place: str) -> model.Certificate:
    certificate = as_object(value, place, optional=("pem", "pkcs12"))
    return model.Certificate(**{key: as_text(item, f"{place}.{key}") for key, item in certificate.items()})
