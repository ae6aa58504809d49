# SPDX-License-Identifier: GPL-3.0-or-later
"""The documentation does what it says: every command in it is run here, or carries the reason why not.

A block of commands (```console, lines that begin with `$ `) stands directly below one of

    <!-- run -->                 run from the project's root, in the order of the page; each must exit 0
    <!-- run: lab -->            the same, with lab hosts of the test's own (root and podman, else skipped)
    <!-- not run: reason -->     and the reason says what runs instead

Links between pages lead somewhere, too.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/lab"))
PAGES = sorted(
    [
        ROOT / "README.md",
        ROOT / "benchmarks/README.md",
        *ROOT.glob("docs/*.md"),
        *ROOT.glob("roles/*/README.md"),
        *ROOT.glob("CONTRIBUTING.md"),
    ]
)
BLOCK = re.compile(
    r"(?:^<!-- (?P<mark>[^\n]*?) -->\n)?^```(?P<kind>console|sh|bash|shell)\n(?P<body>.*?)^```", re.M | re.S
)
LIMIT_S = 300


@dataclass(frozen=True)
class Block:
    """Commands of a page that stand together."""

    page: Path
    line: int
    mark: str
    commands: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path) -> Iterator[Block]:
    text = page.read_text(encoding="utf-8")
    for found in BLOCK.finditer(text):
        commands = []
        for line in found["body"].splitlines():
            if line.startswith("$ "):
                commands.append(line[2:])
            elif commands and commands[-1].endswith("\\"):
                commands[-1] = commands[-1][:-1] + line.strip()
        yield Block(page, text.count("\n", 0, found.start()) + 1, found["mark"] or "", tuple(commands))


ALL = [block for page in PAGES if page.exists() for block in blocks(page)]


@pytest.mark.parametrize("block", ALL, ids=str)
def test_every_block_says_whether_it_is_run(block: Block) -> None:
    assert block.commands, "a block of commands whose lines do not begin with '$ '"
    assert re.fullmatch(r"run(: lab)?|not run: .{10,}", block.mark), (
        "write <!-- run --> or <!-- not run: why --> above it"
    )


FILE = re.compile(r"^<!-- file: (?P<name>tests/\S+) -->\n```\w+\n(?P<body>.*?)^```", re.M | re.S)
SHOWN = [(page, found["name"], found["body"]) for page in PAGES for found in FILE.finditer(page.read_text("utf-8"))]


@pytest.mark.parametrize(("page", "name", "body"), SHOWN, ids=[f"{page.name}:{name}" for page, name, _body in SHOWN])
def test_files_that_a_page_shows_are_those_that_tests_run(page: Path, name: str, body: str) -> None:
    """All but the line of the licence."""
    assert body == (ROOT / name).read_text(encoding="utf-8").split("\n", 1)[1], f"{page.name} shows another {name}"


def pages_with(mark: str) -> list[Path]:
    return sorted({block.page for block in ALL if block.mark == mark})


@pytest.mark.parametrize("page", pages_with("run"), ids=lambda page: page.name)
def test_commands_of_a_page_run_in_order(page: Path) -> None:
    for block in blocks(page):
        if block.mark == "run":
            run(block, {})


@pytest.mark.parametrize("page", pages_with("run: lab"), ids=lambda page: page.name)
def test_commands_for_a_lab_run_in_order(page: Path) -> None:
    from netbench_lab.fixtures import why_no_lab

    if why := why_no_lab():
        pytest.skip(why)
    lab = {"NETBENCH_LAB": f"docs-{os.getpid()}"}
    try:
        for block in blocks(page):
            if block.mark == "run: lab":
                run(block, lab)
    finally:
        subprocess.run([sys.executable, "tests/lab/lab.py", "down"], cwd=ROOT, env={**os.environ, **lab}, check=True)


def run(block: Block, variables: dict[str, str]) -> None:
    """Each command in a shell of its own, with the environment of the tests' own programs first on the path."""
    for command in block.commands:
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        done = subprocess.run(
            ["bash", "-c", command.split("  # ")[0]],
            cwd=ROOT,
            env={**os.environ, "PATH": path, **variables},
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        assert done.returncode == 0, f"{block}: {command}\n{(done.stdout + done.stderr)[-4000:]}"


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page.exists()], ids=lambda page: str(page.relative_to(ROOT))
)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.relative_to(ROOT)} links to {target}"
