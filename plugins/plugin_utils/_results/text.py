# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Text that came from a host, made fit for an operator's screen. Private to this collection.

A worker may be broken or hostile: what it reports can hold terminal escapes, characters that turn the reading direction
round, or megabytes of anything. Every such text passes :func:`plain` when it is read, once, so that nothing behind it
has to think of it. HTML is another matter and is escaped where it is made.
"""

from __future__ import annotations

import math
import unicodedata
from typing import Any

LIMIT = 2000
_HIDDEN = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))


def plain(text: object, *, limit: int = LIMIT) -> str:
    """``text`` on one line, at most ``limit`` characters, with every character that a terminal might obey spelt out."""
    whole = str(text)
    shown = whole[:limit]
    if not (shown.isascii() and shown.isprintable()):
        shown = "".join(_visible(character) for character in shown)
    return shown if len(whole) <= limit and len(shown) <= limit else shown[: max(limit - 1, 0)] + "…"


def _visible(character: str) -> str:
    if character in "\n\t\r":
        return " "
    if unicodedata.category(character) in _HIDDEN:
        return character.encode("unicode_escape", "surrogatepass").decode("ascii")
    return character


def plain_document(value: Any, *, depth: int = 12) -> Any:
    """JSON data with every text in it made :func:`plain`.

    What is nested deeper than ``depth`` is dropped, and a number that JSON does not have (NaN, infinity) is null.
    """
    if isinstance(value, str):
        return plain(value)
    if isinstance(value, dict):
        return (
            {plain(key, limit=300): plain_document(item, depth=depth - 1) for key, item in value.items()}
            if depth
            else {}
        )
    if isinstance(value, list):
        return [plain_document(item, depth=depth - 1) for item in value] if depth else []
    return None if isinstance(value, float) and not math.isfinite(value) else value
