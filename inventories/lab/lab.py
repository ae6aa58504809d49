#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Inventory script: the hosts of the lab that is up (`make lab`); NETBENCH_LAB names another than `default`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

name = os.environ.get("NETBENCH_LAB") or "default"
made = Path(__file__).resolve().parents[2] / ".lab" / name / "inventory.json"
if not made.exists():
    sys.exit(f"There is no lab {name!r}: make one with `make lab HOSTS=8` or `python3 tests/lab/lab.py --name {name} up`.")
print(made.read_text())
