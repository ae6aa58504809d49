# SPDX-License-Identifier: GPL-3.0-or-later
"""Small programs to be benchmarked, as parameters of the workload `command`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# Variables of the playbook netperf with a stand-in for netperf and netserver, which is here.
NETPERF = {"netperf_source": "installed", "netperf_path": str(Path(__file__).parent / "netperf")}

# Listens where it is told and answers each connection with a greeting.
SERVER = """
import socket, sys
with socket.create_server((sys.argv[1], int(sys.argv[2]))) as server:
    print("listening", flush=True)
    while True:
        peer, _ = server.accept()
        peer.sendall(b"hello")
        peer.close()
"""
# Talks to a server once, says what it heard, and stays for a while.
CLIENT = """
import socket, sys, time
with socket.create_connection((sys.argv[1], int(sys.argv[2])), 5) as server:
    print(server.makefile().read(), flush=True)
time.sleep(float(sys.argv[3]))
"""


def pair(
    *,
    python: str = sys.executable,
    server: Sequence[str] | None = None,
    client: Sequence[str] | None = None,
    duration_s: float = 1,
    **more: Any,
) -> dict[str, Any]:
    """Parameters of the workload `command`: a server that listens, clients that stay for `duration_s`."""
    return {
        "server_command": list(server or (python, "-c", SERVER, "${host.bind}", "${host.port.main}")),
        "client_command": list(
            client or (python, "-c", CLIENT, "${servers.address}", "${servers.port.main}", str(duration_s))
        ),
        "duration": f"{duration_s:g}s",
        **more,
    }


def on_client(index: int, script: str, *, others: str = "exec sleep 20") -> list[str]:
    """A client's command: this shell script on the client of this index, another one on all others."""
    return ["/bin/sh", "-c", f'if [ "$0" = {index} ]; then {script}; else {others}; fi', "${host.index}"]
