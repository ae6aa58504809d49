# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a host joins a run: its worker gets the plan, and greets the coordinator. Private to this collection."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ...module_utils._protocol.frames import PROTOCOL
from . import remote
from .channel import OPEN_S, Channel, OnLost, OnReport
from .endpoint import Endpoint
from .errors import ChannelError, HostError, Refused

PLAN_S = 30.0

Greeting = dict[str, Any]  # a reply to hello


@dataclass(frozen=True)
class Joining:
    """What is the same for every host of a run, and each host's ``plans``: sha256 and the encoded plan."""

    run_id: str
    coordinator: str
    plans: Mapping[str, tuple[str, bytes]]
    lease_s: float
    may_take_over: Callable[[str], bool]  # a run that the worker is held by

    async def deliver(self, endpoint: Endpoint) -> None:
        """Raises HostError when the worker does not confirm that it has the plan."""
        sha256, encoded = self.plans[endpoint.host]
        answer = await remote.run(endpoint, "accept-plan", given=encoded, timeout_s=PLAN_S)
        accepted = confirmed(endpoint.host, answer)
        if accepted != sha256:
            raise HostError(endpoint.host, f"stored a plan with hash {accepted[:16]!r}, expected {sha256[:16]!r}")

    async def attach(self, endpoint: Endpoint, on_report: OnReport, on_lost: OnLost) -> tuple[Channel, Greeting]:
        """A channel to a worker that has loaded the plan. Raises ChannelError."""
        channel = await Channel.open(endpoint, on_report, on_lost)
        try:
            greeting = await self.greet(channel)
            sha256 = self.plans[endpoint.host][0]
            if (greeting["status"] or {}).get("plan_sha256") != sha256:
                await channel.request("load", run_id=self.run_id, plan_sha256=sha256, lease_s=self.lease_s)
        except (ChannelError, asyncio.CancelledError):
            await channel.close()
            raise
        return channel, greeting

    async def greet(self, channel: Channel) -> Greeting:
        hello: dict[str, Any] = {"protocol": PROTOCOL, "coordinator": self.coordinator, "run_id": self.run_id}
        try:
            return await channel.request("hello", **hello, timeout_s=OPEN_S)
        except Refused as no:
            held_by = (no.answer["status"] or {}).get("run_id")
            if held_by and self.may_take_over(held_by):
                return await channel.request("hello", **hello, takeover=True)
            raise


def confirmed(host: str, answer: bytes) -> str:
    """The hash of the plan that a host says it has stored. Raises HostError."""
    try:
        accepted = json.loads(answer)["plan_sha256"]
    except (ValueError, KeyError, TypeError, RecursionError) as problem:
        raise HostError(host, f"did not confirm the plan: {answer[:80]!r}") from problem
    return str(accepted)
