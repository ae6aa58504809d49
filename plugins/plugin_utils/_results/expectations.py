# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether results are as expected: judged by the interval, not by the point. Private to this collection.

The interval is that of the median where there are samples enough for the wished confidence (six for 95 %), else
Student's of the mean. An expectation ``holds`` when all of it is on the right side of the limit, is ``broken`` when all
of it is on the wrong side, and is ``open`` otherwise: then more repeats would tell, or nothing was measured.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ...module_utils._protocol.schema import SchemaError
from .._planning.expectations import Expectation, check
from .errors import FolderError
from .metrics import unit
from .records import Run
from .statistics import Description, Interval

HOLDS, BROKEN, OPEN = "holds", "broken", "open"
SCALES = {"ms": 1e3, "s": 1e6}  # of a metric's unit, in µs


@dataclass(frozen=True)
class Judgement:
    """One expectation at one grid point. ``why`` is a sentence for people; the interval is in the metric's unit."""

    expectation: str
    point: int
    metric: str | None
    verdict: str
    interval: Interval | None
    why: str

    def document(self) -> dict[str, Any]:
        interval = self.interval
        between = {"low": interval.low, "high": interval.high, "confidence": interval.confidence} if interval else None
        return {"expectation": self.expectation, "metric": self.metric, "verdict": self.verdict, "interval": between}


def expected(run: Run) -> list[Expectation]:
    """What the run's suite expects. Raises FolderError for a plan that was tampered with."""
    given = run.analysis.get("expectations")
    try:
        return check(given if isinstance(given, dict) else {})
    except SchemaError as problem:
        raise FolderError(f"the plan of {run.run_id} has expectations that cannot be read: {problem}") from problem


def judge(
    expectations: Sequence[Expectation], point: int, metrics: dict[str, Description], confidence: float
) -> list[Judgement]:
    """Each expectation at a point whose metrics are these. What other points measure, this one need not."""
    return [
        _judged(each, point, name, metrics[name], confidence)
        for each in expectations
        for name in metrics
        if re.fullmatch(each.pattern, name)
    ]


def unmeasured(expectations: Sequence[Expectation], judged: Sequence[Judgement]) -> list[Judgement]:
    """Expectations about what no point has measured."""
    known = {each.expectation for each in judged}
    return [
        Judgement(each.text, -1, None, OPEN, None, f"{each.text}: nothing of the kind was measured")
        for each in expectations
        if each.text not in known
    ]


def _judged(each: Expectation, point: int, metric: str, described: Description, confidence: float) -> Judgement:
    scale = SCALES.get(unit(metric), 1.0) if each.kind == "time" else 1.0
    limit = each.limit / scale
    interval = interval_of(described, confidence)
    if interval is None:
        why = f"{each.text}: one sample of {metric} has no interval; take more repeats"
        return Judgement(each.text, point, metric, OPEN, None, why)
    right, wrong = (
        (interval.low >= limit, interval.high < limit)
        if each.bound == "min"
        else (interval.high <= limit, interval.low > limit)
    )
    verdict = HOLDS if right else BROKEN if wrong else OPEN
    tail = {HOLDS: "it holds", BROKEN: "it does not hold", OPEN: "the limit is inside, more repeats would tell"}[
        verdict
    ]
    between = f"{interval.low:.6g} … {interval.high:.6g} {unit(metric)}".rstrip()
    why = f"{each.text}: {metric} is {between} at {interval.confidence:.1%}; {tail}"
    return Judgement(each.text, point, metric, verdict, interval, why)


def interval_of(described: Description, confidence: float) -> Interval | None:
    """The median's where it reaches the confidence, else the mean's."""
    ranks = described.median_interval
    return ranks if ranks and ranks.confidence >= confidence else described.mean_interval
