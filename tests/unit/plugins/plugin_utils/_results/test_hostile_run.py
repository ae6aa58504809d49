# SPDX-License-Identifier: GPL-3.0-or-later
"""A run in which anything may have been changed: it is published, or refused in words, and never breaks."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._results import report
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._results.errors import ResultsError
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._results.folder import ResultFolder
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._results.publish import publish
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._results.table import render
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

ODD = st.sampled_from(
    [
        None,
        True,
        -1,
        0,
        1,
        2**70,
        1e308,
        float("nan"),
        "",
        "x",
        "\x1b[2J</script>",
        [],
        [[]],
        {},
        {"a": []},
        [1, "x", None],
    ]
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a JSON document."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, each in inside for place in places(each, (*path, key)))]


def changed(document: Any, place: tuple[Any, ...], value: Any) -> Any:
    if not place:
        return value
    whole = copy.deepcopy(document)
    inner = whole
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    return whole


@pytest.fixture
def run(write_run: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(report, "_plotly", lambda: "")
    return write_run(servers=1, clients=2, points=2, repeats=1, seconds=1.0)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
@given(st.data())
def test_any_change_of_any_line_is_published_or_refused(run: Path, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(["coordinator.jsonl", "coordinator.jsonl", "plan.json"]))
    file = run / name
    original = file.read_text()
    lines = [json.loads(line) for line in original.splitlines()]
    for _times in range(data.draw(st.integers(1, 3))):
        number = data.draw(st.integers(0, len(lines) - 1))
        place = data.draw(st.sampled_from(places(lines[number])))
        lines[number] = changed(lines[number], place, data.draw(ODD))
    try:
        file.write_text("".join(json.dumps(line) + "\n" for line in lines))
        published = publish(ResultFolder(run))
        text = render(published.summary, published.measured)
        assert "\x1b" not in text
        assert published.report
        assert published.report.read_text().count("</script>") == 3
        for written in ("summary.json", "manifest.json"):
            json.loads((run / written).read_text(), parse_constant=pytest.fail)
    except ResultsError as error:
        if "no line 'run'" not in str(error):
            raise
    finally:
        file.write_text(original)
