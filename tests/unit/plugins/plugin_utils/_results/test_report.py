# SPDX-License-Identifier: GPL-3.0-or-later
"""The page: offline, closed, escaped, and of a bearable size."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import sys
from collections.abc import Callable
from html import escape
from html.parser import HTMLParser
from pathlib import Path

import pytest
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._results.charts import ChartBudget
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._results.folder import ResultFolder
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._results.publish import publish

WriteRun = Callable[..., Path]
HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>&\"'"


class Page(HTMLParser):
    """Collects the elements, their attributes, and the text of scripts."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.text = path.read_text(encoding="utf-8")
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[tuple[str | None, str]] = []
        self.feed(self.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append((dict(attrs).get("type"), ""))

    def handle_data(self, data: str) -> None:
        if self.cdata_elem == "script":
            kind, text = self.scripts[-1]
            self.scripts[-1] = (kind, text + data)

    @property
    def data(self) -> dict[str, object]:
        return dict(json.loads(next(text for kind, text in self.scripts if kind == "application/json")))


@pytest.fixture
def page(write_run: WriteRun) -> Callable[..., Page]:
    pytest.importorskip("plotly", reason="the charts of report.html")

    def make(change: Callable[[Path], None] = lambda path: None, **shape: float) -> Page:
        path = write_run(**shape)
        change(path)
        published = publish(ResultFolder(path))
        assert published.report
        return Page(published.report)

    return make


def test_nothing_is_loaded_from_anywhere(page: Callable[..., Page]) -> None:
    found = page()
    loaded = [
        (tag, name) for tag, attributes in found.elements for name in ("src", "href", "action") if name in attributes
    ]
    assert set(loaded) == {("a", "href")}
    assert {attributes["href"] for tag, attributes in found.elements if tag == "a"} == {"#one"}
    assert not re.search(r"@import|url\(", found.text.split("</style>")[0])


def test_the_policy_allows_the_two_scripts_and_nothing_else(page: Callable[..., Page]) -> None:
    found = page()
    policy = next(a["content"] for tag, a in found.elements if tag == "meta" and "http-equiv" in a)
    assert policy
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    scripts = [text for kind, text in found.scripts if kind is None]
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in scripts]
    assert rules["script-src"] == " ".join(f"'sha256-{each}'" for each in hashes)
    assert (rules["default-src"], rules["base-uri"], rules["form-action"]) == ("'none'", "'none'", "'none'")
    assert rules["img-src"] == "data: blob:"


def test_no_text_from_elsewhere_becomes_html(page: Callable[..., Page]) -> None:
    def poison(path: Path) -> None:
        journal = path / "coordinator.jsonl"
        text = journal.read_text().replace("process client ended", json.dumps(HOSTILE)[1:-1])
        text = text.replace("Debian GNU/Linux 12", json.dumps(HOSTILE)[1:-1]).replace(
            '"pynetbench"', json.dumps(HOSTILE)
        )
        journal.write_text(text.replace('"incast"', json.dumps(HOSTILE)).replace("client-1", json.dumps(HOSTILE)[1:-1]))
        plan = path / "plan.json"
        plan.write_text(plan.read_text().replace("pynetbench", json.dumps(HOSTILE)[1:-1]))

    clean, found = page(), page(poison, repeats=3)
    new = {tag for tag, _attributes in found.elements} - {tag for tag, _attributes in clean.elements}
    assert new <= {"ul", "li"}, "the note on missing outputs, and nothing that a host wrote"
    assert len([tag for tag, _attributes in found.elements if tag == "script"]) == 3
    assert not [name for _tag, attributes in found.elements for name in attributes if name.startswith("on")]
    assert HOSTILE not in found.text
    assert escape(HOSTILE) in found.text
    assert any(HOSTILE in name for sample in found.data["samples"] for name in sample["hosts"])  # type: ignore[attr-defined]


def test_the_numbers_are_readable_without_scripts(page: Callable[..., Page]) -> None:
    found = page()
    words = re.sub(r"<(script|style).*?</\1>", " ", found.text, flags=re.S)
    words = " ".join(re.sub(r"<[^>]+>", " ", words).split())
    for expected in (
        "3 of 4",
        "4.00 Gbit/s",
        "client-0: process client ended with exit status 3",
        "198.18.1.11",
        "ansible-core 2.19.14",
        "synchronised to ± 812 µs, tsc",
    ):
        assert expected in words


def test_a_program_is_not_mistaken_for_a_version(page: Callable[..., Page]) -> None:
    def ran(path: Path) -> None:
        plan = json.loads((path / "plan.json").read_text())
        commands = [{"command": ["/opt/bin/driver", "x"], "sha256": "ab" * 32}, {"command": ["/usr/bin/python3"]}]
        plan["workers"] = {"client-0": {"document": {"points": [{"processes": commands}]}}}
        (path / "plan.json").write_text(json.dumps(plan))

    text = page(ran).text
    assert "<td>program driver</td><td>sha256 abababababababab…</td>" in text
    assert "<td>program python3</td><td>of the host, not checksummed</td>" in text


def test_the_area_under_every_curve_is_the_true_number_of_bytes(page: Callable[..., Page]) -> None:
    for sample in page().data["samples"]:  # type: ignore[attr-defined]
        edges = sample["edges_s"]
        for name in sample["receivers"]:
            curve = sample["hosts"][name]["rx_mbps"]
            area = sum(rate * (b - a) for rate, a, b in zip(curve, edges, edges[1:], strict=False)) * 1e6 / 8
            whole = (sample["window_s"][1] - sample["window_s"][0]) * 125e6
            assert area >= whole * 0.99
            assert len(curve) == len(edges) - 1


def test_long_runs_get_fewer_points_per_curve() -> None:
    small, large = ChartBudget.of(samples=4, hosts=5), ChartBudget.of(samples=200, hosts=20)
    assert small.bins == 240
    assert 24 <= large.bins <= 75
    assert 200 * 20 * 3 * large.bins * 6 < 12e6


def test_without_plotly_everything_else_is_there_and_one_message_says_why(
    write_run: WriteRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    published = publish(ResultFolder(write_run()))
    assert published.report is None
    message = [warning for warning in published.warnings if "plotly" in warning]
    assert message == [
        "The Python library 'plotly' is not installed on the control node; it is needed for the charts of report.html. "
        "Install it with: python -m pip install plotly"
    ]
    names = {path.name for path in published.folder.path.iterdir()}
    assert {"samples.csv", "summary.json", "manifest.json"} <= names
    assert "report.html" not in names
