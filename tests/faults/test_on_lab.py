# SPDX-License-Identifier: GPL-3.0-or-later
"""A share of `make faults` on real hosts: one seed, faults that have taught something. All of them: `make faults`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from netbench_faults.engine import Engine
from netbench_faults.faults import FAULTS
from netbench_faults.phases import PHASES
from netbench_lab.fixtures import LabOf
from netbench_trial.lab import lab_trial

SEED = 4
SHARE = (
    ("worker killed", "ready"),
    ("worker killed", "seal"),
    ("everything killed, same command again", "window"),
)


@pytest.fixture(scope="module")
def engine(lab_of: LabOf) -> Iterator[Engine]:
    """Two servers and two clients, and how long their phases take when nothing is broken."""
    with lab_trial(lab_of(servers=2, clients=2)) as trial:
        trial.prepare()
        engine = Engine(trial, SEED)
        engine.calibrate()
        yield engine
        assert not (last := engine.works_again()).missed, last


@pytest.mark.parametrize(("fault", "phase"), SHARE)
def test_a_broken_run_keeps_what_is_promised(engine: Engine, fault: str, phase: str) -> None:
    case = engine.inject(FAULTS[fault], PHASES[phase], 0)
    print(case)
    assert not case.missed, f"{case}\n{case.output}"
