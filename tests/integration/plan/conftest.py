# SPDX-License-Identifier: GPL-3.0-or-later
"""The example of the page runs on this machine."""

from __future__ import annotations

from netbench_lab.fixtures import lab_of
from netbench_trial.fixtures import local, local_hosts

__all__ = ["lab_of", "local", "local_hosts"]
