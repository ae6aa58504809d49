# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Channels to workers that are there, and say nothing. A small program stands for the worker's."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._coordinator import fleet as fleets
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._coordinator.endpoint import Endpoint
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._coordinator.fleet import Fleet

PLAN = b"{}"
SHA256 = hashlib.sha256(PLAN).hexdigest()
BOUND_S = 20.0
# Answers everything, but no `clock` as long as the file `deaf` is there, which the second attaching removes.
WORKER = """
import json, os, sys, time
here = os.path.dirname(__file__)
if sys.argv[1] == "accept-plan":
    print(json.dumps({"plan_sha256": "SHA256"}))
    sys.exit()
if os.path.exists(here + "/met") and os.path.exists(here + "/deaf"):
    os.unlink(here + "/deaf")
open(here + "/met", "w").close()
status = {"run_id": "r", "plan_sha256": "SHA256", "sample": -1, "attempt": 0, "state": "idle", "phase": "ended"}
for line in sys.stdin:
    asked = json.loads(line)
    with open(here + "/asked", "a") as file:
        file.write(asked["type"] + " ")
    if asked["type"] == "clock" and os.path.exists(here + "/deaf"):
        continue
    now = time.monotonic_ns()
    answer = {"type": "reply", "id": asked["id"], "status": status, "received_ns": now, "sent_ns": now, "wall_ns": 1}
    print(json.dumps(answer), flush=True)
"""


@pytest.fixture
def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the worker's program. What takes seconds on real hosts takes less here."""
    (tmp_path / "worker.pyz").write_text(WORKER.replace("SHA256", SHA256))
    monkeypatch.setattr(fleets, "SILENT_S", 0.4)
    monkeypatch.setattr(fleets.surveys, "ANSWER_S", 0.8)
    monkeypatch.setattr(fleets, "LOOK_S", 0.05)
    return tmp_path


@contextlib.asynccontextmanager
async def attached(worker: Path, heard: list[tuple[str, str]]) -> AsyncIterator[Fleet]:
    fleet = Fleet(
        run_id="r",
        coordinator="c",
        endpoints={"h": Endpoint("h", "127.0.0.1", (), sys.executable, str(worker / "worker.pyz"), ())},
        plans={"h": (SHA256, PLAN)},
        lease_s=5.0,
        on_event=lambda host, kind, _message: heard.append((host, kind)),
        may_take_over=lambda _run_id: False,
    )
    try:
        async with asyncio.timeout(BOUND_S):
            await fleet.open()
            yield fleet
    finally:
        await fleet.close(finish=False)


async def until_attached(heard: list[tuple[str, str]]) -> None:
    while ("h", "attached") not in heard:
        await asyncio.sleep(0.02)


def questions(worker: Path) -> int:
    return (worker / "asked").read_text().split().count("clock")


def test_who_does_not_answer_is_reached_anew(worker: Path) -> None:
    heard: list[tuple[str, str]] = []

    async def run() -> None:
        async with attached(worker, heard) as fleet:
            (worker / "deaf").touch()
            watch = asyncio.create_task(fleet.watch(lambda: ["h"]))
            await until_attached(heard)
            watch.cancel()

    asyncio.run(run())
    assert heard == [("h", "lost"), ("h", "attached")]


def test_nobody_is_asked_in_the_silence_nor_who_is_not_waited_for(worker: Path) -> None:
    async def run() -> tuple[int, int | None]:
        async with attached(worker, []) as fleet:
            awaited: list[str] = []
            watch = asyncio.create_task(fleet.watch(lambda: awaited))
            await asyncio.sleep(1.0)
            fleet.keep_silence(None)
            awaited.append("h")
            await asyncio.sleep(1.0)
            asked_before, spoke_ns = questions(worker), fleet.spoke_ns
            fleet.break_silence()
            broken_s = time.monotonic()
            while not questions(worker):
                await asyncio.sleep(0.02)
            watch.cancel()
            assert time.monotonic() - broken_s > 0.35, "hosts have just come out of a window: they get their time"
            assert fleet.spoke_ns is not None
            return asked_before, spoke_ns

    assert asyncio.run(run()) == (0, None)


def test_a_deadline_asks_at_once(worker: Path) -> None:
    heard: list[tuple[str, str]] = []

    async def run() -> tuple[bool, bool, bool]:
        async with attached(worker, heard) as fleet:
            fresh = fleet.in_doubt(["h"])
            (worker / "deaf").touch()
            await asyncio.sleep(0.5)
            asking = fleet.in_doubt(["h"])
            await until_attached(heard)
            await fleet.whole()
            await asyncio.sleep(0)
            return fresh, asking, fleet.in_doubt(["h"])

    assert asyncio.run(run()) == (False, True, False)


def test_a_survey_waits_for_a_host_that_it_has_found_cut_off(worker: Path) -> None:
    heard: list[tuple[str, str]] = []

    async def run() -> set[str]:
        async with attached(worker, heard) as fleet:
            (worker / "deaf").touch()
            return set(await fleet.survey(["h"]))

    assert asyncio.run(run()) == {"h"}
    assert heard == [("h", "lost"), ("h", "attached")]


def test_a_host_that_was_cut_off_is_told_that_the_run_is_over(worker: Path) -> None:
    async def run() -> None:
        async with attached(worker, []) as fleet:
            fleet._closing = True  # nobody takes the channel up again
            fleet._channels["h"].give_up("cut off")
            assert fleet.unreachable() == {"h"}
            await fleet.close(finish=True)

    asyncio.run(run())
    assert (worker / "asked").read_text().split()[-1] == "finish"
