# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One question of a person or program on this host to the worker. Private to this collection."""

from __future__ import annotations

import json
import socket
import time
from typing import Any

from .errors import NotThere, Refused

_CHUNK_BYTES = 65536
_ANSWER_DEADLINE_S = 30.0
_ANSWER_LIMIT_BYTES = 1 << 20


def ask(sock: socket.socket, verb: str, **fields: Any) -> dict[str, Any]:
    """One question of a person or program on this host. Raises NotThere, Refused."""
    deadline_s = time.monotonic() + _ANSWER_DEADLINE_S
    try:
        sock.sendall(json.dumps({"type": "local", "verb": verb, **fields}).encode("ascii") + b"\n")
        data = b""
        while not data.endswith(b"\n"):
            sock.settimeout(max(0.001, deadline_s - time.monotonic()))
            more = sock.recv(_CHUNK_BYTES)
            if not more:
                raise NotThere("the worker hung up before it answered.")
            data += more
            if len(data) > _ANSWER_LIMIT_BYTES:
                raise NotThere("the worker says more than it can have to say.")
    except OSError as problem:
        raise NotThere(f"the worker did not answer: {problem}") from problem
    try:
        answer: dict[str, Any] = json.loads(data)
        if not isinstance(answer, dict):
            raise ValueError
    except (ValueError, RecursionError):
        raise NotThere(f"what answers is no worker: {data[:40]!r}") from None
    if answer.get("refused"):
        raise Refused(str(answer["refused"]))
    return answer
