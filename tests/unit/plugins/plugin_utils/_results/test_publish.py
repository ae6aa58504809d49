# SPDX-License-Identifier: GPL-3.0-or-later
"""What is written beside the raw files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._results.folder import ResultFolder
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._results.publish import Published, publish
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._results.samples import from_csv
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._results.summary import headline

WriteRun = Callable[..., Path]


def published(path: Path) -> tuple[Published, dict[str, Any], dict[str, Any]]:
    found = publish(ResultFolder(path))
    return found, json.loads((path / "summary.json").read_text()), json.loads((path / "manifest.json").read_text())


def test_the_summary_says_what_each_point_got_and_what_was_left_out(write_run: WriteRun) -> None:
    found, summary, _manifest = published(write_run())
    assert (summary["schema"], summary["verdict"], summary["partial"]) == (1, "partial", [])
    short, full = summary["points"]
    assert (short["verdict"], short["wanted"], short["ok"], full["verdict"]) == ("incomplete", 2, 1, "ok")
    assert [(each["sample"], each["attempt"], each["verdict"]) for each in full["excluded"]] == [(1, 1, "failed")]
    assert "exit status 3" in full["excluded"][0]["reason"]
    goodput = full["metrics"]["goodput_bps"]
    assert (goodput["n"], goodput["unit"], goodput["better"]) == (2, "bit/s", "higher")
    assert goodput["median"] == pytest.approx(4e9, rel=1e-6)
    assert goodput["median_interval"]["confidence"] == 0.5
    assert full["metrics"]["clients.latency.request.p99_us"]["better"] == "lower"
    assert headline(found.summary)["samples_ok"] == 3


def test_the_manifest_says_what_ran_on_what(write_run: WriteRun) -> None:
    path = write_run()
    plan = json.loads((path / "plan.json").read_text())
    process = {"command": ["/opt/bin/driver-tcp", "x"], "sha256": "ab" * 32}
    plan["workers"] = {"client-0": {"document": {"points": [{"processes": [process]}]}}}
    (path / "plan.json").write_text(json.dumps(plan))
    _found, _summary, manifest = published(path)
    expected = {
        "schema": 1,
        "run_id": path.name,
        "suite": "incast",
        "seed": 42,
        "plan_sha256": "5e" * 32,
        "verdict": "partial",
    }
    assert {name: manifest[name] for name in expected} == expected
    assert manifest["ended_utc"] == "2026-11-21T11:06:00.000000Z"
    assert manifest["versions"]["tools"] == {"driver-tcp": ["ab" * 32]}
    assert manifest["hosts"]["client-1"]["address"] == "198.18.1.15"


def test_a_run_with_every_sample_is_ok(write_run: WriteRun) -> None:
    found, summary, manifest = published(write_run(flawed=False))
    assert (found.summary.verdict, summary["verdict"], manifest["verdict"]) == ("ok", "ok", "ok")


def test_a_second_time_changes_nothing(write_run: WriteRun) -> None:
    path = write_run()
    assert publish(ResultFolder(path)).changed
    assert not publish(ResultFolder(path)).changed


def test_a_run_without_any_sample_is_reported_too(write_run: WriteRun) -> None:
    path = write_run()
    first = (path / "coordinator.jsonl").read_text().splitlines()[0]
    (path / "coordinator.jsonl").write_text(
        first + "\n" + '{"event":"end","verdict":"failed","reason":"no host answered"}\n'
    )
    found, summary, manifest = published(path)
    assert (summary["verdict"], manifest["reason"]) == ("failed", "no host answered")
    assert from_csv((path / "samples.csv").read_text()) == []
    assert headline(found.summary)["goodput_bps"] is None


def test_latest_is_a_link_to_the_run(write_run: WriteRun) -> None:
    path = write_run()
    publish(ResultFolder(path))
    assert (path.parent / "latest").resolve() == path.resolve()
