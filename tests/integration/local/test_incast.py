# SPDX-License-Identifier: GPL-3.0-or-later
"""The main job on this machine, as `make incast` starts it: the result folder is complete, and all of it agrees."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from netbench_trial.results import FIRST_COLUMNS, RunFolder
from netbench_trial.trial import ROOT, LocalTrial, local_trial

SETTINGS = {"run_parameters": {"duration": "1s"}, "run_max_start_skew": "1s", "run_retry_budget": 10}


@pytest.fixture(scope="module")
def trial() -> Iterator[LocalTrial]:
    """The hosts of inventories/local itself, but for addresses, port and names of workers."""
    with local_trial(servers=3, clients=2) as trial:
        yield trial


@pytest.fixture(scope="module")
def first(trial: LocalTrial) -> RunFolder:
    """The folder of a first run, which installs the workers too."""
    finished = trial.play("incast.yml", **SETTINGS, timeout_s=120).ok()
    assert "ok=" in finished.output
    assert not trial.leftovers()
    assert not trial.ports_taken()
    return trial.run


def test_the_shipped_inventory_has_these_hosts(trial: LocalTrial) -> None:
    listed = (ROOT / "inventories/local/hosts.yml").read_text()
    assert all(f"{host}:" in listed for host in trial.hosts)
    assert listed.count("netbench_address") == len(trial.hosts)


def test_the_result_folder_is_complete(first: RunFolder, trial: LocalTrial) -> None:
    manifest = first.json("manifest.json")
    plan = first.json("plan.json")
    assert manifest["run_id"] == plan["run_id"] == first.path.name
    assert manifest["schema"] == 1
    assert manifest["verdict"] == "ok"
    assert manifest["plan_sha256"] == plan["sha256"]
    assert set(manifest["hosts"]) == set(trial.hosts)
    for name, about in manifest["hosts"].items():
        assert about["address"] == trial.addresses[name]
        assert about["cpus"] > 0
        assert {"group", "index", "os", "kernel"} <= set(about)
    assert {"collection", "ansible-core", "python"} <= set(manifest["versions"])
    summary = first.json("summary.json")
    assert summary["schema"] == 1
    assert "goodput_bps" in json.dumps(summary)
    assert (first.path / "report.html").stat().st_size > 10_000
    assert (first.path.parent / "latest").resolve() == first.path.resolve()


def test_the_csv_has_the_promised_columns_and_says_what_the_record_says(first: RunFolder) -> None:
    (row,) = [row for row in first.rows if row["verdict"] == "ok"]
    with open(first.path / "samples.csv", newline="") as file:
        header = next(csv.reader(file))
    assert header[: len(FIRST_COLUMNS)] == FIRST_COLUMNS
    line = first.samples[-1]
    assert (int(row["sample"]), int(row["attempt"])) == (line["sample"], line["attempt"])
    assert float(row["start_skew_us"]) == pytest.approx(line["start_skew_us"], abs=0.06)
    assert float(row["window_s"]) == pytest.approx(line["window_s"], rel=1e-3)
    assert row["control_packets"] == "", "no network between the control node and itself: missing, not 0"
    assert 0.5 < float(row["window_s"]) < 10
    assert float(row["goodput_bps"]) > 1e6


def test_outputs_are_sealed_and_the_seals_hold(first: RunFolder, trial: LocalTrial) -> None:
    checked = first.check_seals()
    line = first.samples[-1]
    assert checked >= 4 * len(trial.hosts), "stdout, stderr, statistics and sampler of every host"
    for host, about in line["hosts"].items():
        assert about["verdict"] == "done"
        seal = first.file(host, about["folder"], "seal.json")
        assert {each["path"] for each in json.loads(seal.read_text())["files"]} >= {"sampler.jsonl", "statistics.jsonl"}
        reached = [(each["sample"], each["state"]) for each in first.journal(host) if each.get("kind") == "reached"]
        assert (line["sample"], "done") in reached, "the worker's own journal knows the end"
    print(f"{checked} files sealed and found true")


def test_steps_were_taken_in_order_and_instants_agree(first: RunFolder) -> None:
    line = first.samples[-1]
    steps = [(each["group"], each["state"]) for each in line["barriers"]]
    assert steps == [
        ("servers", "ready"), ("clients", "ready"), ("servers", "running"),
        ("clients", "running"), ("clients", "done"), ("servers", "done"),
    ]  # fmt: skip
    instants = [each["at_ns"] for each in line["barriers"]]
    assert instants == sorted(instants)
    servers_running = line["barriers"][2]["at_ns"]
    starts = []
    for about in line["hosts"].values():
        (process,) = about["processes"]
        start_ns = process["start_ns"] - about["offset_ns"]
        if about["group"] == "clients":
            assert start_ns + about["offset_error_ns"] >= line["t0_ns"] >= servers_running
            starts.append(start_ns)
            assert process["exit_status"] == 0
        else:
            assert process["signal"] == "TERM" or process["exit_status"] == 0
    assert (max(starts) - min(starts)) / 1e3 == pytest.approx(line["start_skew_us"], abs=1)


def test_the_sampler_saw_the_process_and_the_clock(first: RunFolder) -> None:
    line = first.samples[-1]
    for host, about in line["hosts"].items():
        rows = first.sampler(host, about["folder"])
        assert len(rows) >= 2
        assert rows[-1]["cpu_s"] > 0
        assert rows == sorted(rows, key=lambda row: row["mono_ns"])
        drift_ns = [row["wall_ns"] - row["mono_ns"] - about["wall_minus_mono_ns"] for row in rows]
        assert max(map(abs, drift_ns)) < 50e6


def test_secrets_and_inputs_do_not_stay_in_the_plan(first: RunFolder) -> None:
    plan = first.json("plan.json")
    assert not any(plan["inputs"].values()), "contents of inputs are taken out at the end"
    assert (first.path / "plan.json").stat().st_mode & 0o077 == 0


def test_a_second_run_is_quick_and_changes_no_worker(first: RunFolder, trial: LocalTrial) -> None:
    pids = {host: trial.worker_pid(host) for host in trial.hosts}
    finished = trial.play("incast.yml", **SETTINGS, timeout_s=90).ok()
    assert trial.run.path != first.path
    assert {host: trial.worker_pid(host) for host in trial.hosts} == pids, "settled workers are not restarted"
    window_s = trial.run.samples[-1]["window_s"]
    print(f"second run: {finished.elapsed_s:.1f} s in all, window {window_s:.2f} s")
    assert finished.elapsed_s < 45, "15 s is the goal on a quiet machine; this one may be busy"


def test_check_mode_shows_the_plan_and_touches_nothing(trial: LocalTrial, first: RunFolder) -> None:
    before = sorted(path.name for path in trial.results.iterdir())
    finished = trial.play("incast.yml", "--check", **SETTINGS, run_repeats=3, timeout_s=60).ok()
    assert "3 samples" in finished.output
    assert "servers ready → clients ready → servers running → clients running → clients done" in finished.output
    assert "client2 (point 0)" in finished.output
    assert "pynetbench client" in finished.output
    assert "expected: " in finished.output
    assert sorted(path.name for path in trial.results.iterdir()) == before
    assert not trial.leftovers()


def test_check_mode_works_before_any_worker_is_there(tmp_path: Path) -> None:
    with local_trial(servers=1, clients=1) as fresh:
        finished = fresh.play("incast.yml", "--check", **SETTINGS, timeout_s=60).ok()
        assert "plan " in finished.output
        assert not fresh.results.exists()
        assert not any(map(fresh.worker_pid, fresh.hosts))
