# SPDX-License-Identifier: GPL-3.0-or-later
"""Stands where `ssh` stands in the coordinator's command lines: `stand_in.py SOCKET "exec … attach"`, one a host.

It hands its own stdin and stdout to the process that plays the workers, and waits until that lets go. So the
coordinator has a real child and real pipes for each host, but nothing relays bytes between them: a thousand relays on a
few processors would be measured instead of the coordinator.
"""

from __future__ import annotations

import _socket  # the module socket takes ten times as long to load, a thousand times over
import os
import sys


def main() -> int:
    path, command = sys.argv[1:3]
    sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    sock.connect(path)
    files = (0).to_bytes(4, sys.byteorder) + (1).to_bytes(4, sys.byteorder)
    sock.sendmsg([command.encode()], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, files)])
    os.close(0)
    os.close(1)
    return 0 if sock.recv(1) == b"0" else 1


if __name__ == "__main__":
    sys.exit(main())
