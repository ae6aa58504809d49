# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Command line of pynetbench: ``pynetbench {client|server} [SCENARIO]``. Private to the collection.

Arguments and environment are those of the original tcp driver; ours in addition:

- ``LOCAL_IP``: also the server listens there; a client connects from there.
- ``CONNECT_TIMEOUT_S`` [10]: how long a client tries to reach a server.
- ``STATISTICS``: file for the statistics, ``INTERVAL_MS`` [100] their interval; see `tracing`.
- ``TRACE_FILE``: traces go to this file.
- ``NETBENCH_GATE``: wait there before the start; see `gate`.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import sys
from collections.abc import Mapping

from .driver import Settings, run
from .errors import NetbenchError, UsageError

TRACES = ("disabled", "throughput", "stdio")


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


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:], os.environ))
