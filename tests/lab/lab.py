# SPDX-License-Identifier: GPL-3.0-or-later
"""Make, look at and remove the lab: `python3 tests/lab/lab.py up --hosts 8`. See docs/own-hosts.md."""

from __future__ import annotations

import sys

from netbench_lab.cli import main

if __name__ == "__main__":
    sys.exit(main())
