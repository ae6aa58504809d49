# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A worker for each test, with directories of its own; a process that outlives its test fails it."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import tempfile
from pathlib import Path

import pytest

from .driving import Worker, left_behind

NUMBERS = itertools.count()


@pytest.fixture
def short_path():
    """A folder whose path leaves room for a socket's name."""
    folder = Path(tempfile.mkdtemp(prefix="nbw"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def idle_worker(short_path):
    """A worker that is not started yet."""
    worker = Worker(short_path)
    yield worker
    worker.end()
    orphans = list(left_behind(short_path))
    for pid in orphans:
        os.kill(pid, signal.SIGKILL)
    assert not orphans


@pytest.fixture(scope="module")
def lasting_worker():
    """One worker for all tests of a module, where none of them hurts it."""
    folder = Path(tempfile.mkdtemp(prefix="nbw"))
    worker = Worker(folder).start()
    yield worker
    worker.end()
    shutil.rmtree(folder)


@pytest.fixture
def lent_worker(lasting_worker):
    """The lasting worker with a run for this test."""
    lasting_worker.run_id = f"run{next(NUMBERS)}"
    yield lasting_worker
    lasting_worker.leave()


@pytest.fixture
def worker(idle_worker):
    return idle_worker.start()
