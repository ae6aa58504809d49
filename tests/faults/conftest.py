# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts to be broken: on this machine, and in a lab."""

from __future__ import annotations

from netbench_lab.fixtures import lab_of
from netbench_trial.fixtures import lab_hosts, local, local_hosts, on_lab

__all__ = ["lab_hosts", "lab_of", "local", "local_hosts", "on_lab"]
