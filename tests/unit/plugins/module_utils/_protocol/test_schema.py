# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of outside data: right values pass, wrong ones are named with their place and a way out."""

from __future__ import annotations

import contextlib

import pytest
from ansible_collections.netbench.orchestrator.plugins.module_utils._protocol import schema
from ansible_collections.netbench.orchestrator.plugins.module_utils._protocol.schema import Record, SchemaError
from hypothesis import given
from hypothesis import strategies as st

SHAPE = Record(
    name=schema.text(pattern="[a-z]+", expected="lower-case letters"),
    size=(schema.integer(minimum=0, maximum=10), 3),
    parts=(schema.list_of(schema.number(minimum=0), maximum=3), list),
    more=(schema.mapping_of(schema.boolean, maximum=2), dict),
    rule=(schema.optional(schema.variant("kind", a=Record(), b=Record(port=schema.integer()))), None),
)


def test_defaults_are_filled_in_and_are_not_shared():
    one, other = SHAPE({"name": "x"}, ()), SHAPE({"name": "y"}, ())
    assert one == {"name": "x", "size": 3, "parts": [], "more": {}, "rule": None}
    assert one["parts"] is not other["parts"]


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ([], "expected a mapping, got a list."),
        ({}, "name: is missing."),
        ({"name": 1}, "name: expected text, got a number."),
        ({"name": "A"}, "name: expected lower-case letters, got 'A'."),
        ({"name": "x", "sise": 1}, "sise: unknown key 'sise'. Did you mean 'size'?"),
        ({"name": "x", "size": True}, "size: expected a whole number, got true or false."),
        ({"name": "x", "size": 11}, "size: expected at most 10, got 11."),
        ({"name": "x", "size": 10**400}, "size: expected at most 10, got a huge number."),
        ({"name": "x", "parts": [1, -1]}, "parts[1]: expected at least 0, got -1."),
        ({"name": "x", "parts": [float("nan")]}, "parts[0]: expected a finite number."),
        ({"name": "x", "parts": [1] * 4}, "parts: expected 0 to 3 items, got 4."),
        ({"name": "x", "more": {"a": 1}}, "more.a: expected true or false, got a number."),
        ({"name": "x", "rule": {}}, "rule.kind: is missing."),
        ({"name": "x", "rule": {"kind": "c"}}, "rule.kind: 'c' is not known here. Known: a, b."),
        ({"name": "x", "rule": {"kind": "b"}}, "rule.port: is missing."),
    ],
)
def test_a_wrong_value_is_named_with_its_place(value, problem):
    with pytest.raises(SchemaError) as caught:
        SHAPE(value, ())
    assert str(caught.value) == problem


def test_a_number_that_no_float_holds_is_refused():
    with pytest.raises(SchemaError, match="expected a smaller number, got a huge number"):
        schema.number()(10**400, ("x",))


def test_what_is_said_of_a_hostile_value_is_fit_for_a_screen():
    with pytest.raises(SchemaError) as caught:
        SHAPE({"name": "x", "\x1b[2J\u202e": 1}, ())
    assert str(caught.value).isprintable()
    assert str(caught.value).startswith(r"\x1b[2J\u202e: unknown key")
    assert SchemaError((), "one\ntwo \ud800").problem == "one\ntwo \\ud800"


KEYS = st.sampled_from(["name", "size", "parts", "more", "rule", "kind", "port"]) | st.text(max_size=3)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.binary(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["name", "size", "parts", "more", "rule", "kind", "port"]) | st.text(max_size=3), inner
        )
    ),
    max_leaves=12,
)


@given(VALUES)
def test_any_value_passes_whole_or_raises_a_schema_error(value):
    with contextlib.suppress(SchemaError):
        checked = SHAPE(value, ())
        assert SHAPE(checked, ()) == checked


def test_text_without_nul_and_within_its_length():
    for value in ("a\0b", "x" * 11):
        with pytest.raises(SchemaError):
            schema.text(maximum=10)(value, ())


def test_a_message_ends_however_long_what_is_wrong():
    said = str(schema.SchemaError(("a" * 10**5, "b"), f"unknown placeholder {'c' * 10**5}."))
    assert said == f"{'a' * schema.TEXT_LIMIT}…: unknown placeholder {'c' * (schema.TEXT_LIMIT - 20)}…"
    assert len(str(schema.SchemaError((), "\x1b" * schema.TEXT_LIMIT))) == schema.TEXT_LIMIT + 1
