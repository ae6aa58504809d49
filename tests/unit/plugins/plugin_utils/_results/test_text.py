# SPDX-License-Identifier: GPL-3.0-or-later
"""No text from a host may steer the operator's terminal."""

from __future__ import annotations

import unicodedata

from ansible_collections.netbench.orchestrator.plugins.plugin_utils._results.text import plain, plain_document
from hypothesis import given
from hypothesis import strategies as st

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda each: st.lists(each) | st.dictionaries(st.text(), each),
)


def texts(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for key, item in value.items() for text in (key, *texts(item))]
    return [text for item in value for text in texts(item)] if isinstance(value, list) else []


@given(st.text(), st.integers(min_value=1, max_value=50))
def test_nothing_that_a_terminal_obeys_is_left(text: str, limit: int) -> None:
    shown = plain(text, limit=limit)
    assert len(shown) <= limit
    assert not [c for c in shown if unicodedata.category(c)[0] == "C" or c in "\u2028\u2029"]


@given(JSON)
def test_every_text_in_a_document_is_plain(value: object) -> None:
    assert all(plain(text) == text for text in texts(plain_document(value)))


def test_escapes_are_spelt_out_and_ordinary_text_stays() -> None:
    assert plain("\x1b[31mred\u202e") == "\\x1b[31mred\\u202e"
    assert plain("Größe 10 µs – ✓") == "Größe 10 µs – ✓"
    assert plain("two\nlines") == "two lines"
    assert plain("x" * 99, limit=5) == "xxxx…"


def test_what_is_nested_too_deep_is_dropped() -> None:
    deep: list[object] = []
    for _level in range(200):
        deep = [deep]
    assert str(plain_document(deep)).count("[") < 20
