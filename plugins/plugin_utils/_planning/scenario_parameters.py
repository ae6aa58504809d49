# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The parameters of the scenario generator, read from what people write. Private to the collection.

Names and defaults are those of ``s2n-netbench-scenarios``; sizes are kept in bytes, times in milliseconds, as the
format has them.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from . import units
from .units import Rate, UnitError

MAX_CONNECTIONS = 100_000


class GeneratorError(ValueError):
    """The parameters make no scenario; the message names the parameter."""


@dataclass(frozen=True)
class RequestResponse:
    """Parameters of ``request_response`` and ``incast``."""

    request_size: int = 1000
    response_size: int = 10_000_000
    response_delay: int = 0
    count: int = 1
    connections: int = 1
    parallel: bool = False
    client_send_rate: Rate | None = None
    client_receive_rate: Rate | None = None
    server_send_rate: Rate | None = None
    server_receive_rate: Rate | None = None
    response_unblock: int = 0
    duration: int | None = None


@dataclass(frozen=True)
class Ping:
    """Parameters of ``ping``: for each size in turn, ``time`` long."""

    connections: int = 1
    streams: int = 1
    time: int = 15_000
    size: Sequence[int] = (1000, 10_000, 100_000, 1_000_000)


@dataclass(frozen=True)
class Connect:
    """Parameters of ``connect``."""

    connections: int = 1000


def _count(value: Any) -> int:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_CONNECTIONS:
        raise UnitError(f"{value!r} is not a whole number from 1 to {MAX_CONNECTIONS}")
    return int(value)


def _size(value: Any) -> int:
    size = units.parse_bytes(value)
    if not size:
        raise UnitError("0 bytes are no request; use at least 1")
    return size


def _sizes(value: Any) -> tuple[int, ...]:
    items = value.split(",") if isinstance(value, str) else value if isinstance(value, (list, tuple)) else [value]
    if not items:
        raise UnitError("at least one size is needed")
    return tuple(_size(item) for item in items)


def _time(value: Any) -> int:
    time_ms = units.parse_duration_ms(value)
    if not time_ms:
        raise UnitError(f"{value!r} is no time; use at least 1ms")
    return time_ms


def _rate(value: Any) -> Rate | None:
    return None if value == "NONE" else units.parse_rate(value)


def _flag(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ("true", "yes", "1", "false", "no", "0"):
        return value.lower() in ("true", "yes", "1")
    raise UnitError(f"{value!r} is not true or false")


_READERS: Mapping[str, Callable[[Any], Any]] = {
    "request_size": _size,
    "response_size": _size,
    "response_delay": units.parse_duration_ms,
    "count": _count,
    "connections": _count,
    "parallel": _flag,
    "client_send_rate": _rate,
    "client_receive_rate": _rate,
    "server_send_rate": _rate,
    "server_receive_rate": _rate,
    "response_unblock": units.parse_bytes,
    "duration": _time,
    "streams": _count,
    "time": _time,
    "size": _sizes,
}


def read(chosen_type: type[Any], parameters: Mapping[str, Any]) -> Any:
    """The parameters as an object of this type; None stands for the default."""
    known = [one.name for one in fields(chosen_type)]
    values = {}
    for name, value in parameters.items():
        if name not in known:
            raise GeneratorError(f"unknown parameter {name!r}; {suggestion(name, known)}")
        if value is None:
            continue
        try:
            values[name] = _READERS[name](value)
        except UnitError as error:
            raise GeneratorError(f"{name}: {error}") from error
    return chosen_type(**values)


def suggestion(word: object, known: Sequence[str] | Mapping[str, Any]) -> str:
    close = difflib.get_close_matches(str(word)[:60], list(known), n=1)
    return f"did you mean {close[0]!r}?" if close else f"known are: {', '.join(sorted(known))}"
