# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Surveys of the clocks of many hosts, over their channels. Private to this collection."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping

from .channel import Channel
from .clock import Bound, Exchange, survey
from .errors import ChannelError

PINGS, PINGS_OF_MANY, MANY = 6, 4, 64  # round trips of a survey, and those for more than so many hosts
EXCHANGE_NS = 100_000  # what a round trip costs the control node's processor, about
ANSWER_S = 3.0

Channels = Mapping[str, Channel]
OnSilent = Callable[[Channel, ChannelError], Awaitable[None]]


async def survey_all(channels: Channels, hosts: Iterable[str], on_silent: OnSilent) -> dict[str, Bound]:
    """The clock offset of each host that answers, from several round trips; ``on_silent`` is told of the others.

    Only as many hosts are asked at the same time as keep the control node busy: an answer that waits until others have
    been dealt with makes its bound wider.
    """
    waiting = list(hosts)
    pings = PINGS if len(waiting) <= MANY else PINGS_OF_MANY
    at_once = 2 + max(0, _mean_rtt_ns(channels, waiting)) // EXCHANGE_NS
    bounds: dict[str, Bound] = {}

    async def one_after_the_other() -> None:
        while waiting:
            host = waiting.pop()
            if heard := await _ping(channels[host], pings, on_silent):
                bounds[host] = survey(heard)

    await asyncio.gather(*(one_after_the_other() for _unused in range(min(at_once, len(waiting)))))
    return bounds


def slowest_way_ns(channels: Channels, hosts: Iterable[str]) -> int:
    """The slowest of the hosts' latest round trips as they were seen here."""
    recent = (list(channels[host].exchanges)[-PINGS_OF_MANY:] for host in hosts)
    return max((each.back_ns - each.sent_ns for exchanges in recent for each in exchanges), default=0)


async def _ping(channel: Channel, pings: int, on_silent: OnSilent) -> list[Exchange]:
    heard = []
    try:
        for _ping in range(pings):
            await channel.request("clock", timeout_s=ANSWER_S)
            heard += list(channel.exchanges)[-1:]  # a worker that does not tell its time gives none
    except ChannelError as problem:  # fewer round trips are wider bounds, not wrong ones
        await on_silent(channel, problem)
    return heard


def _mean_rtt_ns(channels: Channels, hosts: Iterable[str]) -> int:
    """Of the hosts' recent best round trips."""
    recent = (channels[host].exchanges for host in hosts)
    rtts_ns = [min(each.rtt_ns for each in exchanges) for exchanges in recent if exchanges]
    return sum(rtts_ns) // len(rtts_ns) if rtts_ns else 0
