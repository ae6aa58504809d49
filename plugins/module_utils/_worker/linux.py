# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The few things of Linux that Python has no function for. Private to this collection.

Sources: prctl(2), proc(5), adjtimex(2).
"""

from __future__ import annotations

import ctypes
import os
import signal
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36

_libc = ctypes.CDLL(None, use_errno=True)


def _prctl(option: int, value: int) -> None:
    if _libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), f"prctl({option})")


def become_subreaper() -> None:
    """Orphaned descendants become children of this process instead of init's, so that none can get away."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent() -> None:
    """The calling process is killed when its parent dies, whatever the parent dies of."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def boot_id() -> str:
    """Names this boot of the host: the monotonic clock and process ids mean nothing in another one."""
    return read_text("/proc/sys/kernel/random/boot_id").strip()


def read_text(path: str) -> str:
    """A small file of /proc or /sys; empty when it is not there (the process has gone, the kernel lacks it)."""
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def stat_fields(pid: int) -> list[str]:
    """The fields of ``/proc/PID/stat`` after the name (so index 0 is field 3, the state); empty when it is gone."""
    return read_text(f"/proc/{pid}/stat").rpartition(")")[2].split()


def start_ticks(pid: int) -> int | None:
    """When a process was made, in clock ticks since boot: with the pid it names a process for good. None when gone."""
    fields = stat_fields(pid)
    return int(fields[19]) if len(fields) > 19 and fields[0] != "Z" else None


def process_name(pid: int) -> str:
    return read_text(f"/proc/{pid}/comm").strip() or "?"


class _Timex(ctypes.Structure):
    _fields_ = [
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("constant", ctypes.c_long),
        ("precision", ctypes.c_long),
        ("tolerance", ctypes.c_long),
        ("rest", ctypes.c_byte * 256),
    ]


_STA_UNSYNC = 0x40
_TIME_ERROR = 5


def clock_discipline() -> dict[str, object]:
    """What the kernel claims about its wall clock (adjtimex, read only)."""
    timex = _Timex()
    state = _libc.adjtimex(ctypes.byref(timex))
    source = read_text("/sys/devices/system/clocksource/clocksource0/current_clocksource").strip()
    if state < 0:
        return {"synchronized": None, "clocksource": source, "problem": os.strerror(ctypes.get_errno())}
    return {
        "synchronized": state != _TIME_ERROR and not timex.status & _STA_UNSYNC,
        "max_error_us": timex.maxerror,
        "est_error_us": timex.esterror,
        "freq_ppm": round(timex.freq / 65536, 3),
        "status": timex.status,
        "clocksource": source,
    }
