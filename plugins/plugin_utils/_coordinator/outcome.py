# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a run ended. Private to this collection."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .collect import Collected


@dataclass
class Outcome:
    """``verdict``: ok, partial (samples are missing), failed, aborted, paused."""

    verdict: str = "failed"
    reason: str | None = None
    samples: list[dict[str, Any]] = field(default_factory=list)  # the record's lines
    collected: list[Collected] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)  # hosts that the run went on without, and why
    resumed: bool = False
    interrupted: bool = False  # by a signal: ansible-playbook is gone, or going
