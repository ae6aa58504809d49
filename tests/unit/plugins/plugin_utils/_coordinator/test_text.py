# SPDX-License-Identifier: GPL-3.0-or-later
"""Words of hosts, and lines for terminals."""

from __future__ import annotations

import pytest
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._coordinator.text import (
    fitted,
    last_words,
    one_line,
)
from hypothesis import given
from hypothesis import strategies as st


@given(st.text(max_size=300))
def test_what_a_host_says_is_one_line_that_no_terminal_obeys(text: str) -> None:
    said = one_line(text)
    assert "\n" not in said
    assert all(letter == "�" or letter.isprintable() or letter.isspace() for letter in said)


def test_last_words_of_ssh_end_their_lines_as_terminals_do() -> None:
    assert last_words(b"ssh: connect: refused\r\nbye\r\n") == ": ssh: connect: refused / bye"


WORDS = st.lists(st.text("abc:'/", min_size=1, max_size=30), max_size=40).map(" ".join)


@given(WORDS, st.integers(60, 200), st.integers(0, 40))
def test_a_text_fits_the_terminal_and_keeps_its_words(text: str, columns: int, first: int) -> None:
    lines = fitted(text, columns, first=first).split("\n")
    assert " ".join(" ".join(lines).split()) == " ".join(text.split())
    assert first + len(lines[0]) < columns or len(lines[0].split()) < 2
    assert all(len(line) < columns for line in lines[1:])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("run r failed: client2 is gone", "run r failed: client2\n  is gone"),
        ("2 hosts cannot:\n  a: refused because of it", "2 hosts cannot:\n  a: refused because of\n    it"),
        ("", ""),
    ],
)
def test_what_goes_on_is_indented(text: str, said: str) -> None:
    assert fitted(text, 24) == said
