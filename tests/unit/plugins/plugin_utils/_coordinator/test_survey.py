# SPDX-License-Identifier: GPL-3.0-or-later

"""Surveys of many clocks: all of them, a few at a time, and fresh enough to be used again."""

from __future__ import annotations

import asyncio
from collections import deque
from types import SimpleNamespace

import pytest
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._coordinator import surveys
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._coordinator.clock import Exchange
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._coordinator.errors import ChannelError

RTT_NS = 300_000


class Line:
    """A channel that answers clock requests in the next round of the loop, and notes how many are on their way."""

    def __init__(self, host: str, bench: SimpleNamespace, *, offset_ns: int = 0, silent: bool = False) -> None:
        self.host, self.bench, self.offset_ns, self.silent = host, bench, offset_ns, silent
        self.exchanges: deque[Exchange] = deque([self._exchange(0)], maxlen=16)
        self.asked = 0

    def _exchange(self, at_ns: int) -> Exchange:
        there_ns = at_ns + RTT_NS // 2 + self.offset_ns
        return Exchange(at_ns, there_ns, there_ns, at_ns + RTT_NS)

    async def request(self, kind: str, *, timeout_s: float) -> dict[str, object]:
        self.asked += 1
        if self.silent:
            raise ChannelError(self.host, "no answer")
        self.bench.asking += 1
        self.bench.most = max(self.bench.most, self.bench.asking)
        await asyncio.sleep(0)
        self.bench.asking -= 1
        self.exchanges.append(self._exchange(self.asked * RTT_NS))
        return {}


def survey(lines: dict[str, Line], silent: list[str] | None = None):
    async def on_silent(line: Line, problem: ChannelError) -> None:
        (silent if silent is not None else []).append(line.host)

    return asyncio.run(surveys.survey_all(lines, lines, on_silent))


@pytest.mark.parametrize(("hosts", "pings"), [(1, 6), (64, 6), (65, 4), (300, 4)])
def test_every_host_is_asked_but_few_at_a_time(hosts, pings):
    bench = SimpleNamespace(asking=0, most=0)
    lines = {f"h{i}": Line(f"h{i}", bench, offset_ns=i * 1_000_000) for i in range(hosts)}
    bounds = survey(lines)
    assert {line.asked for line in lines.values()} == {pings}
    assert bench.most == min(hosts, 2 + RTT_NS // surveys.EXCHANGE_NS)
    assert all(bounds[f"h{i}"].low_ns <= i * 1_000_000 <= bounds[f"h{i}"].high_ns for i in range(hosts))


def test_a_host_that_does_not_answer_is_left_out_and_holds_nobody_up():
    bench = SimpleNamespace(asking=0, most=0)
    lines = {f"h{i}": Line(f"h{i}", bench, silent=i == 1) for i in range(3)}
    silent: list[str] = []
    assert set(survey(lines, silent)) == {"h0", "h2"}
    assert silent == ["h1"]


def test_nobody_can_make_a_survey_empty_by_telling_impossible_times():
    bench = SimpleNamespace(asking=0, most=0)
    lines = {f"h{i}": Line(f"h{i}", bench) for i in range(3)}
    lines["h1"].exchanges.append(Exchange(0, 0, 1 << 62, 1))
    assert set(survey(lines)) == {"h0", "h1", "h2"}
