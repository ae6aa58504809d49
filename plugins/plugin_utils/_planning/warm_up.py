# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Traffic before each sample, which is not measured. Pure. Private to this collection.

It is the same traffic at the same point, only shorter: caches, routes, congestion windows of middle boxes and clocks of
processors find their state. It is a sample of its own, so the programs' figures of what is measured hold none of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...module_utils._protocol.schema import SchemaError
from .plan import Sample
from .points import PlannedPoint

DURATION = "duration"  # the parameter of a workload that says how long its traffic flows


def of(point: PlannedPoint, duration_s: float, workload: Mapping[str, Any]) -> PlannedPoint:
    """The point's warm-up. Raises SchemaError for a workload whose length cannot be told."""
    path = ("suite", "warm_up")
    if DURATION not in workload["parameters"]:
        problem = f"the workload {workload['name']} has no parameter {DURATION!r} that would make it shorter."
        raise SchemaError(path, problem, duration_s)
    return point.warmed_up({DURATION: (duration_s, path)})


def before_each(samples: Sequence[Sample], points: int) -> tuple[Sample, ...]:
    """Each sample with its warm-up before it: the points of those come behind the ``points`` that are measured."""
    both = [(point, sample.repeat) for sample in samples for point in (points + sample.point, sample.point)]
    return tuple(Sample(number, point, repeat) for number, (point, repeat) in enumerate(both))
