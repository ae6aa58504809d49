# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A suite document: a workload, the values to try, and how often. Private to this collection.

:func:`order` says in which order its points run. ``interleaved`` (the default): one block per repeat, each a random
permutation of all points, drawn from ``random.Random(seed)``, so that slow changes of the surroundings meet all points
alike. ``in_turn``: as interleaved, but each block in the order of the suite. ``sequential``: all repeats of the first
point, then of the second, and so on.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator, Mapping
from typing import Any

from ...module_utils._protocol import schema
from ...module_utils._protocol.plan import NAME
from ...module_utils._protocol.schema import (
    Path,
    Record,
    SchemaError,
    anything,
    boolean,
    choice,
    list_of,
    mapping_of,
    optional,
    text,
)
from . import matrix
from .parameters import PARAMETER_NAME
from .plan import Sample
from .quantities import duration_s, integer
from .workload import GROUP_NAME, STEPS

MAXIMUM_SAMPLES = 100_000
ORDERS = ("interleaved", "in_turn", "sequential")

MATRIX = Record(
    mode=(choice(*matrix.MODES), "isolated"),
    clients=(GROUP_NAME, "clients"),
    servers=(GROUP_NAME, "servers"),
)


def _matrix(value: Any, path: Path) -> Any:
    """A mode, or a mapping with more of it."""
    by_kind = schema.either(text=lambda mode, here: MATRIX({"mode": mode}, here), mapping=MATRIX, nothing=anything)
    return by_kind(value, path)


TEST = Record(name=text(minimum=1, maximum=100), parameters=(mapping_of(anything, key=PARAMETER_NAME), dict))

SUITE = Record(
    schema=(integer(minimum=1, maximum=1), 1),
    name=NAME,
    description=(text(), ""),
    workload=(optional(schema.either(text=text(minimum=1), mapping=anything)), None),
    parameters=(mapping_of(anything, key=PARAMETER_NAME), dict),
    grid=(mapping_of(list_of(anything, minimum=1), key=PARAMETER_NAME), dict),
    repeats=(integer(minimum=1, maximum=MAXIMUM_SAMPLES), 1),
    order=(choice(*ORDERS), "interleaved"),
    seed=(integer(minimum=0, maximum=2**53), 1),
    retry_budget=(integer(minimum=0, maximum=10_000), 2),  # failed or invalid samples that may be repeated, in all
    max_start_skew=(optional(duration_s), None),
    on_host_failure=(choice("abort", "retry", "drop"), "abort"),
    steps=(optional(STEPS), None),
    matrix=(_matrix, None),
    tests=(list_of(TEST, maximum=1000), list),  # in this order, each with the whole grid
    warm_up=(optional(duration_s), None),  # traffic of this length before each sample, not measured
    cool_down=(optional(duration_s), None),  # of quiet after each sample
    continue_on_error=(boolean, True),  # after a sample that failed for good
    versions=(choice("any", "same"), "any"),  # same: a tool of which hosts have different ones is refused
    expectations=(mapping_of(anything), dict),
    confidence=(schema.number(minimum=0.5, maximum=0.9999), 0.95),  # of the intervals
    percentiles=(list_of(schema.number(minimum=0, maximum=100), maximum=20), lambda: [50, 90, 95, 99]),
)


def check(document: Any, path: Path = ("suite",)) -> dict[str, Any]:
    """The suite with defaults filled in. Raises SchemaError with the place of what is wrong."""
    suite: dict[str, Any] = SUITE(document, path)
    for name in suite["grid"]:
        if name in suite["parameters"]:
            problem = f"{name!r} stands under 'parameters' too; keep one of them."
            raise SchemaError((*path, "grid", name), problem, name)
    for position, test in enumerate(suite["tests"]):
        for name in test["parameters"]:
            if name in suite["grid"]:
                problem = f"{name!r} stands under 'grid' too; keep one of them."
                raise SchemaError((*path, "tests", position, "parameters", name), problem, name)
    points = max(1, len(suite["tests"]))
    for values in suite["grid"].values():
        points *= len(values)
    if points * suite["repeats"] > MAXIMUM_SAMPLES:
        problem = f"{points} points × {suite['repeats']} repeats are over the limit of {MAXIMUM_SAMPLES} samples."
        raise SchemaError((*path, "grid"), problem, suite["grid"])
    return suite


def points(suite: Mapping[str, Any], path: Path = ("suite",)) -> Iterator[dict[str, tuple[Any, Path]]]:
    """The grid's points: for each given parameter its value and the place it comes from. The last parameter varies
    fastest."""
    fixed = {name: (value, (*path, "parameters", name)) for name, value in suite["parameters"].items()}
    axes = [
        [(name, (value, (*path, "grid", name, position))) for position, value in enumerate(values)]
        for name, values in suite["grid"].items()
    ]
    tests = [
        {name: (value, (*path, "tests", position, "parameters", name)) for name, value in test["parameters"].items()}
        for position, test in enumerate(suite["tests"])
    ]
    for test in tests or [{}]:
        for combination in itertools.product(*axes):
            yield {**fixed, **test, **dict(combination)}


def test_names(suite: Mapping[str, Any]) -> list[str | None]:
    """For each of :func:`points` the name of its test."""
    each = math.prod(len(values) for values in suite["grid"].values())
    return [test["name"] for test in suite["tests"] for _point in range(each)] or [None] * each


def order(*, points: int, repeats: int, seed: int, how: str) -> tuple[Sample, ...]:
    """The samples in the order of execution (see above)."""
    if how == "in_turn":
        pairs = [(point, repeat) for repeat in range(1, repeats + 1) for point in range(points)]
    elif how == "interleaved":
        dice = random.Random(seed)
        pairs = [(point, repeat) for repeat in range(1, repeats + 1) for point in dice.sample(range(points), points)]
    else:
        pairs = [(point, repeat) for point in range(points) for repeat in range(1, repeats + 1)]
    return tuple(Sample(sample, point, repeat) for sample, (point, repeat) in enumerate(pairs))
