# SPDX-License-Identifier: GPL-3.0-or-later
"""The line that lives on a terminal, and the lines that take its place without one."""

from __future__ import annotations

import pytest
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._coordinator import progress as progresses
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._coordinator.progress import Progress, clock_text


class Screen:
    """Seconds that the test sets, a width that it may change, and all that was shown."""

    def __init__(self, monkeypatch, columns):
        self.now_s = 1000.0
        self.columns = columns
        self.shown = []
        monkeypatch.setattr(progresses.time, "monotonic", lambda: self.now_s)
        self.progress = Progress(
            show=lambda text, live: self.shown.append((text, live)),
            groups={"servers": 3, "clients": 2},
            samples=20,
            columns=(lambda: self.columns) if columns else None,
            expected_s=[10.0] * 20,
        )

    def in_the_window(self):
        self.progress.begin(6, 1)
        for group, number in self.progress.groups.items():
            for host in range(number):
                self.progress.host(group, f"{group}{host}", "running")
        self.progress.window(0.2)
        self.now_s += 4.4


@pytest.mark.parametrize(
    ("columns", "line"),
    [
        (140, "servers 3/3 running · clients 2/2 running · window 4.2 / 10.0 s · sample 7/20 · ETA 2:30"),
        (80, "servers 3/3 running · clients 2/2 running · 4.2 / 10.0 s · 7/20 · ETA 2:30"),
        (40, "servers 3/3 running · clients 2/2 runn…"),
    ],
)
def test_the_line_fits_and_loses_words_before_figures(monkeypatch, columns, line):
    screen = Screen(monkeypatch, columns)
    screen.in_the_window()
    screen.progress.tick()
    assert screen.shown == [(line, True)]
    assert len(line) < columns


def test_the_line_follows_the_terminal(monkeypatch):
    screen = Screen(monkeypatch, 80)
    screen.in_the_window()
    screen.progress.tick()
    screen.columns = 200
    screen.progress.tick()
    (short, _live), (whole, _live) = screen.shown
    assert "window" not in short
    assert "window 4.2 / 10.0 s" in whole


def test_between_and_after_the_samples_no_line_is_left(monkeypatch):
    screen = Screen(monkeypatch, 80)
    screen.in_the_window()
    screen.progress.verdict("ok")
    screen.progress.tick()
    screen.progress.end()
    assert screen.shown == [("sample 7/20 · ok", False)]
    screen.progress.begin(7, 1)
    screen.progress.tick()
    screen.progress.end()
    screen.progress.tick()
    assert screen.shown[-1] == ("", True), "what did not come to a verdict is wiped off"
    assert len(screen.shown) == 3


def test_without_a_terminal_each_change_is_a_line_and_nothing_lives(monkeypatch):
    screen = Screen(monkeypatch, None)
    screen.in_the_window()
    screen.progress.tick()
    screen.progress.barrier("clients", "done")
    screen.progress.verdict("ok")
    screen.progress.end()
    assert screen.shown == [
        ("sample 7/20 · window of 10.0 s begins", False),
        ("sample 7/20 · clients 2/2 done", False),
        ("sample 7/20 · ok", False),
    ]


def test_after_an_interruption_lines_take_the_direct_way(monkeypatch):
    screen = Screen(monkeypatch, 80)
    heard = []
    screen.progress.direct = lambda text, live: heard.append((text, live))
    screen.in_the_window()
    screen.progress.interrupt("interrupted: stopping every host")
    screen.progress.tick()
    screen.progress.verdict("aborted")
    screen.progress.end()
    assert heard == [("interrupted: stopping every host", False), ("sample 7/20 · aborted", False)]
    assert screen.shown == []


def test_another_attempt_says_so(monkeypatch):
    screen = Screen(monkeypatch, None)
    screen.progress.begin(0, 2)
    screen.progress.verdict("ok")
    assert screen.shown == [("sample 1/20 (attempt 2) · ok", False)]


@pytest.mark.parametrize(("seconds", "text"), [(-1, "0:00"), (92, "1:32"), (7265, "2:01:05")])
def test_clock_text(seconds, text):
    assert clock_text(seconds) == text
