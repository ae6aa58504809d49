# SPDX-License-Identifier: GPL-3.0-or-later
"""A program of the build host, and what becomes of it when its owner is ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.netbench.orchestrator.plugins.module_utils._tools import programs
from ansible_collections.netbench.orchestrator.plugins.module_utils._tools.errors import BuildError

from .._worker.driving import alive, wait_for

OWNER = """
import sys
from pathlib import Path
from ansible_collections.netbench.orchestrator.plugins.module_utils._tools import programs
script = "cd {folder}; sleep 60 & echo $! > new; echo $$ >> new; mv new pids; wait"
programs.run(["sh", "-c", script], log=Path("{folder}/log"), what="the build", timeout_s=50)
"""


def test_what_it_says_is_returned_and_shown_when_it_fails(tmp_path: Path) -> None:
    assert programs.run(["echo", "fine"], log=tmp_path / "log", what="the build", timeout_s=20) == "fine\n"
    with pytest.raises(BuildError, match=r"the build failed with exit status 3\.[^\n]*\nno room$"):
        programs.run(["sh", "-c", "echo no room; exit 3"], log=tmp_path / "log", what="the build", timeout_s=20)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_builder_that_is_ended_takes_its_program_along(tmp_path: Path, number: signal.Signals) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER.format(folder=tmp_path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stderr=subprocess.DEVNULL,
    )
    with owner:
        wait_for((tmp_path / "pids").exists)
        pids = [int(word) for word in (tmp_path / "pids").read_text().split()]
        owner.send_signal(number)
        assert owner.wait(20) != 0
    wait_for(lambda: not any(map(alive, pids)), 10)
