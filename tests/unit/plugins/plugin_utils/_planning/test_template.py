# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Placeholders: strict, typed, never resolved twice."""

from __future__ import annotations

import pytest
from ansible_collections.netbench.orchestrator.plugins.module_utils._protocol.schema import SchemaError
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._planning import template
from hypothesis import given
from hypothesis import strategies as st

VALUES = {"a": 1, "b": 2.5, "c": True, "d": ["x", "y"], "e": None, "host.address": "10.0.0.1", "f": "${a}"}


@pytest.mark.parametrize(
    ("text", "rendered"),
    [
        ("plain", "plain"),
        ("${a}", 1),
        ("${ a }", 1),
        ("${d}", ["x", "y"]),
        ("${e}", None),
        ("-${a}-${b}-${c}-${d}-${e}-", "-1-2.5-true-x,y--"),
        ("${host.address}:80", "10.0.0.1:80"),
        ("$${a}", "${a}"),
        ("$HOME $ $$ $$$$", "$HOME $ $ $$"),
        ("cost: $5", "cost: $5"),
        ("{{ a }}", "{{ a }}"),
        ("${f}", "${a}"),
        ("<${f}>", "<${a}>"),
        (7, 7),
    ],
)
def test_render(text, rendered):
    assert template.render(text, VALUES) == rendered


@pytest.mark.parametrize(
    ("value", "text"),
    [(10.0, "10"), (0.5, "0.5"), (1e20, "1e+20"), (False, "false"), (None, ""), ([1, True], "1,true")],
)
def test_values_inside_of_text(value, text):
    assert template.as_text(value) == text


def test_words_of_a_command():
    assert template.render_words(["run", "${d}", "${e}", "-n${a}", "${c}"], VALUES) == ["run", "x", "y", "-n1", "true"]


def test_unknown_placeholder_suggests(refused):
    path, problem = refused(template.render, "${host.adress}", VALUES, ("workload", "command", 0))
    assert path == ("workload", "command", 0)
    assert problem.startswith("unknown placeholder ${host.adress}. Did you mean 'host.address'?")
    assert "$${host.adress}" in problem


def test_unclosed_placeholder(refused):
    assert "never closed" in refused(template.render, "a ${b", VALUES)[1]


@given(st.text())
def test_escaped_text_survives(text):
    assert template.render(text.replace("$", "$$"), {}) == text


@given(st.lists(st.sampled_from(["${a}", "$$", "$", "{", "}", "x", "${", "${no}"])))
def test_render_never_surprises(parts):
    try:
        rendered = template.render("".join(parts), {"a": "A"})
    except SchemaError:
        return
    assert isinstance(rendered, str)
    assert "${a}" not in rendered or "$$" in "".join(parts)
