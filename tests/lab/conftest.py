# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's own tests."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
pytest_plugins = ["netbench_lab.fixtures"]
