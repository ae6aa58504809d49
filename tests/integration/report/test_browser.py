# SPDX-License-Identifier: GPL-3.0-or-later
"""report.html in a real browser without a network: every chart is drawn, nothing complains, and a screenshot is left.

The browser gets a proxy that does not exist, so whatever the page might ask for would fail and be seen. Screenshots go
to ``.cache/report/``; look at them after a change of the page.
"""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import struct
import subprocess
import sys
from collections import Counter, defaultdict
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._results.folder import ResultFolder
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._results.publish import publish

ROOT = Path(__file__).resolve().parents[3]
SCREENSHOTS = ROOT / ".cache/report"
FIXTURE = ROOT / "tests/unit/plugins/plugin_utils/_results/run_fixture.py"
CHARTS = {"results", "goodput", "cpu", "retransmits", "starts", "skew"}
LIMIT_S = 120
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
    "--virtual-time-budget=5000",
    "--proxy-server=127.0.0.1:9", "--enable-logging=stderr", "--v=0",
)  # fmt: skip

pytest.importorskip("plotly", reason="the charts of report.html")
BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(BROWSER is None, reason="not installed: chromium")


def fixture() -> ModuleType:
    spec = importlib.util.spec_from_file_location("netbench_run_fixture", FIXTURE)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    module = fixture()
    path = module.write_run(tmp_path_factory.mktemp("results"), module.Shape(servers=3, clients=5, repeats=8))
    published = publish(ResultFolder(path))
    assert published.report
    return published.report


def browse(page: Path, profile: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    assert BROWSER
    command = [BROWSER, *FLAGS, f"--user-data-dir={profile}", *arguments, page.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=True)


def complaints(browsed: subprocess.CompletedProcess[str]) -> list[str]:
    """What the page said on the console: errors of scripts, refused loads, violations of its policy."""
    return [line for line in browsed.stderr.splitlines() if "CONSOLE" in line]


class Drawn(HTMLParser):
    """Counts, by chart, the plotted shapes inside it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.root: dict[str, str | None] = {}
        self.shapes: Counter[str] = Counter()
        self.selected: Counter[str] = Counter()
        self.tags: Counter[str] = Counter()
        self.attributes: dict[str, list[str]] = defaultdict(list)
        self._chart = self._list = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self.tags[tag] += 1
        for each, value in attrs:
            self.attributes[each].append(value or "")
        if tag == "html":
            self.root = attributes
        name = attributes.get("id") or ""
        self._chart = name.removeprefix("chart-") if name.startswith("chart-") else self._chart
        self._list = name if tag == "select" else self._list
        if tag == "option":
            self.selected[self._list] += 1
        if {"js-line", "point"} & set((attributes.get("class") or "").split()) and attributes.get("d"):
            self.shapes[self._chart] += 1


def test_every_chart_is_drawn_and_nothing_complains(report: Path, tmp_path: Path) -> None:
    browsed = browse(report, tmp_path, "--dump-dom")
    assert complaints(browsed) == []
    drawn = Drawn(browsed.stdout)
    assert drawn.root.get("data-drawn") == str(len(CHARTS))
    assert set(drawn.shapes) == CHARTS
    assert drawn.shapes["goodput"] == 6 + 9, "five clients and their sum; and in the legend what three servers sent"
    assert drawn.shapes["cpu"] == 8
    assert drawn.selected["sample"] == 17
    assert drawn.selected["metric"] > 20


def test_a_page_that_does_complain_is_noticed(report: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.html"
    broken.write_text(report.read_text().replace("</main>", '<img src="https://example.invalid/x.png"></main>'))
    assert any(
        "Content Security Policy" in line for line in complaints(browse(broken, tmp_path / "profile", "--dump-dom"))
    )


MARKUP = (
    "<script>document.documentElement.dataset.owned = 1</script><img src=x onerror='document.documentElement.dataset"
    '.owned = 2\'><a href="javascript:alert(1)">x</a></script>"\'><svg/onload=alert(3)>${7*7}\u202e\x1b[2J'
)
STRUCTURE = {"event", "utc", "verdict", "folder", "group", "state", "started_utc", "ended_utc", "run_id", "plan_sha256"}


def poisoned(value: Any, name: str = "") -> Any:
    """Every text in a document with markup behind it, but those that hold the document together."""
    if isinstance(value, str):
        return value if name in STRUCTURE else value + MARKUP
    if isinstance(value, list):
        return [poisoned(each, name) for each in value]
    if isinstance(value, dict):
        return {key + (MARKUP if key == "client-1" else ""): poisoned(each, key) for key, each in value.items()}
    return value


def test_markup_from_hosts_is_text_in_the_browser_too(tmp_path: Path) -> None:
    """Host names, reasons, last words, systems, versions, parameters, signals: all of them lie."""
    module = fixture()
    path = module.write_run(tmp_path / "results", module.Shape(servers=1, clients=2, repeats=2))
    journal = path / "coordinator.jsonl"
    events = [poisoned(json.loads(line)) for line in journal.read_text().splitlines()]
    events[0]["versions"] = {"collection": MARKUP, MARKUP: "1"}
    journal.write_text("".join(json.dumps(event) + "\n" for event in events))
    published = publish(ResultFolder(path))
    assert published.report
    browsed = browse(published.report, tmp_path / "profile", "--dump-dom")
    assert complaints(browsed) == [], "nothing was tried, so the policy had nothing to refuse"
    drawn = Drawn(browsed.stdout)
    assert drawn.root.get("data-drawn") == str(len(CHARTS))
    assert "data-owned" not in drawn.root
    assert drawn.tags["script"] == 3
    assert not drawn.tags["img"]
    assert not [name for name in drawn.attributes if name.startswith("on")]
    assert not [link for link in drawn.attributes["href"] if "javascript" in link]
    assert browsed.stdout.count("&lt;img src=x onerror") > 20, "it is there to be read"


@pytest.mark.parametrize(("scheme", "setting", "light"), [("light", 1, True), ("dark", 0, False)])
def test_a_screenshot_in_each_colour_scheme(
    report: Path, tmp_path: Path, scheme: str, setting: int, light: bool
) -> None:
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    picture = SCREENSHOTS / f"{scheme}.png"
    picture.unlink(missing_ok=True)
    colours = f"--blink-settings=preferredColorScheme={setting}"
    browsed = browse(report, tmp_path, colours, "--window-size=1366,2600", f"--screenshot={picture}")
    assert complaints(browsed) == []
    header = picture.read_bytes()[:24]
    assert struct.unpack(">II", header[16:24]) == (1366, 2600)
    assert picture.stat().st_size > 100_000, "an empty page is smaller"
    dumped = browse(report, tmp_path / "dom", colours, "--dump-dom").stdout
    sum_of_receivers = "rgb(27, 31, 36)" if light else "rgb(230, 233, 237)"  # --ink of the scheme
    assert re.search(rf"stroke: {re.escape(sum_of_receivers)}", dumped)
