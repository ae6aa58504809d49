# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Checkers of numbers, bytes, rates and durations as people write them (see ``units``). Private to this collection."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...module_utils._protocol import schema
from ...module_utils._protocol.schema import Checker, Path, SchemaError, kind
from . import units


def integer(*, minimum: int | None = None, maximum: int | None = None) -> Checker:
    """A whole number, also as text: ``ansible-playbook -e name=5`` and inventories in INI give text."""
    check = schema.integer(minimum=minimum, maximum=maximum)
    return lambda value, path: check(_read(int, value), path)


def number(value: Any, path: Path = ()) -> float:
    """A number, also as text."""
    return float(schema.number()(_read(float, value), path))


def _read(kind_of: Callable[[str], float], value: Any) -> Any:
    """The number that a text of moderate length says; what says none is left to the checker."""
    if not isinstance(value, str) or len(value) > 40:
        return value
    try:
        return kind_of(value)
    except ValueError:
        return value


def bytes_(value: Any, path: Path = ()) -> int:
    """Bytes: ``65536``, ``10MB``, ``1KiB``."""
    return int(_measured(units.parse_bytes, value, path, "bytes, like 10MB"))


def rate_bps(value: Any, path: Path = ()) -> int:
    """Bits per second: ``2.5Gbps``, ``100MBps``, ``42MB/50ms``."""
    return int(_measured(units.parse_rate_bps, value, path, "a rate, like 2.5Gbps"))


def duration_s(value: Any, path: Path = ()) -> float:
    """Seconds: ``10``, ``500ms``, ``1m30s``. Text without a unit is refused, except that of a resolved placeholder."""
    if isinstance(value, str) and value.replace(".", "", 1).isdecimal():
        value = float(value)
    return float(_measured(units.parse_duration_s, value, path, "a duration, like 10s"))


def _measured(parse: Callable[[Any], float], value: Any, path: Path, expected: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise SchemaError(path, f"expected {expected}, got {kind(value)}.", value)
    try:
        return parse(str(value) if isinstance(value, str) else value)
    except units.UnitError as problem:
        raise SchemaError(path, f"{problem}.", value) from None
