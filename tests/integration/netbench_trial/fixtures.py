# SPDX-License-Identifier: GPL-3.0-or-later
"""pytest: trials. A folder's conftest.py imports what it wants and names it in `__all__`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from netbench_lab.fixtures import LabOf

from .lab import LabTrial, lab_trial
from .tools import ToolsTrial
from .trial import LocalTrial, local_trial


@pytest.fixture(scope="session")
def local_hosts() -> Iterator[LocalTrial]:
    """Two servers and two clients on this machine, prepared once."""
    with local_trial() as trial:
        trial.prepare()
        yield trial


@pytest.fixture
def local(local_hosts: LocalTrial) -> Iterator[LocalTrial]:
    """The same, for one test: whole before it, checked to be clean after it."""
    local_hosts.make_whole()
    yield local_hosts
    local_hosts.check_clean()


@pytest.fixture(scope="session")
def lab_hosts(lab_of: LabOf) -> Iterator[LabTrial]:
    """Three servers and three clients of a lab, prepared once."""
    with lab_trial(lab_of(servers=3, clients=3)) as trial:
        trial.prepare()
        yield trial


@pytest.fixture
def on_lab(lab_hosts: LabTrial, lab_of: LabOf) -> Iterator[LabTrial]:
    """The same, for one test: whole before it, checked to be clean after it."""
    lab_of(servers=3, clients=3)  # repairs it
    lab_hosts.make_whole()
    yield lab_hosts
    lab_hosts.check_clean()


@pytest.fixture(scope="session")
def tool_hosts(lab_of: LabOf) -> Iterator[ToolsTrial]:
    """Three servers and four clients of a lab with netperf and iperf3, prepared once."""
    with lab_trial(lab_of(servers=3, clients=4), ToolsTrial) as trial:
        if why := trial.why_not():
            pytest.skip(why)
        trial.install()
        yield trial


@pytest.fixture
def on_tools(tool_hosts: ToolsTrial) -> Iterator[ToolsTrial]:
    """The same, for one test, checked to be clean after it."""
    yield tool_hosts
    tool_hosts.check_clean()
