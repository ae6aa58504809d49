# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's own tests."""

from __future__ import annotations

from netbench_lab.fixtures import lab_of

__all__ = ["lab_of"]
