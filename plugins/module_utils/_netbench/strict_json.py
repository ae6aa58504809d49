# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Strict and bounded reading of JSON for scenarios. Private to the collection.

Scenario files come from strangers. Whatever the text holds, the outcome is a value or a `ScenarioError` with the place,
within a bounded memory: size and number of containers are limited before the text is decoded, integers before they are
converted.
"""

from __future__ import annotations

import difflib
import json
from collections import Counter
from collections.abc import Collection
from typing import Any, NoReturn

from .errors import ScenarioError

MAX_TEXT_BYTES = 16 * 1024 * 1024
MAX_CONTAINERS = 1_000_000
U64_MAX = 2**64 - 1


def load(text: str | bytes) -> Any:
    """The JSON value of ``text``, without floats, duplicate keys, or integers beyond 64 bits."""
    if isinstance(text, str):
        try:
            text = text.encode()
        except UnicodeEncodeError as error:
            raise ScenarioError("", f"the scenario is not valid Unicode text: {error.reason}") from None
    if len(text) > MAX_TEXT_BYTES:
        raise ScenarioError(
            "", f"the scenario has {len(text)} bytes; at most {MAX_TEXT_BYTES} are read. Use fewer hosts or connections"
        )
    if text.count(b"{") + text.count(b"[") > MAX_CONTAINERS:
        raise ScenarioError(
            "", f"the scenario has more than {MAX_CONTAINERS} objects and lists. Use fewer hosts or connections"
        )
    try:
        decoded = text.decode()
    except UnicodeDecodeError as error:
        raise ScenarioError("", f"the scenario is not UTF-8 text (byte {error.start}); save it as UTF-8") from None
    try:
        return json.loads(
            decoded,
            parse_int=_integer,
            parse_float=_refuse_number,
            parse_constant=_refuse_number,
            object_pairs_hook=_object,
        )
    except json.JSONDecodeError as error:
        raise ScenarioError(
            "", f"the scenario is not JSON: line {error.lineno}, column {error.colno}: {error.msg}"
        ) from None
    except RecursionError:
        raise ScenarioError("", "the scenario is nested too deeply to be read") from None


def _integer(digits: str) -> int:
    if len(digits) > len(str(U64_MAX)):
        _refuse_number(digits)
    return int(digits)


def _refuse_number(digits: str) -> NoReturn:
    raise ScenarioError(
        "", f"the number {shown(digits)} is not a whole number between 0 and 2^64 - 1; the format has no others"
    )


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        twice = next(key for key, count in Counter(key for key, _unused in pairs).items() if count > 1)
        raise ScenarioError("", f"the key {shown(twice)} appears twice in one object; keep one of them")
    return result


def shown(value: Any, limit: int = 60) -> str:
    """``value`` quoted for a message: one line, printable, of bounded length."""
    if isinstance(value, (dict, list)):
        return "an object" if isinstance(value, dict) else "a list"
    text = ascii(value[:limit]) if isinstance(value, str) else json.dumps(value)
    return text[:limit] + ("…" if len(str(value)) > limit else "")


def suggestion(word: str, known: Collection[str]) -> str:
    """`` (did you mean …?)``, or the list of what is known."""
    close = difflib.get_close_matches(word[:60], sorted(known), n=1)
    return f"did you mean {close[0]!r}?" if close else f"known are: {', '.join(sorted(known))}"


def as_object(
    value: Any, place: str, *, required: Collection[str] = (), optional: Collection[str] = ()
) -> dict[str, Any]:
    """``value`` as an object with exactly these keys."""
    if not isinstance(value, dict):
        raise ScenarioError(place, f"expected an object, found {shown(value)}")
    known = [*required, *optional]
    for key in value:
        if key not in known:
            raise ScenarioError(place, f"unknown key {shown(key)}; {suggestion(key, known)}")
    for key in required:
        if key not in value:
            raise ScenarioError(place, f"the key {key!r} is missing; add it")
    return value


def as_list(value: Any, place: str) -> list[Any]:
    if not isinstance(value, list):
        raise ScenarioError(place, f"expected a list, found {shown(value)}")
    return value


def as_text(value: Any, place: str) -> str:
    if not isinstance(value, str):
        raise ScenarioError(place, f"expected a string, found {shown(value)}")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ScenarioError(
            place, "the string holds half of a surrogate pair, which is no character; remove it"
        ) from None
    return value


def as_unsigned(value: Any, place: str, *, minimum: int = 0, maximum: int = U64_MAX) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ScenarioError(place, f"expected a whole number, found {shown(value)}")
    if not minimum <= value <= maximum:
        bound = (
            f"at least {minimum}"
            if value < minimum
            else "less than 2^64"
            if maximum == U64_MAX
            else f"at most {maximum}"
        )
        raise ScenarioError(place, f"{value} is out of range; expected {bound}")
    return value
