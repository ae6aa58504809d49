# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Suites: their checks, their points, and the order of their samples."""

from __future__ import annotations

import itertools

import pytest
from ansible_collections.netbench.orchestrator.plugins.module_utils._protocol.schema import SchemaError
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._planning import suite as suites
from hypothesis import given
from hypothesis import strategies as st

COUNTS = {"points": st.integers(1, 30), "repeats": st.integers(1, 12), "seed": st.integers(0, 2**53)}


@given(**COUNTS, interleaved=st.booleans())
def test_every_point_and_repeat_once(points, repeats, seed, interleaved):
    samples = suites.order(
        points=points, repeats=repeats, seed=seed, how="interleaved" if interleaved else "sequential"
    )
    pairs = [(sample.point, sample.repeat) for sample in samples]
    assert sorted(pairs) == sorted(itertools.product(range(points), range(1, repeats + 1)))
    assert [sample.sample for sample in samples] == list(range(points * repeats))


@given(**COUNTS)
def test_interleaved_blocks_are_permutations(points, repeats, seed):
    samples = suites.order(points=points, repeats=repeats, seed=seed, how="interleaved")
    for block in range(repeats):
        part = samples[block * points : (block + 1) * points]
        assert {sample.repeat for sample in part} == {block + 1}
        assert {sample.point for sample in part} == set(range(points))


@given(**COUNTS)
def test_a_seed_reproduces(points, repeats, seed):
    first, second = (suites.order(points=points, repeats=repeats, seed=seed, how="interleaved") for _time in range(2))
    assert first == second


def test_seeds_differ():
    orders = {suites.order(points=10, repeats=3, seed=seed, how="interleaved") for seed in range(20)}
    assert len(orders) == 20


def test_sequential_is_point_by_point():
    samples = suites.order(points=2, repeats=3, seed=5, how="sequential")
    assert [(sample.point, sample.repeat) for sample in samples] == [(0, 1), (0, 2), (0, 3), (1, 1), (1, 2), (1, 3)]


def test_points_of_a_grid():
    suite = suites.check({"name": "s", "parameters": {"port": 1}, "grid": {"a": [1, 2], "b": ["x", "y"]}})
    points = [{name: value for name, (value, _given) in point.items()} for point in suites.points(suite)]
    assert points == [{"port": 1, "a": a, "b": b} for a in (1, 2) for b in ("x", "y")]
    last = list(suites.points(suite))[-1]
    assert last["b"][1] == ("suite", "grid", "b", 1)
    assert last["port"][1] == ("suite", "parameters", "port")


def test_whole_numbers_may_be_text_as_extra_variables_are():
    suite = suites.check({"name": "s", "repeats": "3", "seed": "7", "retry_budget": "0"})
    assert (suite["repeats"], suite["seed"], suite["retry_budget"]) == (3, 7, 0)
    with pytest.raises(SchemaError, match="expected a whole number, got text"):
        suites.check({"name": "s", "repeats": "3.5"})


def test_defaults():
    suite = suites.check({"name": "s"})
    assert (suite["repeats"], suite["seed"], suite["order"], suite["on_host_failure"]) == (1, 1, "interleaved", "abort")


@pytest.mark.parametrize(
    ("document", "path", "problem"),
    [
        ({}, ("suite", "name"), "is missing."),
        ({"name": "a b"}, ("suite", "name"), "expected letters"),
        ({"name": "s", "repeat": 3}, ("suite", "repeat"), "Did you mean 'repeats'?"),
        ({"name": "s", "repeats": 0}, ("suite", "repeats"), "expected at least 1"),
        ({"name": "s", "grid": {"a": []}}, ("suite", "grid", "a"), "expected 1 to"),
        ({"name": "s", "grid": {"a": 1}}, ("suite", "grid", "a"), "expected a list, got a number."),
        ({"name": "s", "grid": {"a": [1]}, "parameters": {"a": 1}}, ("suite", "grid", "a"), "under 'parameters' too"),
        ({"name": "s", "max_start_skew": "10 parsecs"}, ("suite", "max_start_skew"), "is no duration"),
        ({"name": "s", "on_host_failure": "ignore"}, ("suite", "on_host_failure"), "is not known here"),
        ({"name": "s", "repeats": 60_000, "grid": {"a": [1, 2]}}, ("suite", "grid"), "over the limit"),
        ([], ("suite",), "expected a mapping, got a list."),
    ],
)
def test_refused(refused, document, path, problem):
    found_path, found_problem = refused(suites.check, document)
    assert found_path == path
    assert problem in found_problem
