# SPDX-License-Identifier: GPL-3.0-or-later
"""The report as a task of a playbook: what it prints, returns and writes, and when it fails."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[3]
FIXTURE = ROOT / "tests/unit/plugins/plugin_utils/_results/run_fixture.py"
WRITTEN = {"samples.csv", "summary.json", "manifest.json", "report.html"}
PLAYBOOK = """
- hosts: all
  gather_facts: false
  tasks:
    - name: Report
      netbench.orchestrator.report:
        results: "{{ results }}"
        run: "{{ run | default(omit) }}"
        fail: "{{ fail | default(omit) }}"
      run_once: true
      register: report
    - ansible.builtin.copy:
        content: "{{ report }}"
        dest: "{{ results }}/returned.json"
        mode: "0600"
      delegate_to: localhost
      run_once: true
"""


def fixture() -> ModuleType:
    spec = importlib.util.spec_from_file_location("netbench_run_fixture", FIXTURE)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def play(results: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    book = results.parent / "play.yml"
    book.write_text(PLAYBOOK)
    command = [
        str(Path(sys.executable).with_name("ansible-playbook")), str(book), "-i", "a,b,", "-c", "local",
        "-e", f"results={results}", "-e", f"ansible_python_interpreter={sys.executable}", *arguments,
    ]  # fmt: skip
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}
    environment["ANSIBLE_COLLECTIONS_PATH"] = str(ROOT / ".collections")
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment, check=False)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    module = fixture()
    path: Path = module.write_run(tmp_path / "results", module.Shape())
    path.parent.joinpath("latest").symlink_to(path.name)
    return path


def test_a_run_with_missing_samples_fails_after_everything_is_written(run: Path) -> None:
    played = play(run.parent)
    assert played.returncode == 2
    assert "\n1      failed " in played.stdout
    assert "verdict  partial: 1 ok sample is missing, at 1 of 2 grid points" in played.stdout
    words = " ".join((played.stdout + played.stderr).split())
    assert "point 0: 1 of 2 ok samples; sample 3 invalid: start skew" in words
    assert {path.name for path in run.iterdir()} >= WRITTEN - ({"report.html"} if _without_plotly() else set())


def test_such_a_run_can_be_accepted_and_the_figures_are_returned(run: Path) -> None:
    played = play(run.parent, "-e", "fail=false")
    assert played.returncode == 0, played.stdout + played.stderr
    assert played.stdout.count("verdict  partial") == 1, "once for all hosts of the play"
    returned = json.loads((run.parent / "returned.json").read_text())
    assert (returned["verdict"], returned["run_id"], returned["changed"]) == ("partial", run.name, True)
    assert returned["headline"]["goodput_bps"]["response_size=10000"] == pytest.approx(4e9, rel=1e-6)
    assert returned["ansible_stats"]["data"]["netbench"] == returned["headline"]
    assert Path(returned["samples"]).is_file()


def test_check_mode_writes_nothing(run: Path) -> None:
    before = {path.name for path in run.iterdir()}
    played = play(run.parent, "--check")
    assert played.returncode == 0, played.stdout + played.stderr
    assert {path.name for path in run.iterdir()} == before


def test_a_run_that_is_not_there_is_named_with_those_that_are(run: Path) -> None:
    played = play(run.parent, "-e", "run=20200101T000000Z-incast-aaaa")
    assert played.returncode == 2
    words = " ".join((played.stdout + played.stderr).split())
    assert "No run '20200101T000000Z-incast-aaaa' in" in words
    assert f"Known runs: {run.name}" in words


def _without_plotly() -> bool:
    return importlib.util.find_spec("plotly") is None
