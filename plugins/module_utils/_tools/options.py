# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options that modules about tools have in common (their documents: doc_fragments/tools.py). Private."""

from __future__ import annotations

from typing import Any

SOURCE_OPTIONS: dict[str, Any] = {
    "source": {
        "type": "dict",
        "options": {
            "kind": {"required": True, "choices": ["prebuilt", "crates", "git", "path"]},
            "path": {},
            "url": {"no_log": True},
            "sha256": {},
            "version": {},
            "ref": {},
        },
    },
    "packages": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "name": {"required": True},
            "tools": {"type": "list", "elements": "str", "required": True},
            "programs": {"type": "list", "elements": "str", "default": []},
        },
    },
    "build_timeout_s": {"type": "int", "default": 3600},
}
