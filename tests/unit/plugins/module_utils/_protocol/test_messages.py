# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages: every one that is documented is understood, and no other."""

from __future__ import annotations

import json
import re

import pytest
from ansible_collections.netbench.orchestrator.plugins.module_utils._protocol import messages
from ansible_collections.netbench.orchestrator.plugins.module_utils._protocol.frames import FrameError
from hypothesis import given
from hypothesis import strategies as st

REQUESTS = [
    {"type": "hello", "id": 1, "protocol": 1, "coordinator": "c-1", "run_id": "r"},
    {"type": "clock", "id": 2},
    {"type": "load", "id": 3, "run_id": "r", "plan_sha256": "0" * 64, "lease_s": 30},
    {"type": "enter", "sample": 0, "attempt": 1, "state": "ready", "lease_s": 30},
    {"type": "enter", "sample": 0, "attempt": 1, "state": "running", "at_ns": 5, "lease_s": 30.5},
    {"type": "stop", "reason": "Ctrl-C"},
    {"type": "finish", "id": 4, "run_id": "r"},
]


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda request: request["type"])
def test_a_documented_request_is_understood(request_):
    checked = messages.parse_request(request_)
    assert request_.items() <= checked.items()
    assert re.search(rf"^ +{request_['type']} +{{", messages.__doc__, re.M)


@given(st.sampled_from(REQUESTS), st.data())
def test_a_request_with_anything_missing_or_added_or_changed_is_refused_or_right(request, data):
    broken = json.loads(json.dumps(request))
    key = data.draw(st.sampled_from(sorted(broken)))
    how = data.draw(st.sampled_from(["drop", "add", "change"]))
    if how == "drop":
        del broken[key]
    elif how == "add":
        broken[data.draw(st.text(min_size=1, max_size=5))] = 1
    else:
        broken[key] = data.draw(st.none() | st.integers() | st.text(max_size=5) | st.lists(st.integers(), max_size=2))
    try:
        assert messages.parse_request(broken)["type"] == broken["type"]
    except FrameError:
        assert broken != request


@pytest.mark.parametrize("name", ["../x", "", "a/b", "x" * 101, ".x", "a\n"])
def test_a_run_id_is_never_a_path(name):
    with pytest.raises(FrameError):
        messages.parse_request({**REQUESTS[0], "run_id": name})


def test_facts_and_reports_are_checked_too():
    report = {"type": "report", "kind": "ended", "sample": 0, "attempt": 1, "state": "failed", "sent_ns": 5}
    assert messages.parse_worker_message({**report, "facts": {}})["facts"]["processes"] == []
    for wrong in ({"kind": "lied"}, {"facts": {"folder": "../.."}}, {"facts": {"seal_sha256": "x"}}, {"sent_ns": -1}):
        with pytest.raises(FrameError):
            messages.parse_worker_message({**report, **wrong})
