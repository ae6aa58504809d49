# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Everything that is made of a run's raw files, in one pass over its samples. Private to this collection.

Samples are read one after the other and let go, so a long run needs little memory. The report comes last: when its
library is missing, samples.csv, summary.json and manifest.json are there already.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import folder as folders
from .charts import ChartBudget, sample_chart
from .errors import MissingLibrary
from .folder import ResultFolder
from .pairs import by_pair, export
from .pairs import to_csv as pairs_csv
from .records import Run, measured_only, read_run
from .report import render
from .samples import Measured, measure, row, to_csv
from .statistics import t_quantile
from .summary import Summary, document, summarise

SCHEMA = 1


@dataclass(frozen=True)
class Published:
    """What was written (``report`` None without its library) and what it was made of."""

    folder: ResultFolder
    summary: Summary
    measured: tuple[Measured, ...]
    report: Path | None
    changed: bool
    warnings: tuple[str, ...]


def publish(folder: ResultFolder) -> Published:
    """Write samples.csv, summary.json, manifest.json and report.html. Raises FolderError."""
    run = by_pair(measured_only(read_run(folder)))
    budget = ChartBudget.of(samples=len(run.samples), hosts=max((len(s.hosts) for s in run.samples), default=1))
    measured, rows, charts = [], [], []
    for sample in run.samples:
        each = measure(folder, run, sample)
        rows.append(row(each))
        charts.append(sample_chart(each, run.points[sample.point], budget))
        measured.append(each.light())
    summary = summarise(run, measured)
    changed = [
        folders.write(folder.samples, to_csv(rows)),
        folders.write(folder.summary, _json(document(summary))),
        folders.write(folder.manifest, _json(manifest(run, summary))),
    ]
    if any(sample.pairs for sample in run.samples):
        changed += [
            folders.write(folder.pairs, pairs_csv(summary)),
            folders.write(folder.export, _json(export(folder, run))),
        ]
    warnings = []
    try:
        t_quantile(1)
    except MissingLibrary as error:
        warnings.append(str(error))
    try:
        changed.append(folders.write(folder.report, render(summary, measured, charts)))
        report: Path | None = folder.report
    except MissingLibrary as error:
        warnings.append(str(error))
        report = None
    folder.point_latest()
    return Published(folder, summary, tuple(measured), report, any(changed), tuple(warnings))


def manifest(run: Run, summary: Summary) -> dict[str, Any]:
    """manifest.json: what ran, on what, when, and how it ended."""
    return {
        "schema": SCHEMA,
        "run_id": run.run_id,
        "suite": run.suite,
        "workload": run.workload,
        "plan_sha256": run.plan_sha256,
        "seed": run.seed,
        "started_utc": run.started_utc,
        "ended_utc": run.ended_utc or None,
        "verdict": summary.verdict,
        "reason": run.reason or None,
        "resumed": run.resumed,
        "partial": list(run.partial),
        "versions": {**run.versions, "tools": {**run.tools, **_mapping(run.versions.get("tools"))}},
        "groups": {group: list(hosts) for group, hosts in run.groups.items()},
        "hosts": {host: dict(facts) for host, facts in run.hosts.items()},
    }


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
