# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the user says about where tools come from, checked. Private to this collection.

========== ============================================== ==========================================
kind       fields                                         what identifies it
========== ============================================== ==========================================
prebuilt   ``path``, or ``url`` and ``sha256``            the bytes of the chosen tools
crates     ``version``                                    the version
git        ``url``, ``ref``                               the commit that ``ref`` names
path       ``path``                                       the content of the tree
========== ============================================== ==========================================
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from .credentials import Address, address
from .errors import SourceError

FIELDS = {
    "prebuilt": {"path", "url", "sha256", "version"},
    "crates": {"version"},
    "git": {"url", "ref"},
    "path": {"path"},
}
NOWHERE = Address("")


@dataclass(frozen=True)
class Source:
    """A checked source. `location` holds no credentials in what it shows."""

    kind: str
    path: str = ""
    location: Address = NOWHERE
    sha256: str = ""
    version: str = ""
    ref: str = ""

    @property
    def name(self) -> str:
        """What to call it in a message."""
        where = self.path or self.location.url or "the Rust registry"
        return f"{where} {self.ref or self.version}".strip()


def parse(given: Mapping[str, Any]) -> Source:
    """Check a source as the user wrote it; empty values count as not given."""
    fields = {name: str(value) for name, value in given.items() if value not in (None, "")}
    kind = fields.pop("kind", "")
    if kind not in FIELDS:
        raise SourceError(f"source {kind!r}: expected one of {', '.join(FIELDS)}{_suggestion(kind, FIELDS)}")
    for name in fields:
        if name not in FIELDS[kind]:
            allowed = ", ".join(sorted(FIELDS[kind]))
            raise SourceError(f"a {kind} source has no {name!r}: expected {allowed}{_suggestion(name, FIELDS[kind])}")
    _check_presence(kind, fields)
    path = os.path.abspath(os.path.expanduser(fields["path"])) if "path" in fields else ""
    version = fields.get("version", "")
    if kind == "crates" and not re.fullmatch(r"=?\d+\.\d+\.\d+(?:[-+][\w.+-]+)?", version):
        raise SourceError(f"version {version!r}: expected an exact version such as 0.1.0")
    if fields.get("ref", "").startswith("-"):
        raise SourceError(f"ref {fields['ref']!r} is not the name of a commit, tag or branch")
    sha256 = fields.get("sha256", "").lower()
    if sha256 and not re.fullmatch(r"[0-9a-f]{64}", sha256):
        raise SourceError(f"sha256 {sha256!r}: expected 64 hexadecimal digits")
    return Source(kind, path, address(fields.get("url", "")), sha256, version, fields.get("ref", ""))


def _check_presence(kind: str, fields: Mapping[str, str]) -> None:
    if kind == "prebuilt" and ("path" in fields) == ("url" in fields):
        raise SourceError("a prebuilt source needs a path (file, folder or tar archive), or else a url with its sha256")
    if kind == "prebuilt" and "url" in fields and "sha256" not in fields:
        raise SourceError("a prebuilt source from a url needs its sha256, so that what arrives is what was meant")
    needed = {"crates": ("version",), "git": ("url", "ref"), "path": ("path",)}.get(kind, ())
    missing = [name for name in needed if name not in fields]
    if missing:
        raise SourceError(f"a {kind} source needs {' and '.join(missing)}")


def _suggestion(word: str, known: Any) -> str:
    close = get_close_matches(word, list(known), 1)
    return f" (did you mean {close[0]!r}?)" if close else ""
