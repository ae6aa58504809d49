# SPDX-License-Identifier: GPL-3.0-or-later
"""The benchmarks of the orchestrator still run; what they measure is for a quiet machine."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[3] / "benchmarks"


def run(*words: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, str(BENCHMARKS / words[0]), *words[1:]]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True)


def test_a_walk_with_simulated_workers():
    found = json.loads(run("simulated.py", "--workers", "5", "--repeats", "1").stdout)
    assert (found["verdict"], found["samples"]) == ("ok", 1)
    assert found["barrier_p50_ms"] > 0


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
def test_the_reported_skew_covers_the_truth_where_every_clock_is_another(tmp_path):
    words = ("--samples", "2", "--hosts", "2", "--conditions", "all of it", "--json", str(tmp_path / "found.json"))
    run("coverage.py", *words)
    (cell,) = json.loads((tmp_path / "found.json").read_text())["cells"]
    assert cell["samples"] == cell["covered"] == 2
    assert cell["true_skew_p50_us"] > 1_000, "the ways differ by 30 ms, and T0 cannot know it"
