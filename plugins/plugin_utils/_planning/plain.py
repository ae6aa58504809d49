# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What Ansible has read, as plain data. Pure. Private to this collection.

An alias of YAML stands for a whole again, so a page of text can mean billions of values, or a value inside of itself.
That is seen before it is written out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ...module_utils._protocol.schema import Path, SchemaError, kind

DEPTH_LIMIT = 100
SIZE_LIMIT = 8 << 20  # characters, and sixteen for each value
_VALUE = 16


def plain(value: Any, path: Path = ()) -> Any:
    """The same without tags and types of Ansible's; other objects by their text. Raises SchemaError."""
    _weigh(value, path, SIZE_LIMIT, len(path) + DEPTH_LIMIT)
    return json.loads(json.dumps(value, default=str))


def _weigh(value: Any, path: Path, left: int, depth: int) -> int:
    left -= _VALUE + (len(value) if isinstance(value, str) else 0)
    if left < 0:
        raise SchemaError(path[:4], f"means more than {SIZE_LIMIT >> 20} MiB of text; is an alias of YAML in itself?")
    if len(path) > depth:
        raise SchemaError(path[:4], "is nested too deeply.")
    if isinstance(value, Mapping):
        for key, each in value.items():
            if not (key is None or isinstance(key, (str, int, float))):
                raise SchemaError(path, f"expected texts as keys, got {kind(key)}.")
            left = _weigh(each, (*path, str(key)[:200]), left - len(str(key)), depth)
    elif isinstance(value, (list, tuple)):
        for position, each in enumerate(value):
            left = _weigh(each, (*path, position), left, depth)
    return left
