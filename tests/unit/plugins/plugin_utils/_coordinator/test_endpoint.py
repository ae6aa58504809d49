# SPDX-License-Identifier: GPL-3.0-or-later
"""The password goes to whoever asks for it, once."""

from __future__ import annotations

import io

from ansible_collections.netbench.orchestrator.plugins.plugin_utils._coordinator.endpoint import Become, Prompt

ASKS = b"[sudo via ansible, key=abc] password:"


def become(password: str | None) -> Become:
    return Become(prefix="sudo ", suffix="", success="YES", prompt=ASKS.decode() + " ", password=password)


def test_it_is_given_once_and_a_second_question_ends_the_input() -> None:
    prompt, stdin = Prompt(become("canary")), io.BytesIO()
    assert prompt.answer(b"a lecture ", stdin) == b"a lecture "
    assert stdin.getvalue() == b""
    assert prompt.answer(b"a lecture " + ASKS, stdin) == b""
    assert stdin.getvalue() == b"canary\n"
    assert prompt.answer(b"Sorry, try again. " + ASKS, stdin) == b""
    assert stdin.closed


def test_nothing_is_said_without_a_password() -> None:
    for asked in (None, become(None)):
        stdin = io.BytesIO()
        assert Prompt(asked).answer(ASKS, stdin) == ASKS
        assert stdin.getvalue() == b""
