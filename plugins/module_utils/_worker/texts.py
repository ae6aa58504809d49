# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Status and journal in a person's words. Private to this collection."""

from __future__ import annotations

import time
from typing import Any

from .members import printable


def status(answer: dict[str, Any]) -> str:
    """Two or three lines for the person on the host."""
    answer = {
        key: printable(each).replace("\n", " ") if isinstance(each, str) else each for key, each in answer.items()
    }
    lines = ["worker {instance} (pid {pid}, version {version})".format(**answer)]
    if answer["run_id"] is None:
        lines.append("idle: no run is loaded")
    else:
        doing = (
            "sample {sample} is {state} ({phase})".format(**answer) if answer["sample"] is not None else "no sample yet"
        )
        lines.append("run {}: {}, since {:.1f} s".format(answer["run_id"], doing, answer["since_s"]))
        if answer["reason"]:
            lines.append("because " + answer["reason"])
        for each in answer.get("processes", []):
            lines.append(printable("{name} (pid {pid}) runs".format(**each)).replace("\n", " "))
        if answer.get("lease_left_s") is not None:
            lines.append("its lease ends in {:.0f} s".format(answer["lease_left_s"]))
    lines.append(
        "coordinator {} is attached".format(answer["coordinator"])
        if answer["coordinator"]
        else "no coordinator is attached"
    )
    return "\n".join(lines)


def record(entry: dict[str, Any]) -> str:
    """One line: the time, the event and its fields."""
    wall_ns = entry.get("wall_ns", 0)
    stamp = time.strftime("%H:%M:%S", time.gmtime(wall_ns / 1e9)) + f".{wall_ns // 1000 % 1_000_000:06d}"
    rest = {
        name: value
        for name, value in entry.items()
        if name not in ("event", "mono_ns", "wall_ns") and value is not None
    }
    words = ("{} {}".format(entry["event"], entry.get("process", ""))).strip()
    if entry["event"] == "status":
        words = "sample {} is {} ({})".format(rest.pop("sample", "?"), rest.pop("state", "?"), rest.pop("phase", "?"))
        rest.pop("attempt", None)
        rest.pop("exited", None)
    if entry["event"] == "report":
        words = "told: {}".format(" ".join(str(rest.pop(name, "")) for name in ("kind", "state")))
        rest.pop("facts", None)
    details = " ".join(f"{name}={value}" for name, value in rest.items())
    return printable(f"{stamp}  {words}  {details}".rstrip()).replace("\n", " ")
