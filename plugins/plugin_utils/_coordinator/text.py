# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Words that come from a host, made fit for the operator's screen. Private to this collection."""

from __future__ import annotations

import textwrap
import unicodedata

MESSAGE_COLUMNS = 72  # Ansible shows a message again, as YAML, eight columns further in
ANSIBLE_SAYS = len("[ERROR]: Task failed: Action failed: ")


def clean(text: str, *, limit: int = 4000) -> str:
    """Without control, format and surrogate characters (terminal escapes, bidirectional tricks); newline and tab
    stay.
    """
    kept = "".join(c if c in "\n\t" or unicodedata.category(c)[0] != "C" else "�" for c in text[: limit * 2])
    return kept[:limit]


def one_line(text: str, *, limit: int = 4000) -> str:
    """The same on one line: what a host says never looks like a line of ours."""
    return " ".join(clean(text, limit=limit).split())


def fitted(text: str, columns: int = 80, *, first: int = 0) -> str:
    """The text in lines that fit a terminal, broken between words; ``first``: what stands before it on its line."""
    lines: list[str] = []
    for line in text.split("\n"):
        inner = line[: len(line) - len(line.lstrip())]
        pad = " " * first if not lines else ""
        fit = textwrap.wrap(
            line.strip(), max(columns - 1, 20), initial_indent=pad + inner, subsequent_indent=f"{inner}  ",
            break_long_words=False, break_on_hyphens=False,
        )  # fmt: skip
        lines += [fit[0][len(pad) :], *fit[1:]] if fit else [""]
    return "\n".join(lines)


def last_words(stderr: bytes) -> str:
    """``: `` and the last three lines that a program wrote, fit for a screen; empty when it wrote nothing."""
    lines = clean(stderr.decode("utf-8", "replace").replace("\r\n", "\n")).strip().splitlines()
    return f": {' / '.join(line.strip() for line in lines[-3:])}" if lines else ""
