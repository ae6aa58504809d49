# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""When a state is reached: the rules of ``plan.REACHED``, observed. Private to this collection.

``listening``, ``line`` and ``probe`` are watched here; ``prepared``, ``started`` and ``stopped`` come from the
processes themselves. A rule is looked at every 2 ms at first and every 20 ms later, always with the state's deadline
around it, and never in the window: a state that is entered at T0 has the rule ``started``.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from .._protocol.plan import Point
from . import descendants, ports
from .errors import SampleError
from .storage import open_regular

_FIRST_WAIT_S, _LAST_WAIT_S = 0.002, 0.020
_READ_BYTES = 1 << 20
_ANSWER_S = 1.5  # for a connection; the coordinator waits a little longer than a deadline
_PEERS_LIMIT = 20


async def _looks() -> AsyncIterator[None]:
    """One item for each look, with growing pauses between."""
    wait_s = _FIRST_WAIT_S
    while True:
        yield
        await asyncio.sleep(wait_s)
        wait_s = min(wait_s * 1.5, _LAST_WAIT_S)


async def listening(planned: list[Mapping[str, Any]]) -> None:
    """Return when every planned port is served by a process of the sample."""
    async for _unused in _looks():
        if not missing_ports(planned):
            return


def missing_ports(planned: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The planned ports at which no process of the sample is seen listening."""
    seen = {protocol: ports.listeners(protocol) for protocol in {port["protocol"] for port in planned}}
    candidates = {each.inode for port in planned for each in ports.serving(port, seen[port["protocol"]])}
    if not candidates:
        return list(planned)
    ours = ports.inodes_of(descendants.all_of(os.getpid()))
    return [
        port for port in planned if not any(each.inode in ours for each in ports.serving(port, seen[port["protocol"]]))
    ]


def check_ports_are_free(point: Point) -> None:
    """Raise SampleError when somebody already listens where this sample will."""
    for state in point.states:
        for port in state.reached.get("ports", ()):
            taken = ports.serving(port, ports.listeners(port["protocol"]))
            if taken:
                raise SampleError(f"{ports.text(port)} is taken by {ports.owner(taken[0].inode)}")


async def line(path: Path, pattern: str) -> None:
    """Return when a line of the file matches; the file may come later, and grow."""
    expression = re.compile(pattern.encode("utf-8"))
    rest, position = b"", 0
    async for _unused in _looks():
        data = _read(path, position)
        position += len(data)
        *lines, rest = (rest + data).split(b"\n")
        if any(expression.search(each) for each in lines) or (rest and expression.search(rest)):
            return
        rest = rest[-_READ_BYTES:]


def _read(path: Path, position: int) -> bytes:
    try:
        handle = open_regular(path)
    except FileNotFoundError:
        return b""
    except OSError as problem:
        raise SampleError(f"{path.name} cannot be read: {problem.strerror}") from problem
    try:
        return os.pread(handle, _READ_BYTES, position)
    finally:
        os.close(handle)


async def unreachable(peers: Sequence[Mapping[str, Any]]) -> list[str]:
    """Which servers (plan.PORT) do not take a connection from here, in words. Looks at all of them at once."""
    places = list(dict.fromkeys((str(peer["address"]), int(peer["port"])) for peer in peers))[:_PEERS_LIMIT]
    found = await asyncio.gather(*(_why_unreachable(*place) for place in places))
    return [each for each in found if each]


async def _why_unreachable(address: str, port: int) -> str | None:
    try:
        _unused, writer = await asyncio.wait_for(asyncio.open_connection(address, port), _ANSWER_S)
    except asyncio.TimeoutError:
        why = "no answer"
    except OSError as problem:
        why = os.strerror(problem.errno) if problem.errno and problem.errno > 0 else str(problem)
    else:
        writer.close()
        return None
    return f"{address}:{port}/tcp cannot be reached from here ({why}): is a firewall in the way?"
