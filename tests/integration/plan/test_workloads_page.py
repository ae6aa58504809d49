# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/workloads.md and docs/suites.md: what is written there is short, and runs."""

from __future__ import annotations

import re
from pathlib import Path

from netbench_trial.trial import LocalTrial

DOCS = Path(__file__).resolve().parents[3] / "docs"
FILE = re.compile(r"^<!-- file: (\S+) -->\n```yaml\n(.*?)^```", re.M | re.S)


def files_of(page: str, folder: Path) -> dict[str, Path]:
    found = {}
    for name, text in FILE.findall((DOCS / page).read_text(encoding="utf-8")):
        found[name] = folder / name
        found[name].parent.mkdir(parents=True, exist_ok=True)
        found[name].write_text("---\n" + text, encoding="utf-8")
    return found


def test_a_workload_takes_less_than_thirty_lines(tmp_path: Path) -> None:
    files = files_of("workloads.md", tmp_path)
    assert len(files["workloads/download.yml"].read_text(encoding="utf-8").splitlines()) < 31  # with the mark we add


def test_it_runs_as_written(local: LocalTrial, tmp_path: Path) -> None:
    playbook = files_of("workloads.md", tmp_path)["download.yml"]
    shown = local.play(playbook, "--check").ok()
    assert "serve.py 127." in shown.output
    assert "50000000" in shown.output
    local.play(playbook, run_max_start_skew="1s", run_retry_budget=10).ok()
    done = [line for line in local.run.samples if line["verdict"] == "ok"]
    assert sorted(line["parameters"]["size"] for line in done) == [1_000_000, 1_000_000, 50_000_000, 50_000_000]
    for line in done:
        for client in ("client1", "client2"):
            counted = local.run.file(client, line["hosts"][client]["folder"], "client.stdout").read_text(
                encoding="utf-8"
            )
            assert counted == f"{line['parameters']['size']} bytes\n"


def test_the_suite_is_planned_for_groups_of_other_names(local: LocalTrial, tmp_path: Path) -> None:
    playbook = files_of("suites.md", tmp_path)["sizes.yml"]
    inventory = tmp_path / "hosts.yml"
    inventory.write_text("backend: {hosts: {a1: , a2: }}\nload: {hosts: {b1: , b2: }}\n", encoding="utf-8")
    shown = local.play(playbook, "--check", "-i", str(inventory)).ok()
    assert "30 samples, seed 7" in shown.output
    assert "2m30s of measurement" in shown.output
    assert "SERVER_1=a2:4433" in shown.output
