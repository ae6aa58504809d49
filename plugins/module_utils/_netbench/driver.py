# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The driver as a whole: loads, waits at its gate, plays, and leaves its statistics. Private to the collection."""

from __future__ import annotations

import contextlib
import resource
import signal
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TextIO

from . import gate
from .client import Address, Client, server_addresses
from .errors import NetbenchError, UsageError
from .loop import Loop
from .scenario import Scenario, check, parse
from .server import Server, listen
from .stream import Counters
from .strict_json import MAX_TEXT_BYTES
from .tracing import Statistics, Tracer

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@dataclass(frozen=True)
class Settings:
    role: str
    index: int
    scenario_path: str
    port: int
    local_ip: str | None
    traces: tuple[str, ...]
    verbose: bool
    trace_file: str | None
    statistics: str | None
    interval_ms: int
    connect_timeout_s: float


def run(chosen: Settings, environ: Mapping[str, str]) -> signal.Signals | None:
    """Play the scenario. Returns the signal that stopped it, None if it ended by itself."""
    scenario = _scenario(chosen)
    addresses = server_addresses(len(scenario.servers), environ) if chosen.role == "client" else []
    _allow_many_descriptors()
    gate.wait(environ)
    counters = Counters()
    with contextlib.ExitStack() as stack:
        loop = stack.enter_context(Loop())
        out, err = stack.enter_context(_trace_files(chosen.trace_file))
        tracer = Tracer(chosen.traces, scenario.traces, chosen.verbose, out, err)
        host = _host(chosen, scenario, addresses, loop, counters, tracer)
        loop.stop_at_signals(*STOP_SIGNALS)
        statistics = None
        if chosen.statistics is not None:
            file = stack.enter_context(_create(chosen.statistics))
            statistics = Statistics(file, chosen.role, chosen.index, counters)
            loop.spawn(statistics.ticks(chosen.interval_ms), background=True)
        if tracer.throughput:
            loop.spawn(tracer.report_throughput(counters), background=True)
        error: str | None = "the driver failed unexpectedly"
        try:
            loop.run(host.run())
            error = None
            if loop.signal is not None and chosen.role == "client":  # a server has no other end
                error = f"stopped by {loop.signal.name}"
        except NetbenchError as failure:
            error = str(failure)
            raise
        finally:
            if statistics is not None:
                statistics.end(tracer.histograms, error, **host.tally())
    return loop.signal


def _host(
    chosen: Settings, scenario: Scenario, addresses: list[Address], loop: Loop, counters: Counters, tracer: Tracer
) -> Client | Server:
    if chosen.role == "server":
        sock = listen(chosen.local_ip, chosen.port)
        return Server(loop, scenario.servers[chosen.index], sock, counters, tracer)
    return Client(
        loop,
        scenario.clients[chosen.index],
        addresses,
        counters,
        tracer,
        local_ip=chosen.local_ip,
        connect_timeout_s=chosen.connect_timeout_s,
    )


def _scenario(chosen: Settings) -> Scenario:
    try:
        with open(chosen.scenario_path, "rb") as file:
            scenario = parse(file.read(MAX_TEXT_BYTES + 1))
        check(scenario, driver="pynetbench")
    except OSError as error:
        raise UsageError(f"cannot read the scenario {chosen.scenario_path}: {error.strerror}") from error
    except NetbenchError as error:
        raise UsageError(f"{chosen.scenario_path}: {error}") from error
    count = len(scenario.servers if chosen.role == "server" else scenario.clients)
    if chosen.index >= count:
        raise UsageError(
            f"{chosen.role.upper()}_ID={chosen.index}, but the scenario has {count} {chosen.role}(s), from 0"
        )
    return scenario


@contextlib.contextmanager
def _trace_files(path: str | None) -> Iterator[tuple[TextIO, TextIO]]:
    if path is None:
        yield sys.stdout, sys.stderr
        return
    with _create(path) as file:
        yield file, file


@contextlib.contextmanager
def _create(path: str) -> Iterator[TextIO]:
    try:
        file = open(path, "w", encoding="utf-8")  # noqa: SIM115 - closed below
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error
    try:
        yield file
    finally:
        with contextlib.suppress(OSError):  # each line was flushed, so a failure was told when it happened
            file.close()


def _allow_many_descriptors() -> None:
    """Raise the soft limit of open files to the hard one, for scenarios with many connections."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
