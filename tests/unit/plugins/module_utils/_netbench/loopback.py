# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plays scenarios on loopback inside one loop: all clients and servers of a scenario in this process."""

from __future__ import annotations

import contextlib
import io
import json
from dataclasses import dataclass
from time import monotonic_ns

from ansible_collections.netbench.orchestrator.plugins.module_utils._netbench import scenario
from ansible_collections.netbench.orchestrator.plugins.module_utils._netbench.client import Client, server_addresses
from ansible_collections.netbench.orchestrator.plugins.module_utils._netbench.loop import Loop
from ansible_collections.netbench.orchestrator.plugins.module_utils._netbench.server import Server, listen
from ansible_collections.netbench.orchestrator.plugins.module_utils._netbench.stream import Counters
from ansible_collections.netbench.orchestrator.plugins.module_utils._netbench.tracing import Tracer


@dataclass
class Played:
    """What came of it: payload counters by host, traces of all hosts, failed connections of the servers."""

    clients: list[Counters]
    servers: list[Counters]
    stdout: str
    histograms: dict
    failed_connections: int
    elapsed_s: float


def play(document, *, kinds=(), deadline_s=20):
    """Play all hosts to the end of all connections; raises what a client raises."""
    read = scenario.parse(json.dumps(document))
    out = io.StringIO()
    tracer = Tracer(kinds, read.traces, False, out, out)
    with contextlib.ExitStack() as stack:
        loop = stack.enter_context(Loop())
        counters = {
            "client": [Counters() for _unused in read.clients],
            "server": [Counters() for _unused in read.servers],
        }
        environ, servers = {}, []
        for number, server in enumerate(read.servers):
            sock = stack.enter_context(listen("127.0.0.1", 0))
            environ[f"SERVER_{number}"] = f"127.0.0.1:{sock.getsockname()[1]}"
            servers.append(Server(loop, server, sock, counters["server"][number], tracer))
            loop.spawn(servers[-1].run())
        addresses = server_addresses(len(servers), environ)
        clients = [
            Client(loop, client, addresses, counters["client"][number], tracer, local_ip=None, connect_timeout_s=1)
            for number, client in enumerate(read.clients)
        ]

        def main():
            yield from loop.together([client.run() for client in clients])
            while any(server.open_connections for server in servers):
                yield (None, monotonic_ns() + 1_000_000)

        def watchdog():
            yield (None, monotonic_ns() + deadline_s * 1_000_000_000)
            raise TimeoutError(f"the scenario has not ended within {deadline_s} s")

        start_ns = monotonic_ns()
        task = loop.spawn(watchdog(), background=True)
        loop.run(until_error(loop, main(), task))
        return Played(
            clients=counters["client"],
            servers=counters["server"],
            stdout=out.getvalue(),
            histograms=tracer.histograms,
            failed_connections=sum(server.failed_connections for server in servers),
            elapsed_s=(monotonic_ns() - start_ns) / 1e9,
        )


def until_error(loop, main, watchdog):
    """``main``, unless the watchdog ends first."""
    task = loop.spawn(main, finished=watchdog.finished)
    yield (watchdog.finished, None)
    loop.cancel(watchdog)
    loop.cancel(task)
    for ended in (task, watchdog):
        if ended.error is not None:
            raise ended.error
