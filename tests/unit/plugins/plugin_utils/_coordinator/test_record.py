# SPDX-License-Identifier: GPL-3.0-or-later
"""Which runs are there to be taken up, by the end of their records alone."""

from __future__ import annotations

from pathlib import Path

import pytest
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
