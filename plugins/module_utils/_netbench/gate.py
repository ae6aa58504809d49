# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A gate that the program itself waits at, when everything is loaded. Private to the collection.

A worker holds processes at a gate of its own until T0 and then executes them. A program in Python is not ready then: to
start from the worker's archive and to read a scenario was measured as 0.17 s of processor time, which differs between
hosts. So the worker may leave its two pipes to the program, as ``NETBENCH_GATE=<read descriptor>,<write descriptor>``,
and execute it at once. The words are those of the worker's own gate::

    program -> worker   b"H"      all is prepared
    worker -> program   8 bytes   the start instant on the monotonic clock, in ns, native byte order; 0 is now
    program -> worker   8 bytes   the instant at which it really started, and then end of file
"""

from __future__ import annotations

import gc
import os
import struct
import time
from collections.abc import Mapping

from .errors import DriverError, UsageError

SPIN_NS = 200_000
_INSTANT = struct.Struct("=q")


def wait(environ: Mapping[str, str]) -> None:
    """Wait until the start that the worker announces; returns at once where there is no gate."""
    text = environ.get("NETBENCH_GATE")
    if text is None:
        return
    read, comma, write = text.partition(",")
    if not (comma and read.isascii() and read.isdigit() and write.isascii() and write.isdigit()):
        raise UsageError(f"NETBENCH_GATE={text!r} is not two descriptors, such as 3,4")
    gc.collect()
    gc.freeze()  # what was loaded stays; no collection has to look at it in the window
    _wait(int(read), int(write))


def _wait(read: int, write: int) -> None:
    try:
        os.write(write, b"H")
        asked = os.read(read, _INSTANT.size)
        if len(asked) != _INSTANT.size:
            raise DriverError("the worker closed the gate before the start")
        (at_ns,) = _INSTANT.unpack(asked)
        os.write(write, _INSTANT.pack(_sleep_until(at_ns)))
    except OSError as error:
        raise UsageError(f"NETBENCH_GATE={read},{write}: {error.strerror}") from error
    finally:
        for descriptor in (read, write):
            try:
                os.close(descriptor)
            except OSError:
                continue  # it never was one, which the message says


def _sleep_until(at_ns: int) -> int:
    """Sleep, spin the last stretch, and return the instant at which it ended."""
    now_ns = time.monotonic_ns()
    while at_ns - now_ns > SPIN_NS:
        time.sleep((at_ns - now_ns - SPIN_NS) / 1e9)
        now_ns = time.monotonic_ns()
    while now_ns < at_ns:
        now_ns = time.monotonic_ns()
    return now_ns
