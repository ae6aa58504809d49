# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Declarative checks of data that came from outside. Private to this collection.

A checker takes a value and the path where it stands and returns the value, checked and with defaults filled in, or
raises :class:`SchemaError`, which carries the path, the offending value (for whoever can point at its file and line)
and a way out. Both ends use it: the controller for workloads and suites, the worker for plans and messages.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Callable, Union

Path = tuple[Union[str, int], ...]
Checker = Callable[[Any, Path], Any]

REQUIRED: Any = object()


TEXT_LIMIT = 8000  # what is wrong with a value may repeat it


def place(path: Path) -> str:
    """``("points", 0, "command")`` as a person writes it: ``points[0].command``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else ("." if text else "") + str(part)
    return visible(text)


def visible(text: str) -> str:
    """The text, unless it is endless, with every character that a terminal might obey spelt out."""
    shown = text[:TEXT_LIMIT]
    if not shown.isprintable():
        shown = "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in shown)
    return shown if len(text) <= TEXT_LIMIT and len(shown) <= TEXT_LIMIT else shown[:TEXT_LIMIT] + "…"


class SchemaError(ValueError):
    """A value is not what it should be. ``path`` says where, ``value`` is the offender (a key, when a key is wrong)."""

    def __init__(self, path: Path, problem: str, value: Any = None) -> None:
        self.path = path
        self.problem = visible(problem)
        self.value = value
        super().__init__(f"{place(path)}: {self.problem}" if path else self.problem)


def suggestion(word: str, known: Sequence[str]) -> str:
    """`` Did you mean 'x'?`` or, when nothing is near, the list of what is known."""
    near = difflib.get_close_matches(str(word)[:100], known, n=1)
    return f" Did you mean {near[0]!r}?" if near else " Known: {}.".format(", ".join(sorted(known)))


def text(*, pattern: str | None = None, expected: str = "", maximum: int = 1 << 20, minimum: int = 0) -> Checker:
    """A string of at most ``maximum`` characters, without NUL; ``expected`` explains ``pattern`` in words."""
    compiled = re.compile(pattern) if pattern else None

    def check(value: Any, path: Path) -> str:
        if not isinstance(value, str):
            raise SchemaError(path, f"expected text, got {kind(value)}.", value)
        if not minimum <= len(value) <= maximum:
            raise SchemaError(path, f"expected {minimum} to {maximum} characters, got {len(value)}.", value)
        if "\0" in value:
            raise SchemaError(path, "a NUL character is not allowed.", value)
        if compiled and not compiled.fullmatch(value):
            raise SchemaError(path, f"expected {expected or pattern}, got {value[:80]!r}.", value)
        return value

    return check


def integer(*, minimum: int | None = None, maximum: int | None = None) -> Checker:
    def check(value: Any, path: Path) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise SchemaError(path, f"expected a whole number, got {kind(value)}.", value)
        _bounds(value, path, minimum, maximum)
        return int(value)

    return check


def number(*, minimum: float | None = None, maximum: float | None = None) -> Checker:
    def check(value: Any, path: Path) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise SchemaError(path, f"expected a number, got {kind(value)}.", value)
        _bounds(value, path, minimum, maximum)
        try:
            return float(value)
        except OverflowError:
            raise SchemaError(path, f"expected a smaller number, got {_short(value)}.", value) from None

    return check


def _bounds(value: float, path: Path, minimum: float | None, maximum: float | None) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise SchemaError(path, "expected a finite number.", value)
    if minimum is not None and value < minimum:
        raise SchemaError(path, f"expected at least {minimum}, got {_short(value)}.", value)
    if maximum is not None and value > maximum:
        raise SchemaError(path, f"expected at most {maximum}, got {_short(value)}.", value)


def _short(value: float) -> str:
    return str(value) if isinstance(value, float) or abs(value) < 10**18 else "a huge number"


def boolean(value: Any, path: Path) -> bool:
    if not isinstance(value, bool):
        raise SchemaError(path, f"expected true or false, got {kind(value)}.", value)
    return value


def anything(value: Any, path: Path) -> Any:
    return value


def choice(*known: str) -> Checker:
    def check(value: Any, path: Path) -> str:
        if not isinstance(value, str) or value not in known:
            raise SchemaError(path, f"{_brief(value)!r} is not known here.{suggestion(str(value), known)}", value)
        return value

    return check


def list_of(item: Checker, *, minimum: int = 0, maximum: int = 100_000) -> Checker:
    def check(value: Any, path: Path) -> list[Any]:
        if not isinstance(value, (list, tuple)):
            raise SchemaError(path, f"expected a list, got {kind(value)}.", value)
        if not minimum <= len(value) <= maximum:
            raise SchemaError(path, f"expected {minimum} to {maximum} items, got {len(value)}.", value)
        return [item(each, (*path, position)) for position, each in enumerate(value)]

    return check


def mapping_of(value_checker: Checker, *, key: Checker | None = None, maximum: int = 100_000) -> Checker:
    check_key = key or text(minimum=1, maximum=200)

    def check(value: Any, path: Path) -> dict[str, Any]:
        _expect_mapping(value, path)
        if len(value) > maximum:
            raise SchemaError(path, f"expected at most {maximum} entries, got {len(value)}.", value)
        return {check_key(k, (*path, str(k)[:80])): value_checker(v, (*path, str(k)[:80])) for k, v in value.items()}

    return check


def optional(checker: Checker) -> Checker:
    """The value may be null."""
    return lambda value, path: None if value is None else checker(value, path)


def either(**by_kind: Checker) -> Checker:
    """A checker by the value's kind:

    ``either(text=…, mapping=…)`` (kinds: text, list, mapping, number, boolean, nothing).
    """

    def check(value: Any, path: Path) -> Any:
        found = by_kind.get(_KINDS.get(kind(value), ""))
        if found is None:
            raise SchemaError(path, "expected {}, got {}.".format(" or ".join(by_kind), kind(value)), value)
        return found(value, path)

    return check


class Record:
    """A mapping with known keys: ``Record(name=text(), size=(integer(), 0))``; a pair gives the default.

    Unknown keys are refused with a suggestion; ``{"rule": …}``-like variants are a :class:`Variant` of records.
    """

    def __init__(self, **fields: Checker | tuple[Checker, Any]) -> None:
        self.fields: dict[str, tuple[Checker, Any]] = {
            name: field if isinstance(field, tuple) else (field, REQUIRED) for name, field in fields.items()
        }

    def __call__(self, value: Any, path: Path) -> dict[str, Any]:
        _expect_mapping(value, path)
        for key in value:
            if key not in self.fields:
                raise SchemaError(
                    (*path, str(key)[:80]),
                    f"unknown key {_brief(key)!r}.{suggestion(str(key), list(self.fields))}",
                    key,
                )
        checked = {}
        for name, (checker, default) in self.fields.items():
            if name in value:
                checked[name] = checker(value[name], (*path, name))
            elif default is REQUIRED:
                raise SchemaError((*path, name), "is missing.", value)
            else:
                checked[name] = default() if callable(default) else default
        return checked


def variant(tag: str, **records: Record) -> Checker:
    """One of several records, told apart by the key ``tag``."""
    check_tag = choice(*records)

    def check(value: Any, path: Path) -> dict[str, Any]:
        _expect_mapping(value, path)
        if tag not in value:
            raise SchemaError((*path, tag), "is missing.", value)
        name = check_tag(value[tag], (*path, tag))
        rest = records[name]({k: v for k, v in value.items() if k != tag}, path)
        return {tag: name, **rest}

    return check


def _expect_mapping(value: Any, path: Path) -> None:
    if not isinstance(value, Mapping):
        raise SchemaError(path, f"expected a mapping, got {kind(value)}.", value)


_KINDS = {
    "text": "text",
    "a list": "list",
    "a mapping": "mapping",
    "a number": "number",
    "true or false": "boolean",
    "nothing": "nothing",
}


def kind(value: Any) -> str:
    """What a value is, in a user's words."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, str):
        return "text"
    if isinstance(value, (int, float)):
        return "a number"
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, (list, tuple)):
        return "a list"
    return type(value).__name__


def _brief(value: Any) -> str:
    return str(value)[:80]
