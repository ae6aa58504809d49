# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Parameters of a workload: their declarations, and the values a suite gives them. Private to this collection.

Values come as people write them (``10MB``, ``2.5Gbps``, ``500ms``) and leave as plain numbers: bytes, bits per
second, seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...module_utils._protocol import schema
from ...module_utils._protocol.schema import (
    Checker,
    Path,
    Record,
    SchemaError,
    anything,
    boolean,
    choice,
    optional,
    suggestion,
    text,
)
from .quantities import bytes_, duration_s, integer, number, rate_bps

PARAMETER_NAME = text(pattern=r"[a-z][a-z0-9_]{0,63}", expected="a lower-case name")
NO_DEFAULT: Any = object()

ITEM: Mapping[str, Checker] = {
    "bytes": bytes_,
    "rate": rate_bps,
    "duration": duration_s,
    "integer": integer(),
    "number": number,
    "text": text(),
    "choice": text(),  # which ones, is known when all parameters have their values
    "boolean": boolean,
}
BOUNDED = ("bytes", "rate", "duration", "integer", "number")

PARAMETER = Record(
    type=choice(*ITEM, "list"),
    description=text(minimum=1),
    default=(anything, NO_DEFAULT),  # null: the parameter may be left out, and has no value then
    unit=(optional(text(maximum=40)), None),  # of a number or an integer, for people; the other types have theirs
    choices=(schema.list_of(text(minimum=1)), list),
    more_choices=(optional(PARAMETER_NAME), None),  # a list parameter whose items are choices as well
    minimum=(anything, None),
    maximum=(anything, None),
    whole=(boolean, False),  # a number without a fraction: of seconds, for tools that cut it off
    items=(choice(*ITEM), "text"),  # the type of a list's items
    template=(boolean, False),  # the value may hold placeholders itself
    reserved=(schema.mapping_of(PARAMETER_NAME), dict),  # options of a list that a parameter of that name gives
)

Declared = Mapping[str, Any]  # one checked PARAMETER


def check_declarations(parameters: Mapping[str, Declared], path: Path) -> None:
    """Defaults and bounds fit their types; choices are there where they are needed. Raises SchemaError."""
    for name, declared in parameters.items():
        here = (*path, name)
        if declared["type"] == "choice" and not declared["choices"]:
            raise SchemaError((*here, "choices"), "is missing.", declared)
        more = declared["more_choices"]
        if more is not None and parameters.get(more, {}).get("type") != "list":
            raise SchemaError((*here, "more_choices"), f"there is no list parameter {more!r}.", more)
        if declared["whole"] and declared["type"] != "duration":
            raise SchemaError((*here, "whole"), "is for durations.", declared["whole"])
        for bound in ("minimum", "maximum"):
            if declared[bound] is not None:
                if declared["type"] not in BOUNDED:
                    raise SchemaError((*here, bound), f"a {declared['type']} has no {bound}.", declared[bound])
                ITEM[declared["type"]](declared[bound], (*here, bound))
        if declared["default"] is not NO_DEFAULT:
            value(declared, declared["default"], (*here, "default"))


def values(parameters: Mapping[str, Declared], given: Mapping[str, tuple[Any, Path]], path: Path) -> dict[str, Any]:
    """All parameters with their values: the ``given`` ones, each with the place it comes from, and defaults for the
    rest."""
    for name in given:
        if name not in parameters:
            problem = f"the workload has no parameter {name!r}.{suggestion(name, list(parameters))}"
            raise SchemaError(given[name][1], problem, name)
    complete = {}
    for name, declared in parameters.items():
        found, here = given.get(name, (declared["default"], (*path, name)))
        if found is NO_DEFAULT:
            raise SchemaError(("suite", "parameters", name), f"is missing. {declared['description']}")
        complete[name] = value(declared, found, here)
    for name, declared in parameters.items():
        if declared["type"] == "choice" and complete[name] is not None:
            more = complete[declared["more_choices"]] or [] if declared["more_choices"] else []
            choice(*declared["choices"], *more)(complete[name], given.get(name, (None, (*path, name)))[1])
    return complete


def value(declared: Declared, found: Any, path: Path) -> Any:
    """One value by its declaration: checked, in plain numbers."""
    if found is None and declared["default"] is None:
        return None
    if declared["type"] == "list":
        words = schema.list_of(ITEM[declared["items"]])(found, path)
        for position, word in enumerate(words if declared["reserved"] else ()):
            _refuse_reserved(str(word), declared["reserved"], (*path, position))
        return words
    checker = ITEM[declared["type"]]
    checked = checker(found, path)
    if declared["whole"] and checked != int(checked):
        raise SchemaError(path, f"{found} is no whole number of seconds, and the tool takes no other.", found)
    for bound, wrong in (("minimum", "below"), ("maximum", "above")):
        limit = declared[bound]
        if limit is not None and (checked < checker(limit, ()) if wrong == "below" else checked > checker(limit, ())):
            raise SchemaError(path, f"{found} is {wrong} the {bound} of {limit}.", found)
    return checked


def _refuse_reserved(word: str, reserved: Mapping[str, str], path: Path) -> None:
    """An option that the workload gives itself would stand there twice, and what follows from it would be wrong."""
    for option, parameter in reserved.items():
        attached = word.startswith(f"{option}=") if option.startswith("--") else word.startswith(option)
        if word == option or attached:
            raise SchemaError(path, f"{option} is given by the parameter {parameter!r}; use that.", word)
