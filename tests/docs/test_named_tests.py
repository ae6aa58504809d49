# SPDX-License-Identifier: GPL-3.0-or-later
"""A page that promises a test, `tests/…/test_x.py::test_y`, or a file of the project, promises what is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NAMED = [
    (page.name, path, test)
    for page in sorted(ROOT.glob("docs/*.md"))
    for path, test in re.findall(
        r"`((?:tests|extensions|benchmarks|inventories|roles|plugins)/[\w./-]+?)/?(?:::(\w+))?`",
        page.read_text("utf-8"),
    )
]


@pytest.mark.parametrize(("page", "path", "test"), NAMED)
def test_what_a_page_names_is_there(page: str, path: str, test: str) -> None:
    assert (ROOT / path).exists(), f"{page} names {path}"
    if test:
        assert f"def {test}(" in (ROOT / path).read_text(encoding="utf-8"), f"{page} names {path}::{test}"
