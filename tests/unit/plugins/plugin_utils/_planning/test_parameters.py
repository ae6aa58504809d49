# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Parameters: typed, with units, bounded."""

from __future__ import annotations

import pytest
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._planning import parameters


def declared(**fields):
    record = parameters.PARAMETER({"description": "d", **fields}, ("workload", "parameters", "p"))
    parameters.check_declarations({"p": record}, ("workload", "parameters"))
    return record


@pytest.mark.parametrize(
    ("fields", "given", "value"),
    [
        ({"type": "bytes"}, "10MB", 10_000_000),
        ({"type": "bytes"}, "1KiB", 1024),
        ({"type": "bytes"}, 7, 7),
        ({"type": "rate"}, "2.5Gbps", 2_500_000_000),
        ({"type": "rate"}, "42MB/50ms", 6_720_000_000),
        ({"type": "duration"}, "500ms", 0.5),
        ({"type": "duration"}, 3, 3.0),
        ({"type": "integer"}, 3, 3),
        ({"type": "number"}, 0.25, 0.25),
        ({"type": "text"}, "x", "x"),
        ({"type": "boolean"}, True, True),
        ({"type": "list", "items": "bytes"}, ["1KB", 5], [1000, 5]),
        ({"type": "text", "default": None}, None, None),
    ],
)
def test_value(fields, given, value):
    assert parameters.value(declared(**fields), given, ()) == value


@pytest.mark.parametrize(
    ("fields", "given", "problem"),
    [
        ({"type": "bytes"}, "10 apples", "is no amount of data; write for example"),
        ({"type": "bytes"}, True, "expected bytes, like 10MB, got true or false."),
        ({"type": "rate"}, "10MB", "is no rate; write for example 100Mbps"),
        ({"type": "duration"}, "10 parsecs", "is no duration; write for example 10s"),
        ({"type": "duration"}, ["10s"], "expected a duration, like 10s, got a list."),
        ({"type": "duration"}, -1, "must be 0 or more"),
        ({"type": "integer"}, "three", "expected a whole number, got text."),
        ({"type": "integer", "minimum": 1}, 0, "0 is below the minimum of 1."),
        ({"type": "bytes", "maximum": "1KB"}, "2KB", "2KB is above the maximum of 1KB."),
        ({"type": "boolean"}, "yes", "expected true or false, got text."),
        ({"type": "list"}, "x", "expected a list, got text."),
        ({"type": "text"}, None, "expected text, got nothing."),
    ],
)
def test_wrong_value(refused, fields, given, problem):
    path, found = refused(parameters.value, declared(**fields), given, ("suite", "parameters", "p"))
    assert path == ("suite", "parameters", "p")
    assert problem in found


@pytest.mark.parametrize(
    ("fields", "path", "problem"),
    [
        ({"type": "size"}, ("type",), "is not known here"),
        ({"type": "choice"}, ("choices",), "is missing."),
        ({"type": "text", "minimum": 1}, ("minimum",), "a text has no minimum."),
        ({"type": "bytes", "minimum": "x"}, ("minimum",), "is no amount of data"),
        ({"type": "duration", "default": "soon"}, ("default",), "is no duration"),
        ({"type": "choice", "choices": ["a"], "more_choices": "others"}, ("more_choices",), "no list parameter"),
        ({"type": "text", "defualt": 1}, ("defualt",), "Did you mean 'default'?"),
    ],
)
def test_wrong_declaration(refused, fields, path, problem):
    found_path, found = refused(declared, **fields)
    assert found_path == ("workload", "parameters", "p", *path)
    assert problem in found


def test_all_values():
    known = {
        "driver": declared_choice(),
        "own": declared(type="list", default=[]),
        "size": declared(type="bytes", default="1KB"),
    }
    place = ("suite", "grid", "driver", 1)
    values = parameters.values(known, {"driver": ("mine", place), "own": (["mine"], ())}, ("workload", "parameters"))
    assert values == {"driver": "mine", "own": ["mine"], "size": 1000}


def declared_choice():
    fields = {"type": "choice", "choices": ["tcp", "s2n-quic"], "more_choices": "own", "description": "d"}
    return parameters.PARAMETER(fields, ())


def test_unknown_choice_names_its_place(refused):
    known = {"driver": declared_choice(), "own": declared(type="list", default=[])}
    place = ("suite", "grid", "driver", 1)
    path, problem = refused(parameters.values, known, {"driver": ("s2n-quik", place)}, ())
    assert (path, problem) == (place, "'s2n-quik' is not known here. Did you mean 's2n-quic'?")


def test_missing_and_unknown_parameters(refused):
    known = {"target": declared(type="text")}
    path, problem = refused(parameters.values, known, {}, ("workload", "parameters"))
    assert (path, problem) == (("suite", "parameters", "target"), "is missing. d")
    path, problem = refused(parameters.values, known, {"targt": ("x", ("suite", "parameters", "targt"))}, ())
    assert path == ("suite", "parameters", "targt")
    assert "Did you mean 'target'?" in problem
