# SPDX-License-Identifier: GPL-3.0-or-later
"""The small incast that is broken again and again: every phase of it takes long enough to be hit."""

from __future__ import annotations

from typing import Any

PYTHON = "/usr/bin/python3"
OUTPUT_BYTES = 2 << 20

SERVER = """
import signal, socket, sys, time
def end(*given):
    time.sleep(0.15)
    sys.exit(0)
signal.signal(signal.SIGTERM, {term})
{first}
with socket.create_server((sys.argv[1], int(sys.argv[2]))) as server:
    while True:
        peer, address = server.accept()
        peer.sendall(b"hello")
        peer.close()
"""
CLIENT = """
import os, signal, socket, sys, time
began = time.monotonic()
{first}
with socket.create_connection((sys.argv[1], int(sys.argv[2])), 5) as server:
    print(server.makefile().read(), flush=True)
with open("data.bin", "wb") as file:
    file.write(os.urandom({size}))
time.sleep(max(0.0, began + float(sys.argv[3]) - time.monotonic()))
"""
# Leaves session, process group and parent behind, and stays.
ESCAPE = """
import os
if os.fork() == 0:
    os.setsid()
    if os.fork():
        os._exit(0)
    import time
    time.sleep(600)
"""


def workload(window_s: float, *, deaf: bool = False, escaping: bool = False) -> dict[str, Any]:
    """An incast whose clients take `window_s`. `deaf`: its programs ignore SIGTERM; `escaping`: each leaves a
    process behind that has left its group.
    """
    first = ESCAPE if escaping else ""
    server = SERVER.format(term="signal.SIG_IGN" if deaf else "end", first=first)
    client = CLIENT.format(
        first=first + ("signal.signal(signal.SIGTERM, signal.SIG_IGN)" if deaf else ""), size=OUTPUT_BYTES
    )
    before = [{"command": ["/bin/sleep", "0.15"], "undo": ["/bin/true"]}]
    return {
        "name": "breakable",
        "expected_duration": f"{window_s:g}s",
        "groups": {
            "servers": {
                "ports": {"main": {"number": 4433}},
                "processes": {"server": {"command": [PYTHON, "-c", server, "${host.bind}", "${host.port.main}"]}},
                "prepare": before,
                "states": {
                    "ready": {"deadline": "5s"},
                    "running": {"reached": {"rule": "listening"}, "deadline": "5s"},
                    "done": {"deadline": "5s"},
                },
                "stop": {"rule": "signal", "signal": "KILL" if deaf else "TERM", "grace": "1s"},
            },
            "clients": {
                "processes": {
                    "client": {
                        "command": [PYTHON, "-c", client, "${servers.address}", "${servers.port.main}", f"{window_s:g}"]
                    }
                },
                "prepare": before,
                "states": {
                    "ready": {"deadline": "5s"},
                    "running": {"entry": "at_t0", "reached": {"rule": "started"}, "deadline": "5s"},
                    "done": {"deadline": f"{window_s + 5:g}s"},
                },
                "stop": {"rule": "exit", "grace": "1s"},
                "outputs": ["data.bin"],
            },
        },
    }
