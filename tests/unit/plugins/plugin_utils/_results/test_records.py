# SPDX-License-Identifier: GPL-3.0-or-later
"""What a coordinator wrote is read whatever became of it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._results.errors import FolderError
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._results.folder import ResultFolder
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._results.records import read_run
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

WriteRun = Callable[..., Path]


def events(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (path / "coordinator.jsonl").read_text().splitlines()]


def rewrite(path: Path, lines: list[dict[str, Any]], tail: str = "") -> ResultFolder:
    (path / "coordinator.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + tail)
    return ResultFolder(path)


def test_a_whole_run_is_read_whole(write_run: WriteRun) -> None:
    run = read_run(ResultFolder(write_run()))
    assert [sample.key for sample in run.samples] == ["0", "1", "1.2", "2", "3"]
    assert [sample.verdict for sample in run.samples] == ["ok", "failed", "ok", "ok", "invalid"]
    assert [(point.wanted, point.receivers, point.t0_groups) for point in run.points] == [
        (2, ("clients",), ("clients",))
    ] * 2
    assert (run.partial, run.resumed, run.verdict, run.seed, run.workload) == ((), False, "partial", 42, "pynetbench")
    assert {host: facts["index"] for host, facts in run.hosts.items()}["server-2"] == 2


def test_a_killed_coordinators_run_is_partial_and_says_what_is_missing(write_run: WriteRun) -> None:
    path = write_run()
    lines = events(path)[:3]
    folder = rewrite(path, [*lines, {"event": "begin", "sample": 1, "attempt": 2}], '{"event":"sample","sample":1,"att')
    run = read_run(folder)
    assert [sample.key for sample in run.samples] == ["0", "1"]
    assert run.partial == (
        "the coordinator did not reach its end: it was killed, or the run is still on",
        "begun, but without a verdict: sample 1",
    )
    assert [point.wanted for point in run.points] == [2, 2], "the plan still says what was wished"


def test_hosts_whose_outputs_are_not_here_are_named(write_run: WriteRun) -> None:
    path = write_run()
    shutil.rmtree(path / "hosts" / "client-1")
    assert read_run(ResultFolder(path)).partial == ("no outputs of some ok samples are here from client-1",)


BEGIN = {"event": "begin", "sample": 0, "attempt": 1}


@pytest.mark.parametrize(
    ("change", "resumed"),
    [
        (lambda lines: lines, False),
        (lambda lines: [*lines, {"event": "end", "verdict": "ok"}], True),
        (lambda lines: [*lines[:1], BEGIN, BEGIN, *lines[1:]], True),
        (lambda lines: [*lines[:2], {"event": "resumed"}, *lines[2:]], True),
        (lambda lines: [*lines[:1], BEGIN, {"event": "paused"}, BEGIN, *lines[1:]], False),
        (lambda lines: [*lines[:1], BEGIN, {"event": "paused"}, BEGIN, BEGIN, *lines[1:]], True),
    ],
)
def test_a_run_taken_up_again_says_so(write_run: WriteRun, change: Any, resumed: bool) -> None:
    path = write_run()
    assert read_run(rewrite(path, change(events(path)))).resumed is resumed


def test_of_two_verdicts_on_one_attempt_the_later_counts(write_run: WriteRun) -> None:
    path = write_run()
    lines = events(path)
    run = read_run(rewrite(path, [*lines, {**lines[1], "verdict": "aborted"}]))
    assert (len(run.samples), run.samples[0].verdict) == (5, "aborted")


def test_nothing_to_read_is_an_error_that_says_so(tmp_path: Path) -> None:
    with pytest.raises(FolderError, match="missing or not a readable file"):
        read_run(ResultFolder(tmp_path))
    with pytest.raises(FolderError, match="the coordinator ended before it began"):
        read_run(rewrite(tmp_path, [{"event": "end"}]))


def test_without_its_plan_a_run_is_still_read(write_run: WriteRun) -> None:
    path = write_run()
    (path / "plan.json").unlink()
    run = read_run(ResultFolder(path))
    assert len(run.points) == 2
    assert run.points[0].parameters["driver"] == "pynetbench"


def test_a_hostile_host_cannot_leave_its_folder_nor_steer_the_terminal(write_run: WriteRun) -> None:
    path = write_run()
    lines = events(path)
    host = {**lines[1]["hosts"]["client-0"], "folder": "../../../etc", "reason": "\x1b]0;owned\x07"}
    lines[1]["hosts"] = {**lines[1]["hosts"], "../../../etc": host}
    run = read_run(rewrite(path, lines))
    found = run.samples[0].hosts["../../../etc"]
    assert (found.folder, found.reason) == ("", "\\x1b]0;owned\\x07")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda each: st.lists(each, max_size=3) | st.dictionaries(st.text(max_size=5), each, max_size=3),
    max_leaves=5,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_value_may_be_wrong_and_nothing_raises(tmp_path: Path, data: st.DataObject) -> None:
    names = "event sample attempt point repeat parameters verdict reason window barriers hosts t0_ns groups versions"
    sample = {"event": "sample", "sample": 0, "attempt": 1, "verdict": "ok", "window": {"start_ns": 1, "stop_ns": 5}}
    sample["hosts"] = {"a": {"folder": "0000", "processes": [{"name": "x", "start_ns": 1}]}}
    wrong = data.draw(st.dictionaries(st.sampled_from(names.split(" ")), VALUES, max_size=4))
    inside = data.draw(
        st.dictionaries(st.sampled_from(["folder", "processes", "offset_ns", "group"]), VALUES, max_size=2)
    )
    if isinstance(wrong.get("hosts"), dict):
        wrong["hosts"] = {**wrong["hosts"], "b": inside}
    plan = data.draw(st.dictionaries(st.sampled_from(["points", "samples", "repeats", "workers", "workload"]), VALUES))
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    folder = rewrite(tmp_path, [{"event": "run"}, {**sample, **wrong}, {**wrong, "event": "run"}])
    run = read_run(folder)
    assert all(each.verdict in ("ok", "failed", "aborted", "invalid") for each in run.samples)


def test_begun_lines_that_make_no_sense_are_no_second_run(write_run: WriteRun) -> None:
    path = write_run()
    assert not read_run(rewrite(path, [*events(path), {"event": "begin", "sample": {}, "attempt": []}])).resumed
