# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The worker's own append-only record of a run: one JSON object per line. Private to this collection.

The journal, not the connection, is the truth: what is in it (``sync``) is on the disk before anything is done about
it, so a restarted worker knows what had been begun. Records carry ``event``, ``mono_ns``, ``wall_ns`` and the event's
own fields:

``open`` the run was loaded (plan, boot, worker) · ``status`` of the state machine · ``held`` processes with pid and
start time · ``prepare`` and ``undo`` commands · ``report`` what the coordinator was told · ``exited`` a process ·
``finish`` the run is over.

A last record that was cut off by a crash is left out when reading, and closed off when writing goes on.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .storage import open_regular, sync_folder

LINE_LIMIT_BYTES = 1 << 20


class Journal:
    """Appends. A write that fails raises OSError, and the next one that succeeds starts on a line of its own."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        self._handle = os.open(path, flags, 0o600)
        size = os.fstat(self._handle).st_size
        self._cut_off = size > 0 and os.pread(self._handle, 1, size - 1) != b"\n"
        sync_folder(path.parent)

    def write(self, event: str, *, sync: bool = False, **fields: Any) -> None:
        """One record; ``sync`` when what is about to be done must be known after a crash."""
        record = {"event": event, "mono_ns": time.monotonic_ns(), "wall_ns": time.time_ns(), **fields}
        line = (b"\n" if self._cut_off else b"") + json.dumps(record, separators=(",", ":")).encode("ascii") + b"\n"
        self._cut_off = True
        if os.write(self._handle, line) != len(line):
            raise OSError(28, os.strerror(28), "journal")  # a short write to a file: the disk is full
        self._cut_off = False
        if sync:
            os.fdatasync(self._handle)

    def close(self) -> None:
        os.close(self._handle)


def read(path: Path) -> list[dict[str, Any]]:
    """Every whole record, in order. Empty when there is no file."""
    return list(records(path))


def records(path: Path) -> Iterator[dict[str, Any]]:
    """The same one after the other, so that a long journal takes no memory; without lines that a crash cut off."""
    try:
        handle = open_regular(path)
    except FileNotFoundError:
        return
    with os.fdopen(handle, "rb") as stream:
        whole = True  # the line that begins here has no beginning elsewhere
        while line := stream.readline(LINE_LIMIT_BYTES):
            ends = len(line) < LINE_LIMIT_BYTES or line.endswith(b"\n")
            record = _record(line) if whole and ends else None
            if record:
                yield record
            whole = ends


def _record(line: bytes) -> dict[str, Any] | None:
    try:
        record = json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) and isinstance(record.get("event"), str) else None
