# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Command line of pynetbench: ``pynetbench {client|server} [SCENARIO]``. Private to the collection.

Arguments and environment are those of the original tcp driver; ours in addition:

- ``LOCAL_IP``: also the server listens there; a client connects from there.
- ``CONNECT_TIMEOUT_S`` [10]: how long a client tries to reach a server.
- ``STATISTICS``: file for the statistics, ``INTERVAL_MS`` [100] their interval; see `tracing`.
- ``TRACE_FILE``: traces go to this file.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import resource
import signal
import socket
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TextIO

from .client import Client, server_addresses
from .errors import NetbenchError, UsageError
from .loop import Loop
from .scenario import Scenario, check, parse
from .server import Server, listen
from .stream import Counters
from .strict_json import MAX_TEXT_BYTES
from .tracing import Statistics, Tracer

TRACES = ("disabled", "throughput", "stdio")
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


def main(argv: list[str], environ: Mapping[str, str]) -> int:
    """Run the driver; ``argv`` without the program's name. Returns the exit status.

    A driver stopped by a signal writes its statistics and then ends by that very signal, as the original does.
    """
    try:
        stopped_by = run(settings(argv, environ), environ)
    except NetbenchError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    if stopped_by is not None:
        signal.signal(stopped_by, signal.SIG_DFL)
        os.kill(os.getpid(), stopped_by)
    return 0


def settings(argv: list[str], environ: Mapping[str, str]) -> Settings:
    """Arguments first, then environment, then defaults."""
    parser = argparse.ArgumentParser(
        prog="pynetbench", description="Plays a netbench scenario over TCP.", allow_abbrev=False
    )
    parser.add_argument("role", choices=("client", "server"))
    parser.add_argument("scenario", nargs="?", default=environ.get("SCENARIO"), help="JSON file [SCENARIO]")
    parser.add_argument(
        "-p", "--port", default=environ.get("PORT", "4433"), help="server: port to listen on [PORT, 4433]"
    )
    parser.add_argument(
        "--server-id", default=environ.get("SERVER_ID", "0"), help="server: which of the scenario's [SERVER_ID, 0]"
    )
    parser.add_argument(
        "--client-id", default=environ.get("CLIENT_ID", "0"), help="client: which of the scenario's [CLIENT_ID, 0]"
    )
    parser.add_argument(
        "-i", "-l", "--ip", "--local-ip", default=environ.get("LOCAL_IP"), help="own address [LOCAL_IP, ::]"
    )
    parser.add_argument("--trace", action="append", choices=TRACES, help="[TRACE, throughput]")
    parser.add_argument("-V", "--verbose", action="store_true", help="names instead of numbers in stdio traces")
    arguments = parser.parse_args(argv)
    if arguments.scenario is None:
        raise UsageError("no scenario; give its file as argument, or in SCENARIO")
    traces = tuple(arguments.trace or [environ.get("TRACE", "throughput")])
    unknown = [trace for trace in traces if trace not in TRACES]
    if unknown:
        raise UsageError(f"TRACE={unknown[0]!r} is not one of {', '.join(TRACES)}")
    if environ.get("MULTIPLEX", "false") != "false":
        raise UsageError("pynetbench does not multiplex; unset MULTIPLEX, or use the driver tcp")
    which = "server_id" if arguments.role == "server" else "client_id"
    return Settings(
        role=arguments.role,
        index=_number(which.upper(), getattr(arguments, which), 0, 10**6),
        scenario_path=arguments.scenario,
        port=_number("PORT", arguments.port, 0, 65535),
        local_ip=_local_ip(arguments.ip),
        traces=() if "disabled" in traces else traces,
        verbose=arguments.verbose,
        trace_file=environ.get("TRACE_FILE"),
        statistics=environ.get("STATISTICS"),
        interval_ms=_number("INTERVAL_MS", environ.get("INTERVAL_MS", "100"), 1, 10**9),
        connect_timeout_s=_number("CONNECT_TIMEOUT_S", environ.get("CONNECT_TIMEOUT_S", "10"), 0, 10**6),
    )


def _number(name: str, text: str, minimum: int, maximum: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20 and minimum <= int(text) <= maximum):
        raise UsageError(f"{name}={text!r} is not a whole number from {minimum} to {maximum}")
    return int(text)


def _local_ip(text: str | None) -> str | None:
    """The address to bind, None for any."""
    if text is None:
        return None
    try:
        socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text)
    except OSError:
        raise UsageError(f"LOCAL_IP={text!r} is not an IP address") from None
    return None if text == "::" else text


def run(chosen: Settings, environ: Mapping[str, str]) -> signal.Signals | None:
    """Play the scenario. Returns the signal that stopped it, None if it ended by itself."""
    scenario = _scenario(chosen)
    _allow_many_descriptors()
    counters = Counters()
    with contextlib.ExitStack() as stack:
        loop = stack.enter_context(Loop())
        out, err = stack.enter_context(_trace_files(chosen.trace_file))
        tracer = Tracer(chosen.traces, scenario.traces, chosen.verbose, out, err)
        server = client = None
        if chosen.role == "server":
            server = Server(
                loop, scenario.servers[chosen.index], listen(chosen.local_ip, chosen.port), counters, tracer
            )
        else:
            addresses = server_addresses(len(scenario.servers), environ)
            client = Client(
                loop,
                scenario.clients[chosen.index],
                addresses,
                counters,
                tracer,
                local_ip=chosen.local_ip,
                connect_timeout_s=chosen.connect_timeout_s,
            )
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
            loop.run((server or client).run())  # type: ignore[union-attr]
            stopped = chosen.role == "client" and loop.signal is not None
            error = f"stopped by {loop.signal.name}" if stopped and loop.signal else None
        except NetbenchError as failure:
            error = str(failure)
            raise
        finally:
            if statistics is not None:
                more = (
                    {"connections": server.connections, "failed_connections": server.failed_connections}
                    if server
                    else {}
                )
                statistics.end(tracer.histograms, error, **more)
    return loop.signal


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


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:], os.environ))
