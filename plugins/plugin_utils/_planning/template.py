# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Placeholders of workloads: ``${name}``, resolved strictly. Private to this collection.

They are not Jinja on purpose: a workload may stand inside a playbook, where Ansible would resolve ``{{ }}`` long
before the hosts of the run are known. ``$$`` stands for one ``$``, a ``$`` before anything but ``{`` and ``$`` for
itself (so ``$HOME`` reaches a shell). What a placeholder brings in is not searched for placeholders again.

A text that is one placeholder and nothing else takes the value with its type: a list becomes several words of a
command, nothing (null) leaves the word out. Inside of more text, a value is written as text (:func:`as_text`).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ...module_utils._protocol.schema import Path, SchemaError, suggestion

_MARK = re.compile(r"\$\$|\$\{([^{}]*)(\})?")

Part = tuple[bool, str]  # (it is the name of a placeholder, text)


@functools.lru_cache(maxsize=4096)
def _parts(template: str) -> tuple[Part, ...]:
    parts: list[Part] = []
    position = 0
    for mark in _MARK.finditer(template):
        parts.append((False, template[position : mark.start()]))
        if mark.group() == "$$":
            parts.append((False, "$"))
        elif mark.group(2) is None:
            raise ValueError("'${' is never closed; write '$${' for the characters themselves.")
        else:
            parts.append((True, mark.group(1).strip()))
        position = mark.end()
    parts.append((False, template[position:]))
    return tuple(part for part in parts if part[0] or part[1])


def _parse(template: str, path: Path) -> tuple[Part, ...]:
    try:
        return _parts(str(template))
    except ValueError as problem:
        raise SchemaError(path, str(problem), template) from None


def names(template: str, path: Path = ()) -> tuple[str, ...]:
    """The names of the placeholders in a text, in order."""
    return tuple(text for is_name, text in _parse(template, path) if is_name)


def render(template: Any, values: Mapping[str, Any], path: Path = ()) -> Any:
    """The text with its placeholders resolved. A value that is no text is returned as it is.

    Raises SchemaError for a placeholder that ``values`` lacks.
    """
    if not isinstance(template, str):
        return template
    parts = _parse(template, path)
    if len(parts) == 1 and parts[0][0]:
        return _value(parts[0][1], values, template, path)
    return "".join(as_text(_value(text, values, template, path)) if is_name else text for is_name, text in parts)


def render_text(template: Any, values: Mapping[str, Any], path: Path = ()) -> str:
    return as_text(render(template, values, path))


def render_words(templates: Iterable[Any], values: Mapping[str, Any], path: Path = ()) -> list[str]:
    """The words of a command: a list brings in several, nothing leaves the word out."""
    return list(_words(templates, values, path))


def _words(templates: Iterable[Any], values: Mapping[str, Any], path: Path) -> Iterator[str]:
    for position, template in enumerate(templates):
        value = render(template, values, (*path, position))
        if isinstance(value, (list, tuple)):
            yield from map(as_text, value)
        elif value is not None:
            yield as_text(value)


def as_text(value: Any) -> str:
    """A value inside of more text: ``true``, ``0.5``, ``10``, ``a,b``, and nothing for null."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    if isinstance(value, (list, tuple)):
        return ",".join(map(as_text, value))
    return str(value)


def _value(name: str, values: Mapping[str, Any], template: str, path: Path) -> Any:
    if name not in values:
        raise unknown(name, values, template, path)
    return values[name]


def unknown(name: str, known: Iterable[str], template: str, path: Path) -> SchemaError:
    """The error for a placeholder that does not exist."""
    way_out = f"{suggestion(name, list(known))} Write $${{{name}}} for the characters themselves."
    return SchemaError(path, f"unknown placeholder ${{{name}}}.{way_out}", template)
