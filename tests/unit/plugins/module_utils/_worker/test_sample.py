# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is cleared away while something else of the same sample is still being done."""

from __future__ import annotations

import asyncio
import signal

import pytest
from ansible_collections.netbench.orchestrator.plugins.module_utils._protocol import machine, plan
from ansible_collections.netbench.orchestrator.plugins.module_utils._worker.descendants import Reaper
from ansible_collections.netbench.orchestrator.plugins.module_utils._worker.sample import Sample

from .driving import point, process

STEP = {"command": ["/bin/true"], "undo": ["/bin/sh", "-c", "echo undone >> notes"]}


@pytest.fixture
def planned():
    document = {
        "schema": 1,
        "run_id": "r",
        "suite": "suite",
        "host": "here",
        "group": "clients",
        "index": 0,
        "points": [point(process(), prepare=[STEP, STEP])],
        "samples": [0],
        "inputs": {},
    }
    return plan.parse(plan.encode(document)).points[0]


def cleared(planned, folder, spoil=lambda sample: None):
    """A sample is being finished, and to be cleared away at the instant at which its first undo command has ended."""

    async def run():
        loop = asyncio.get_running_loop()
        reaper, events, records = Reaper(), asyncio.Queue(), []
        sample = Sample(
            point=planned,
            inputs={},
            folder=folder,
            reaper=reaper,
            emit=events.put_nowait,
            record=lambda event, **fields: records.append((event, fields)),
            control=lambda: None,
        )
        sample.restore([], [0, 1])
        spoil(sample)

        def ended():
            reaper.reap()
            if not any(event == "undo" for event, _fields in records):
                sample.perform(machine.Clear())

        loop.add_signal_handler(signal.SIGCHLD, ended)
        try:
            sample.perform(machine.Finish())
            while not isinstance(await asyncio.wait_for(events.get(), 10), machine.Cleared):
                pass
        finally:
            loop.remove_signal_handler(signal.SIGCHLD)
        return records

    return asyncio.run(run())


def test_what_was_being_finished_is_over_before_it_is_cleared_away(planned, tmp_path):
    records = cleared(planned, tmp_path)
    assert [event for event, _fields in records] == ["undo", "undo"]
    assert (tmp_path / "notes").read_text().count("undone\n") in (2, 3)  # once more what nobody knows to have ended
    assert (tmp_path / "seal.json").exists()


def test_the_end_is_told_whatever_goes_wrong_on_the_way(planned, tmp_path, monkeypatch):
    async def broken():
        raise IndexError("pop from empty list")

    records = cleared(planned, tmp_path, lambda sample: monkeypatch.setattr(sample, "_seal_outputs", broken))
    assert "IndexError: pop from empty list" in "".join(f["text"] for event, f in records if event == "problem")
