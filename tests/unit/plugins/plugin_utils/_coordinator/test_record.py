# SPDX-License-Identifier: GPL-3.0-or-later
"""Which runs are there to be taken up, what a damaged record still tells, and what a host may answer to a plan."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._coordinator import joining, remote
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._coordinator.endpoint import Endpoint
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._coordinator.errors import HostError
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._coordinator.record import NAME, Record, unfinished

RUN, BEGIN, END = '{"event":"run"}\n', '{"event":"begin","sample":0,"attempt":1}\n', '{"event":"end"}\n'


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("", False),  # no sample was ever begun
        (RUN, True),
        (RUN + BEGIN, True),
        (RUN + BEGIN[:-9], True),  # killed in the middle of a line
        (RUN + '{"event":"\xff\n', True),
        (RUN + BEGIN + END, False),
        (RUN + '{"event":"pad","text":"' + "x" * (2 << 20) + '"}\n' + END, False),
    ],
)
def test_a_run_without_an_end_was_left(tmp_path: Path, text: str, left: bool) -> None:
    (tmp_path / NAME).write_text(text, encoding="latin-1")
    assert unfinished(tmp_path) is left


def test_what_is_being_walked_was_not_left(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text(RUN, encoding="utf-8")
    record = Record(tmp_path)
    assert not unfinished(tmp_path)
    record.close()
    assert unfinished(tmp_path)
    assert not unfinished(tmp_path / "nowhere")


def test_lines_that_tell_nothing_are_left_out(tmp_path):
    good = {"event": "sample", "sample": 0, "attempt": 1, "verdict": "ok"}
    odd = [
        {**good, "sample": []},
        {**good, "attempt": True},
        {**good, "verdict": None},
        {"event": "sample"},
        {"event": 1},
    ]
    lines = [json.dumps(line).encode() for line in (*odd, good)]
    (tmp_path / NAME).write_bytes(b"\n".join([b"[" * 100_000, b"\xff\xfe", *lines, b'{"event": "sam']))
    known = Record(tmp_path)
    try:
        assert known.past == (good,)
        assert known.verdicts() == {(0, 1): "ok"}
    finally:
        known.close()


@pytest.mark.parametrize("answer", [b"", b"[]", b"{}", b"null", b"\xff", b"[" * 100_000, b"\x1b[2J"])
def test_what_confirms_no_plan_is_refused_in_words(answer):
    with pytest.raises(HostError, match="host1: did not confirm the plan") as caught:
        joining.confirmed("host1", answer)
    assert str(caught.value).isprintable()
    assert joining.confirmed("host1", b'{"plan_sha256": "ab"}') == "ab"


def test_an_answer_without_end_is_not_kept(tmp_path):
    (tmp_path / "endless").write_text("while True: print('x' * 65536)")
    endless = Endpoint("host1", "", (), sys.executable, str(tmp_path / "endless"), ())
    with pytest.raises(HostError, match="sent more than 1048576 bytes"):
        asyncio.run(remote.run(endless, "accept-plan", timeout_s=60))
