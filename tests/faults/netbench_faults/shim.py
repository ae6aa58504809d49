# SPDX-License-Identifier: GPL-3.0-or-later
"""Stands where a worker's program is, and hands everything on to it; what the worker says on the channel passes through
here, and is spoilt when a file says so. Placed on a host, run by the host's Python, standard library only.

The file TRIGGER holds how: one of the words of `spoil`. It counts once, and is removed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading

PROGRAM = "/usr/local/lib/netbench-orchestrator/worker.pyz"
TRIGGER = "/run/netbench-shim"


def spoil(line: bytes, how: str) -> bytes:
    """The line, as a broken peer would send it."""
    if how == "garbled":
        return bytes(byte ^ 0x15 for byte in line[:-1]) + b"\n"
    if how == "truncated":
        return line[: len(line) // 2] + b"\n"
    if how == "duplicated":
        return line + line
    if how == "over-long":
        return line[:-1] + b" " * (1 << 20) + b"\n"
    if how == "of another version":  # a later protocol: a type and fields that nobody knows here
        return b'{"type":"tidings","protocol":99,"sent_ns":1}\n'
    raise ValueError(how)


def pass_on() -> None:
    """Join the worker's channel to ours, line by line."""
    child = subprocess.Popen(
        [sys.executable, PROGRAM, *sys.argv[1:]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    )
    assert child.stdin
    assert child.stdout
    to_worker = child.stdin

    def inwards() -> None:
        while data := os.read(0, 65536):
            to_worker.write(data)
        to_worker.close()

    threading.Thread(target=inwards, daemon=True).start()
    source = child.stdout.fileno()
    rest = b""
    while data := os.read(source, 65536):
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            out = line + b"\n"
            if os.path.exists(TRIGGER):
                with open(TRIGGER) as file:
                    how = file.read()
                os.unlink(TRIGGER)
                out = spoil(out, how)
            view = memoryview(out)
            while view:
                view = view[os.write(1, view) :]
    sys.exit(child.wait())


if __name__ == "__main__":
    if sys.argv[1:2] == ["attach"]:
        pass_on()
    os.execv(sys.executable, [sys.executable, PROGRAM, *sys.argv[1:]])
