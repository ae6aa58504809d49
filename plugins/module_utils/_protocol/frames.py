# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Frames of the channel: one JSON object per line, UTF-8, at most 64 KiB. Private to this collection.

A frame that is over-long, not UTF-8, not JSON or not an object raises :class:`FrameError`; the peer that sent it is not
understood any more and the channel is closed. Nothing is ever evaluated, and memory stays below twice the limit.
"""

from __future__ import annotations

import json
import math
from typing import Any

PROTOCOL = 1
LIMIT_BYTES = 64 * 1024


class FrameError(ValueError):
    """The peer sent something that is not a frame."""


def encode(message: dict[str, Any]) -> bytes:
    """One line of bytes. Raises FrameError when the message is over the limit (a bug at this end)."""
    line = json.dumps(message, separators=(",", ":"), allow_nan=False).encode("ascii") + b"\n"
    if len(line) > LIMIT_BYTES:
        raise FrameError(f"a message of {len(line)} bytes is over the limit of {LIMIT_BYTES}")
    return line


def decode(line: bytes) -> dict[str, Any]:
    """The object of one line (without its newline)."""
    try:
        message = json.loads(line.decode("utf-8"), parse_constant=_refuse_constant, parse_float=_finite)
    except (ValueError, RecursionError) as problem:
        raise FrameError(f"not a frame: {type(problem).__name__}: {line[:40]!r}") from problem
    if not isinstance(message, dict):
        raise FrameError(f"not a frame: expected an object, got {line[:40]!r}")
    return message


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not allowed")


def _finite(digits: str) -> float:
    """``1e999`` is infinity by another name; what is read must be fit to be written again."""
    value = float(digits)
    if not math.isfinite(value):
        _refuse_constant(digits)
    return value


class Decoder:
    """Cuts a stream of bytes into frames."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[dict[str, Any]]:
        """The frames that ``data`` completes, in order."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > LIMIT_BYTES or any(len(line) >= LIMIT_BYTES for line in lines):
            raise FrameError(f"a frame is over the limit of {LIMIT_BYTES} bytes")
        return [decode(line) for line in lines if line]
