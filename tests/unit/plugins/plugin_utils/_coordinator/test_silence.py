# SPDX-License-Identifier: GPL-3.0-or-later
"""Which channels are let go before a window."""

from __future__ import annotations

import pytest
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._coordinator.endpoint import Endpoint
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._coordinator.silence import Silence, margin_s


def host(speaks_s: int | None, *, name: str = "h1", ssh: tuple[str, ...] = ("ssh", "h1")) -> Endpoint:
    return Endpoint(name, "192.0.2.1", ssh, "python3", "worker.pyz", (), server_speaks_s=speaks_s)


@pytest.mark.parametrize(
    ("choice", "speaks_s", "expected_s", "let_go"),
    [
        ("auto", 5, 10.0, True),
        ("auto", 5, 3.0, True),  # the lead and the time after the window are silent too
        ("auto", 60, 10.0, False),
        ("auto", 0, 10.0, False),
        ("auto", None, 10.0, False),
        ("auto", 5, None, False),
        ("release", 0, 10.0, True),
        ("release", None, None, False),
        ("keep", 1, 10.0, False),
    ],
)
def test_a_channel_is_let_go_when_its_server_would_speak(
    choice: str, speaks_s: int | None, expected_s: float | None, let_go: bool
) -> None:
    assert Silence(choice).lets_go(host(speaks_s), expected_s) is let_go


def test_without_ssh_there_is_nothing_to_let_go() -> None:
    assert not Silence("release").lets_go(host(1, ssh=()), 10.0)


def test_who_was_heard_is_let_go_from_then_on() -> None:
    silence = Silence()
    endpoints = {name: host(speaks_s, name=name) for name, speaks_s in (("h1", None), ("h2", None), ("h3", 0))}
    line = {
        "hosts": {"h1": {"control_packets": 4}, "h2": {"control_packets": 0}, "h3": {"control_packets": 1}},
    }
    assert silence.listen(line, endpoints) == {"h1": 4}
    assert silence.listen(line, endpoints) == {}, "it is said once"
    assert [name for name, each in endpoints.items() if silence.lets_go(each, 10.0)] == ["h1"]
    assert Silence("keep").listen(line, endpoints) == {}


def test_a_worker_is_given_some_time_to_end() -> None:
    assert 0.25 < margin_s(4) < margin_s(100) < 2
