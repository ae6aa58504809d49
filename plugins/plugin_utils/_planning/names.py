# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The names that placeholders can use, and what they stand for. Private to this collection.

Values that hold placeholders themselves (parameters with ``template: true``, ``derived`` values) are resolved when
they are asked for, with the names of the host that asks; so a user may write ``${host.port.main}`` into a parameter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ...module_utils._protocol.schema import Path, SchemaError
from . import template

Lazy = tuple[Path, Callable[[Mapping[str, Any]], Any]]  # the place of a value, and what resolves it


class Names(Mapping[str, Any]):
    """Plain values, and lazy ones that are resolved against all of them. Raises SchemaError for a lazy value that
    needs itself."""

    def __init__(self, plain: Mapping[str, Any], lazy: Mapping[str, Lazy]) -> None:
        self._plain = plain
        self._lazy = lazy
        self._resolved: dict[str, Any] = {}
        self._open: list[str] = []

    def __getitem__(self, name: str) -> Any:
        if name in self._plain:
            return self._plain[name]
        if name not in self._resolved:
            path, resolve = self._lazy[name]
            if name in self._open:
                raise SchemaError(path, f"it needs itself: {' -> '.join([*self._open, name])}.")
            self._open.append(name)
            self._resolved[name] = resolve(self)
            self._open.pop()
        return self._resolved[name]

    def __contains__(self, name: object) -> bool:
        return name in self._plain or name in self._lazy

    def __iter__(self) -> Iterator[str]:
        yield from self._plain
        yield from self._lazy

    def __len__(self) -> int:
        return len(self._plain) + len(self._lazy)

    def extended(self, more: Mapping[str, Any]) -> Names:
        """These names and more; what is lazy is resolved anew, since it may need them."""
        return Names({**self._plain, **more}, self._lazy)


def of_point(workload: Mapping[str, Any], parameters: Mapping[str, Any], places: Mapping[str, Path]) -> Names:
    """The names that hold for all hosts of a point. ``places`` says where a parameter's value comes from, if not its
    default."""
    plain: dict[str, Any] = {}
    lazy: dict[str, Lazy] = {}
    for name, declared in workload["parameters"].items():
        if declared["template"]:
            place = places.get(name, ("workload", "parameters", name, "default"))
            lazy[name] = (place, _resolver(parameters[name], place))
        else:
            plain[name] = parameters[name]
    for name, rule in workload["derived"].items():
        lazy[name] = (("workload", "derived", name), _chooser(rule, ("workload", "derived", name)))
    return Names(plain, lazy)


def _resolver(value: Any, path: Path) -> Callable[[Mapping[str, Any]], Any]:
    if isinstance(value, (list, tuple)):
        return lambda names: template.render_words(value, names, path)
    return lambda names: template.render(value, names, path)


def _chooser(rule: Mapping[str, Any], path: Path) -> Callable[[Mapping[str, Any]], Any]:
    def choose(names: Mapping[str, Any]) -> Any:
        chosen = template.as_text(names[rule["from"]])
        key, value = (
            (("values", chosen), rule["values"][chosen])
            if chosen in rule["values"]
            else (("otherwise",), rule["otherwise"])
        )
        return _resolver(value, (*path, *key))(names)

    return choose
