# SPDX-License-Identifier: GPL-3.0-or-later
"""What a worker may do to the coordinator through its channel: be let go of, and nothing else."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._coordinator import sample, walk
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._coordinator.channel import Channel
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._coordinator.endpoint import Endpoint
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._coordinator.errors import ChannelError

BOUND_S = 20.0
REPORT = {"type": "report", "kind": "late", "sample": 0, "attempt": 1, "state": "x", "sent_ns": 1}
REPLY = {"type": "reply", "id": 999, "sent_ns": 1}
ANSWER = """
import json, sys
asked = json.loads(sys.stdin.readline())
print(json.dumps({"type": "reply", "id": asked["id"], "sent_ns": 1, **%r}), flush=True)
sys.stdin.read()
"""


def endpoint(folder: Path, text: str) -> Endpoint:
    (folder / "worker.pyz").write_text(text, encoding="utf-8")
    return Endpoint(
        host="h", address="127.0.0.1", ssh=(), python=sys.executable, program=str(folder / "worker.pyz"), options=()
    )


def endless(line: bytes) -> str:
    return f"import os\nwhile True:\n    os.write(1, {line!r} * 500)\n"


def loss(folder: Path, text: str) -> tuple[str, int]:
    """Why the channel to such a worker was lost, and how many of its reports had been taken."""

    async def run() -> tuple[str, int]:
        lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        reports: list[object] = []
        channel = await Channel.open(
            endpoint(folder, text), lambda host, report: reports.append(report), lambda host, why: lost.set_result(why)
        )
        try:
            return await asyncio.wait_for(lost, BOUND_S), len(reports)
        finally:
            await channel.close()

    return asyncio.run(run())


@pytest.mark.parametrize(
    "line", [json.dumps(REPORT).encode() + b"\n", json.dumps(REPLY).encode() + b"\n", b"\n"],
    ids=["reports", "replies", "nothing"],
)  # fmt: skip
def test_a_worker_that_never_stops_talking_is_let_go(tmp_path: Path, line: bytes) -> None:
    why, reports = loss(tmp_path, endless(line))
    assert why == "it sent more than 1048576 bytes that nobody asked for"
    assert reports <= 1048576 // len(line)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"x" * 70000, "over the limit of 65536 bytes"),
        (b'{"type": "report", "kind": "\x1b[2J"}\n', "not a frame: JSONDecodeError"),
        (b'{"type": "\\u001b[2J"}\n', "not a message: "),
        (b'{"type": "reply", "id": 1e999}\n', "not a frame: ValueError"),
        (b'{"type": "reply", "id": 1, "sent_ns": 1, "schema": 9}\n', "schema"),
        (b"[" * 60000 + b"\n", "not a frame: "),
    ],
)
def test_what_is_not_understood_is_said_in_words_fit_for_a_screen(tmp_path: Path, line: bytes, problem: str) -> None:
    why, reports = loss(tmp_path, endless(line))
    assert why.startswith("the worker is not understood: ")
    assert problem in why
    assert why.isprintable()
    assert (reports, len(why) < 4000) == (0, True)


def test_an_answer_that_drips_meets_the_deadline_of_its_question(tmp_path: Path) -> None:
    drip = "import os, time\nwhile True:\n    os.write(1, b'{')\n    time.sleep(0.01)\n"

    async def ask() -> None:
        channel = await Channel.open(endpoint(tmp_path, drip), lambda host, report: None, lambda host, why: None)
        try:
            await asyncio.wait_for(channel.request("clock", timeout_s=0.3), BOUND_S)
        finally:
            await channel.close()

    with pytest.raises(ChannelError, match=r"no answer to 'clock' within 0\.3 s"):
        asyncio.run(ask())


def test_a_refusal_is_one_line_without_escapes(tmp_path: Path) -> None:
    answer = {"refused": "no\nsample 2/2 · ok\x1b[2J\u202e"}

    async def ask() -> None:
        channel = await Channel.open(
            endpoint(tmp_path, ANSWER % answer), lambda host, report: None, lambda host, why: None
        )
        try:
            await asyncio.wait_for(channel.request("clock", timeout_s=BOUND_S), BOUND_S)
        finally:
            await channel.close()

    with pytest.raises(ChannelError) as caught:
        asyncio.run(ask())
    assert str(caught.value) == "h: the worker refused 'clock': no sample 2/2 · ok\ufffd[2J\ufffd"


def test_events_that_never_cease_do_not_hold_off_a_deadline() -> None:
    async def run() -> list[walk.Event]:
        events: asyncio.Queue[walk.Event] = asyncio.Queue()
        for _number in range(2):
            events.put_nowait(walk.Surveyed())
        now = asyncio.get_running_loop().time()
        return [await sample.event_or_late(events, now + left_s) for left_s in (BOUND_S, 0.0, BOUND_S)]

    assert asyncio.run(run()) == [walk.Surveyed(), walk.Late(), walk.Surveyed()]
