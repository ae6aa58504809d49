# SPDX-License-Identifier: GPL-3.0-or-later
"""A stand-in for EC2, and lab hosts to stand behind its instances."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from netbench_lab import cloud as stand_in
from netbench_lab.fixtures import lab_of

__all__ = ["lab_of"]


@pytest.fixture
def cloud() -> Iterator[stand_in.Cloud]:
    """An empty cloud of the test's own."""
    for library in ("boto3", "moto"):
        pytest.importorskip(library, reason="runs in the environment `amazon` of requirements/install.py")
    with stand_in.cloud() as made:
        yield made
