# SPDX-License-Identifier: GPL-3.0-or-later
"""`make tools`: what the real netperf and iperf3 do on lab hosts, at greater length than `make test` has time for."""

from __future__ import annotations

from netbench_lab.fixtures import lab_of
from netbench_trial.fixtures import on_tools, tool_hosts

__all__ = ["lab_of", "on_tools", "tool_hosts"]
