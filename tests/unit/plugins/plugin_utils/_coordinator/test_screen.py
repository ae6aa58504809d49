# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines reach what another process writes to: a terminal, a pipe, a file, or nobody."""

from __future__ import annotations

import contextlib
import os
import pty
import subprocess
import sys
import termios

import pytest
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._coordinator.screen import Screen


@contextlib.contextmanager
def other(stdout, stderr):
    """A process with these, that lives as long as the block."""
    process = subprocess.Popen(
        [sys.executable, "-c", "import sys; sys.stdin.read()"],
        stdin=subprocess.PIPE,
        stdout=stdout,
        stderr=stderr,
        start_new_session=True,
    )
    try:
        yield process.pid
    finally:
        process.communicate()


@pytest.fixture
def terminal():
    ours, theirs = pty.openpty()
    yield ours, theirs
    os.close(ours)
    os.close(theirs)


def test_a_terminal_is_written_to_and_asked_for_its_width(terminal):
    ours, theirs = terminal
    termios.tcsetwinsize(theirs, (24, 133))
    with other(theirs, subprocess.DEVNULL) as pid:
        screen = Screen(pid)
        assert screen.is_terminal
        assert screen.columns() == 133
        termios.tcsetwinsize(theirs, (24, 60))
        assert screen.columns() == 60
        screen.write("stopping")
    assert os.read(ours, 100) == b"\r\x1b[Kstopping\r\n"


def test_a_file_gets_lines_behind_what_is_in_it(tmp_path):
    log = tmp_path / "log"
    log.write_text("before\n")
    with open(log, "a") as file, other(subprocess.DEVNULL, file) as pid:
        screen = Screen(pid)
        assert not screen.is_terminal
        screen.write("stopping")
    assert log.read_text() == "before\nstopping\n"


def test_a_pipe_that_nobody_reads_holds_nobody_up():
    ours, theirs = os.pipe()
    with other(subprocess.DEVNULL, theirs) as pid:
        screen = Screen(pid)
        for _time in range(100):
            screen.write("x" * 4000)
        os.close(ours)
        screen.write("and no longer can")
    os.close(theirs)
    assert screen.columns() == 80


def test_a_process_that_is_gone_has_no_screen():
    with other(subprocess.DEVNULL, subprocess.DEVNULL) as pid:
        pass
    screen = Screen(pid)
    assert not screen.is_terminal
    screen.write("nobody hears it")
