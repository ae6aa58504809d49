# SPDX-License-Identifier: GPL-3.0-or-later
"""One lab of six hosts for all tests of a session."""

from __future__ import annotations

from netbench_lab.fixtures import lab_of
from netbench_trial.fixtures import lab_hosts, on_lab, on_tools, tool_hosts

__all__ = ["lab_hosts", "lab_of", "on_lab", "on_tools", "tool_hosts"]
