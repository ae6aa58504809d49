# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From samples to summary.json: per grid point, what its ok samples say, and what was left out and why. Private to this
collection.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from .expectations import HOLDS, Judgement, expected, judge, unmeasured
from .metrics import better, unit
from .records import Point, Run, Sample
from .samples import Measured
from .statistics import CONFIDENCE, PERCENTILES, Description, describe

SCHEMA = 1
PAIR = ("client", "server")  # parameters of a pair of a matrix
OK, INCOMPLETE, UNEXPECTED = "ok", "incomplete", "unexpected"


@dataclass(frozen=True)
class PointSummary:
    """One grid point: ``metrics`` of its ok samples, ``excluded`` the attempts that are in no figure."""

    point: int
    parameters: dict[str, Any]
    wanted: int
    used: tuple[Measured, ...]
    excluded: tuple[Measured, ...]
    metrics: dict[str, Description]
    judgements: tuple[Judgement, ...] = ()

    @property
    def verdict(self) -> str:
        return OK if len(self.used) >= self.wanted else INCOMPLETE


@dataclass(frozen=True)
class Summary:
    """A run's results. ``verdict``: ok only if every grid point got its wished number of ok samples, and all that was
    expected holds; ``unexpected`` when only the latter is missing."""

    run: Run
    points: tuple[PointSummary, ...]
    unmeasured: tuple[Judgement, ...] = ()

    @property
    def judgements(self) -> list[Judgement]:
        """What the suite expects, at each point where it is measured."""
        return [*(each for point in self.points for each in point.judgements), *self.unmeasured]

    @property
    def verdict(self) -> str:
        if self.measured == OK and any(each.verdict != HOLDS for each in self.judgements):
            return UNEXPECTED
        return self.measured

    @property
    def measured(self) -> str:
        """The verdict without expectations."""
        if all(point.verdict == OK for point in self.points) and self.points:
            return OK
        return self.run.verdict if self.run.verdict in ("failed", "aborted") else "partial"


def summarise(run: Run, measured: Sequence[Measured]) -> Summary:
    points = []
    for index, point in enumerate(run.points):
        points.append(_point(run, index, point, [each for each in measured if each.sample.point == index]))
    points = _with_judgements(run, points)
    judged = [each for point in points for each in point.judgements]
    return Summary(run, tuple(points), tuple(unmeasured(expected(run), judged)))


def _point(run: Run, index: int, point: Point, measured: Sequence[Measured]) -> PointSummary:
    used = [each for each in measured if each.sample.verdict == "ok"]
    values: dict[str, list[float]] = {}
    for each in used:
        for name, value in each.figures().items():
            values.setdefault(name, []).append(value)
    confidence = _fraction(run.analysis.get("confidence"))
    metrics = {
        name: describe(list_of, confidence=confidence, percentiles=_percentiles(run.analysis.get("percentiles")))
        for name, list_of in values.items()
    }
    return PointSummary(
        point=index,
        parameters=dict(point.parameters),
        wanted=point.wanted,
        used=tuple(used),
        excluded=tuple(each for each in measured if each.sample.verdict != "ok"),
        metrics=metrics,
    )


def _with_judgements(run: Run, points: Sequence[PointSummary]) -> list[PointSummary]:
    """Throughput is expected of bulk traffic and latency of transactions, in a run that has both."""
    confidence, everything = _fraction(run.analysis.get("confidence")), expected(run)
    both = len({_transacts(point) for point in points if point.metrics}) > 1
    found = []
    for point in points:
        apt = [each for each in everything if not both or each.of_transactions in (None, _transacts(point))]
        found.append(replace(point, judgements=tuple(judge(apt, point.point, point.metrics, confidence))))
    return found


def _transacts(point: PointSummary) -> bool:
    return any(name.endswith("transaction_rate") for name in point.metrics)


def _fraction(value: Any) -> float:
    return float(value) if isinstance(value, float) and 0.5 <= value < 1 else CONFIDENCE


def _percentiles(value: Any) -> tuple[float, ...]:
    """The suite's, and always those that every reader expects."""
    more = value if isinstance(value, list) else []
    known = [each for each in more if isinstance(each, (int, float)) and 0 <= each <= 100]
    return tuple(sorted({*PERCENTILES, *known}))


def story(summary: Summary, measured: Sequence[Measured]) -> list[str]:
    """What happened on the way, in words: an end before time, another coordinator, attempts, what is missing."""
    run, tried = summary.run, {(each.sample.sample, each.sample.attempt) for each in measured if each.sample.hosts}
    tries = Counter(number for number, _attempt in tried)  # the pairs of a round are one attempt
    again = [f"sample {number} ({count} attempts)" for number, count in sorted(tries.items()) if count > 1]
    fewer = fewer_hosts(each.sample for each in measured)
    ended = {"aborted": "the run was aborted", "failed": "the run failed", "partial": "the run is not complete"}
    return [
        *([f"{ended[run.verdict]}: {run.reason}"] if run.verdict in ended and run.reason else []),
        *(run.taken_up or (["taken up again after its coordinator had ended"] if run.resumed else [])),
        *([f"retried: {', '.join(again)}"] if again else []),
        *([fewer] if fewer else []),
        *run.partial,
    ]


def document(summary: Summary) -> dict[str, Any]:
    """summary.json as plain data."""
    run = summary.run
    return {
        "schema": SCHEMA,
        "run_id": run.run_id,
        "suite": run.suite,
        "verdict": summary.verdict,
        "partial": list(run.partial),
        "points": [_point_document(point) for point in summary.points],
        **({"expectations": [each.document() for each in summary.unmeasured]} if summary.unmeasured else {}),
    }


def _point_document(point: PointSummary) -> dict[str, Any]:
    return {
        "point": point.point,
        "parameters": point.parameters,
        "verdict": point.verdict,
        "wanted": point.wanted,
        "ok": len(point.used),
        "samples": [each.sample.key for each in point.used],
        "fewer_hosts": {each.sample.key: list(each.sample.missing) for each in point.used if each.sample.missing},
        "metrics": {name: _metric_document(name, each, point.used) for name, each in point.metrics.items()},
        **({"expectations": [each.document() for each in point.judgements]} if point.judgements else {}),
        "excluded": [
            {
                "sample": each.sample.sample,
                "attempt": each.sample.attempt,
                "verdict": each.sample.verdict,
                "reason": each.sample.reason or None,
            }
            for each in point.excluded
        ],
    }


def _metric_document(name: str, described: Description, used: Sequence[Measured]) -> dict[str, Any]:
    holders = [each.sample.key for each in used if name in each.figures()]
    return {
        "unit": unit(name),
        "better": better(name),
        "n": described.n,
        "median": described.median,
        "median_interval": asdict(described.median_interval) if described.median_interval else None,
        "mean": described.mean,
        "mean_interval": asdict(described.mean_interval) if described.mean_interval else None,
        "min": described.minimum,
        "max": described.maximum,
        "standard_deviation": described.standard_deviation,
        "variation": described.variation,
        **{f"p{percent:g}": value for percent, value in described.percentiles.items()},
        "outliers": [holders[position] for position in described.outliers],
    }


def fewer_hosts(samples: Iterable[Sample]) -> str:
    """``fewer hosts than planned in 3 of 5 samples; missing: client2 in 3``; empty when all were there."""
    known = list(samples)
    short = [sample for sample in known if sample.missing]
    if not short:
        return ""
    absent = Counter(host for sample in short for host in sample.missing)
    each = ", ".join(f"{host} in {count}" for host, count in absent.items())
    return f"fewer hosts than planned in {len(short)} of {len(known)} samples; missing: {each}"


def remarks(measured: Iterable[Measured]) -> list[str]:
    """``client1: client runs without real-time priority 50: Operation not permitted (and 1 more hosts)``; each once.

    What parsers have to say of a tool comes in the same form.
    """
    heard: dict[str, dict[str, None]] = {}
    for each in measured:
        for name, host in each.sample.hosts.items():
            for note in (*each.notes.get(name, ()), *(note for process in host.processes for note in process.notes)):
                heard.setdefault(note, {})[name] = None
    return [
        f"{next(iter(hosts))}: {note}" + (f" (and {len(hosts) - 1} more hosts)" if len(hosts) > 1 else "")
        for note, hosts in heard.items()
    ]


def headline(summary: Summary) -> dict[str, Any]:
    """The few figures for ``ansible_stats``: per grid point the median goodput, and the worst start skew of all."""
    skews = [each.sample.start_skew_us for point in summary.points for each in point.used]
    known = [skew for skew in skews if skew is not None]
    goodputs = {
        label(summary, point): point.metrics["goodput_bps"].median
        for point in summary.points
        if "goodput_bps" in point.metrics
    }
    return {
        "run_id": summary.run.run_id,
        "verdict": summary.verdict,
        "samples_ok": sum(len(point.used) for point in summary.points),
        "samples_wanted": sum(point.wanted for point in summary.points),
        "goodput_bps": goodputs if len(goodputs) > 1 else next(iter(goodputs.values()), None),
        "start_skew_max_us": max(known, default=None),
    }


def varying(summary: Summary) -> list[str]:
    """The parameters that differ between grid points; of a suite with tests, without what its test says of a point."""
    points = [point.parameters for point in summary.points]
    names = dict.fromkeys(name for point in points for name in point)
    differ = [name for name in names if len({repr(point.get(name)) for point in points}) > 1]
    said = {name: {(repr(point.get("test_name")), repr(point.get(name))) for point in points} for name in differ}
    tests = len({repr(point.get("test_name")) for point in points})
    return [name for name in differ if name == "test_name" or tests == 1 or len(said[name]) > tests]


def label(summary: Summary, point: PointSummary) -> str:
    """A grid point in words: ``driver=tcp, response_size=1000``; the suite's name when there is only one."""
    names = varying(summary)
    words = []
    if all(name in point.parameters for name in PAIR) and any(name in names for name in PAIR):
        words.append(">".join(str(point.parameters[name]) for name in PAIR))
        names = [name for name in names if name not in PAIR]
    words += [f"{name}={point.parameters.get(name)}" for name in names]
    return ", ".join(words) or summary.run.suite or "all samples"
