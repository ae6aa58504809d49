# SPDX-License-Identifier: GPL-3.0-or-later
"""Every suite that docs/from-netperf-orchestrate.md shows can be planned, and is what the page says."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._planning import profile, workload

PAGE = Path(__file__).resolve().parents[5] / "docs/from-netperf-orchestrate.md"
SHOWN = [json.loads(found) for found in re.findall(r"-e '(\{.*?\})'", PAGE.read_text(encoding="utf-8"))]


def test_the_page_shows_suites():
    assert len(SHOWN) >= 8


@pytest.mark.parametrize("shown", SHOWN, ids=lambda shown: json.dumps(shown)[:60])
def test_what_the_page_shows_can_be_planned(planning, shown):
    if "netperf" not in workload.shipped():
        pytest.skip("there is no workload netperf")
    suite = dict(shown.get("run_suite", {}))
    named = suite.pop("profile", None)
    if named == "mine.yaml":
        return
    if named:
        suite = {**profile.read(profile.shipped()[named].read_text(encoding="utf-8"), named), **suite}
    suite.pop("workload", None)
    plan = planning.planned("netperf", servers=2, clients=3, parameters=shown.get("run_parameters", {}), **suite)
    pairs = [pair for point in plan.points[: len(plan.points) // (2 if named else 1)] for pair in point.pairs]
    if "matrix" in suite:
        assert len(pairs) == 6 * max(1, len(suite.get("tests", ())))
    command = plan.workers["c0"].document["points"][-1]
    words = (command or plan.workers["c1"].document["points"][-1])["processes"][0]["command"]
    for word in shown.get("run_parameters", {}).get("arguments", []):
        assert word in words[words.index("--") :]
