# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the user may say about a source, and what is refused with which words."""

from __future__ import annotations

import pytest
from ansible_collections.netbench.orchestrator.plugins.module_utils._tools.errors import SourceError
from ansible_collections.netbench.orchestrator.plugins.module_utils._tools.source import parse

SHA256 = "a" * 64


@pytest.mark.parametrize(
    "given",
    [
        {"kind": "prebuilt", "path": "/srv/bin"},
        {"kind": "prebuilt", "url": "https://example.org/x.tar.gz", "sha256": SHA256.upper(), "path": ""},
        {"kind": "crates", "version": "0.1.0"},
        {"kind": "git", "url": "https://u:p@example.org/x.git", "ref": "main"},
        {"kind": "path", "path": "~/s2n-netbench"},
    ],
)
def test_good_sources(given: dict[str, str]) -> None:
    source = parse(given)
    assert source.kind == given["kind"]
    assert "u:p" not in source.name + repr(source)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"kind": "crate"}, "did you mean 'crates'"),
        ({"kind": "git", "url": "https://example.org/x", "reff": "main"}, "did you mean 'ref'"),
        ({"kind": "git", "url": "https://example.org/x"}, "needs ref"),
        ({"kind": "git", "url": "https://example.org/x", "ref": "--upload-pack=x"}, "not the name of a commit"),
        ({"kind": "crates", "version": "^0.1"}, "exact version"),
        ({"kind": "prebuilt"}, "needs a path"),
        ({"kind": "prebuilt", "path": "/a", "url": "https://example.org/x"}, "needs a path"),
        ({"kind": "prebuilt", "url": "https://example.org/x"}, "needs its sha256"),
        ({"kind": "prebuilt", "path": "/a", "sha256": "abc"}, "64 hexadecimal digits"),
    ],
)
def test_refused_with_the_way_out(given: dict[str, str], said: str) -> None:
    with pytest.raises(SourceError, match=said):
        parse(given)
