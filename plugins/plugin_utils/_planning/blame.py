# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where the user wrote what a SchemaError is about. Private to this collection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...module_utils._protocol.schema import SchemaError


def blamed(documents: Mapping[str, Any], problem: SchemaError) -> Any:
    """The user's own object at the error's path, whose origin (file, line) Ansible knows; the first parts choose the
    document.

    When the error is about a key, it is the key; where the path leads no further, it is the nearest thing around it
    that has an origin at all (what an expression has put together has none).
    """
    around: list[Any] = []
    here: Any = documents
    for part in problem.path:
        if isinstance(here, Mapping) and part in here:
            if part == problem.path[-1] and problem.value == part:
                around.append(next(key for key in here if key == part))
                break
            here = here[part]
        elif isinstance(here, (list, tuple)) and isinstance(part, int) and part < len(here):
            here = here[part]
        else:
            break
        around.append(here)
    return next((found for found in reversed(around) if has_origin(found)), around[-1] if around else None)


def has_origin(value: Any) -> bool:
    """Whether Ansible's loader has tagged the value (ansible-core 2.19 and newer)."""
    return bool(getattr(value, "_ansible_tags_mapping", None))
