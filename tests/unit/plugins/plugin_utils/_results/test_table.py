# SPDX-License-Identifier: GPL-3.0-or-later
"""The table at the end of a run."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._results.folder import ResultFolder
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._results.records import read_run
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._results.samples import measure
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._results.show import digits, micros, scaled
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._results.summary import summarise
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._results.table import ROWS_SHOWN, render

WriteRun = Callable[..., Path]
ESCAPE = re.compile(r"\x1b\[[0-9;]*m")


def table(path: Path, *, width: int = 80, colour: bool = False) -> str:
    folder = ResultFolder(path)
    run = read_run(folder)
    measured = [measure(folder, run, sample) for sample in run.samples]
    return render(summarise(run, measured), measured, width=width, colour=colour)


def test_every_sample_has_its_line_and_the_bad_ones_their_reason(write_run: WriteRun) -> None:
    text = table(write_run())
    assert re.search(r"^0 +ok +\d+ ± 5 µs +[\d.]+ s +[24].00 Gbit/s +50 50 % +\d+$", text, re.M)
    assert "\n1      failed " in text
    assert "\n       client-0: process client ended with exit status 3\n" in text
    assert "\nretried: sample 1 (2 attempts)\n" in text
    assert "control packets in the windows: 0 (counted in 5 of 5 samples)" in text
    assert text.splitlines()[-1] == "verdict  partial: 1 ok sample is missing, at 1 of 2 grid points"


@pytest.mark.parametrize("width", [80, 100, 140])
def test_no_line_is_wider_than_the_terminal(write_run: WriteRun, width: int) -> None:
    path = write_run(clients=30)
    content = (path / "coordinator.jsonl").read_text().replace("process client ended", "x" * 300)
    (path / "coordinator.jsonl").write_text(content)
    assert max(len(line) for line in table(path, width=width).splitlines()) <= width


def test_colours_only_when_asked_for_and_they_change_no_column(write_run: WriteRun) -> None:
    path = write_run()
    plain, painted = table(path), table(path, colour=True)
    assert "\x1b" not in plain
    assert ESCAPE.sub("", painted) == plain
    assert painted != plain


def test_nothing_from_a_host_steers_the_terminal(write_run: WriteRun) -> None:
    path = write_run()
    lines = [json.loads(line) for line in (path / "coordinator.jsonl").read_text().splitlines()]
    lines[2]["reason"] = "\x1b[2J\x1b]0;owned\x07\u202egone\nverdict  ok"
    lines[2]["parameters"] = {"\x1b[31m": "\x1b[0m"}
    (path / "coordinator.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    text = table(path)
    assert not [character for character in text if ord(character) < 32 and character != "\n"]
    assert "\u202e" not in text
    assert "\nverdict  ok" not in text


RESUMED = {"event": "resumed", "utc": "2026-11-21T11:05:30.000000Z", "ok": 1, "left_behind": [1, 1]}
TAKEN_UP = "taken up again at 11:05:30 UTC, after its coordinator had ended: 1 ok sample was there and sample 1 was"


def test_a_resumed_and_a_partial_run_say_so(write_run: WriteRun) -> None:
    path = write_run()
    with (path / "coordinator.jsonl").open("a") as file:
        file.write(json.dumps(RESUMED) + "\n")
    text = " ".join(table(path).split())
    assert f"{TAKEN_UP} under way" in text
    assert "the coordinator did not reach its end: it was killed, or the run is still on" in text


@pytest.mark.parametrize(
    ("verdict", "said"), [("aborted", "the run was aborted: Ctrl-C"), ("failed", "the run failed: Ctrl-C")]
)
def test_an_end_before_time_is_said_unless_a_sample_says_it(write_run: WriteRun, verdict: str, said: str) -> None:
    path = write_run()
    lines = [json.loads(line) for line in (path / "coordinator.jsonl").read_text().splitlines()]
    lines[-1] |= {"verdict": verdict, "reason": "Ctrl-C"}
    (path / "coordinator.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert f"\n{said}\n" in table(path)
    lines[-2]["reason"] = "Ctrl-C"
    (path / "coordinator.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert "\n       Ctrl-C\n" in table(path)
    assert said not in table(path)


def test_columns_stay_columns_however_wide_a_figure_is(write_run: WriteRun) -> None:
    path = write_run()
    text = (
        (path / "coordinator.jsonl").read_text().replace('"start_skew_error_us": 4.5', '"start_skew_error_us": 14768')
    )
    (path / "coordinator.jsonl").write_text(text)
    head, *rows = table(path).splitlines()[:3]
    assert all(row[head.index("window")] in "123456789" and row[head.index("window") - 1] == " " for row in rows)


def test_a_long_run_shows_what_is_not_plainly_ok(write_run: WriteRun) -> None:
    text = table(write_run(servers=1, clients=1, points=1, repeats=ROWS_SHOWN + 5, seconds=0.5))
    assert "more ok samples, in samples.csv" in text
    assert "\n1.2 " in text
    assert len(text.splitlines()) < 40


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (3.999e9, "4.00 Gbit/s"),
        (999.96e6, "1.00 Gbit/s"),
        (37.24e9, "37.2 Gbit/s"),
        (812, "812 bit/s"),
        (0, "0.00 bit/s"),
    ],
)
def test_rates_have_three_digits(value: float, shown: str) -> None:
    assert scaled(value, "bit/s") == shown


def test_skews_are_read_at_a_glance_and_errors_round_up() -> None:
    assert [micros(8.2, 4.1), micros(1250.0, 12.0), micros(None), micros(3.0)] == [
        "8 ± 5 µs",
        "1.2 ± 0.1 ms",
        "–",
        "3 µs",
    ]
    assert digits(9.9996) == "10.0"
