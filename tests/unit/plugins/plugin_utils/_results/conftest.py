# SPDX-License-Identifier: GPL-3.0-or-later
"""Result folders as a coordinator and its workers would leave them."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


def _load() -> ModuleType:
    name = "netbench_run_fixture"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).parent / "run_fixture.py")
        assert spec
        assert spec.loader
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


@pytest.fixture
def write_run(tmp_path: Path) -> Callable[..., Path]:
    """``write_run(clients=2, …)`` writes a run into ``results/`` of the test's own folder and returns its path."""
    fixture = _load()

    def write(**shape: Any) -> Path:
        run_id = f"20261121T110500Z-incast-k3f{len(list(tmp_path.glob('results/*')))}"
        path: Path = fixture.write_run(tmp_path / "results", fixture.Shape(**shape), run_id=run_id)
        return path

    return write
