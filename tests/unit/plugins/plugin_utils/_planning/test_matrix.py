# SPDX-License-Identifier: GPL-3.0-or-later
"""Rounds never share a host, every pair is measured once, and there are as few rounds as can be."""

from __future__ import annotations

import itertools
import random
import time

import pytest
from ansible_collections.netbench.orchestrator.plugins.module_utils._protocol.schema import SchemaError
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._planning import matrix
from hypothesis import given, settings
from hypothesis import strategies as st


def named(prefix: str, number: int) -> list[str]:
    return [f"{prefix}{each}" for each in range(number)]


def planned(clients: int, servers: int, both: int, *, mode: str = "isolated", seed: int = 1) -> matrix.Matrix:
    return of(named("c", clients) + named("b", both), named("s", servers) + named("b", both), mode=mode, seed=seed)


def of(clients: list[str], servers: list[str], *, mode: str = "isolated", seed: int = 1) -> matrix.Matrix:
    return matrix.plan({"clients": clients, "servers": servers}, mode=mode, seed=seed)


def rounds_of(found: matrix.Matrix) -> list[tuple[matrix.Pair, ...]]:
    return [each.pairs for each in found.rounds]


def check_rounds(pairs: list[matrix.Pair], rounds) -> None:
    for each in rounds:
        hosts = [host for pair in each for host in pair]
        assert len(hosts) == len(set(hosts)), f"a host is in two pairs of {each}"
    assert sorted(pair for each in rounds for pair in each) == sorted(pairs)


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 2**32))
def test_clients_and_servers_need_the_larger_number_of_rounds(clients, servers, seed):
    found = planned(clients, servers, 0, seed=seed)
    check_rounds(list(itertools.product(named("c", clients), named("s", servers))), rounds_of(found))
    assert len(found.rounds) == found.least == max(clients, servers)


@settings(max_examples=40)
@given(st.integers(0, 5), st.integers(0, 5), st.integers(2, 8), st.integers(0, 2**32))
def test_hosts_that_are_both_need_one_round_more_at_most(clients, servers, both, seed):
    found = planned(clients, servers, both, seed=seed)
    expected = [
        (one, other)
        for one in named("c", clients) + named("b", both)
        for other in named("s", servers) + named("b", both)
        if one != other
    ]
    check_rounds(expected, rounds_of(found))
    assert found.least <= len(found.rounds) <= found.least + 1


@given(st.sets(st.tuples(st.integers(0, 7), st.integers(0, 7)), min_size=1), st.integers(0, 99))
def test_any_pairs_of_clients_and_servers_need_as_many_rounds_as_the_busiest_host_has(edges, seed):
    pairs = [(f"c{one}", f"s{other}") for one, other in sorted(edges)]
    rounds = matrix.colour(pairs, random.Random(seed))
    check_rounds(pairs, rounds)
    busiest = max(sum(host in pair for pair in pairs) for host in {host for pair in pairs for host in pair})
    assert len(rounds) == busiest  # König


@given(st.sets(st.tuples(st.integers(0, 6), st.integers(0, 6)).filter(lambda e: e[0] != e[1]), min_size=1))
def test_any_pairs_at_all_share_no_host_in_a_round(edges):
    pairs = [(f"h{one}", f"h{other}") for one, other in sorted(edges)]
    rounds = matrix.colour(pairs, random.Random(1))
    check_rounds(pairs, rounds)
    assert len(rounds) <= matrix.lower_bound(pairs) + 2


def test_the_lower_bound_is_the_optimum_where_it_is_known():
    assert planned(0, 0, 4).least == 6  # six matches of two, twice: 3 rounds, twice
    assert planned(0, 0, 5).least == 10  # one of five sits out each round
    assert planned(4, 3, 0).least == 4
    assert len(planned(0, 0, 4).rounds) == 6


def test_the_members_of_a_round_stand_in_the_order_of_their_pairs():
    for each in planned(4, 3, 2).rounds:
        assert tuple(zip(each.groups["clients"], each.groups["servers"], strict=True)) == each.pairs


def test_sequential_and_together():
    assert [len(each.pairs) for each in planned(2, 3, 0, mode="sequential").rounds] == [1] * 6
    found = planned(2, 3, 0, mode="together")
    assert len(found.rounds) == 1
    assert len(found.pairs) == 6


@pytest.mark.parametrize("mode", matrix.MODES)
def test_the_seed_decides_the_order(mode):
    assert planned(4, 3, 2, mode=mode) == planned(4, 3, 2, mode=mode)
    if mode != "together":
        assert len({tuple(rounds_of(planned(4, 3, 2, mode=mode, seed=seed))) for seed in range(5)}) > 1


def test_a_hundred_clients_and_ten_servers_take_less_than_a_second():
    began = time.process_time()
    assert len(planned(100, 10, 0).rounds) == 100
    assert time.process_time() - began < 1.0


def test_a_host_cannot_measure_itself():
    with pytest.raises(SchemaError, match="a would be client and server of the same pair, and there is no other"):
        of(["a"], ["a"])
    assert of(["a", "b"], ["a"]).pairs == [("b", "a")]
    with pytest.raises(SchemaError, match="there is no pair of two hosts"):
        of([], ["a"])
    with pytest.raises(SchemaError, match="the host a is there twice"):
        of(["a", "a"], ["b"])
