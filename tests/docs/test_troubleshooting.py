# SPDX-License-Identifier: GPL-3.0-or-later
"""The messages on the pages about trouble are those of the sources, word by word.

A message of the page is the text in backticks in the first column of a table; `…`, `N` and `M` stand for whatever the
program puts there. In the sources, every text is a template: what is in braces of an f-string stands for anything too.

docs/when-things-break.md shows what a terminal of 80 columns shows. What a section tells its reader to look for is in
its own output and in the sources, and a test that is there injects the fault.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from netbench_faults.faults import FAULTS

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/troubleshooting.md"
ANYTHING = "\0"


def messages(page: str) -> list[str]:
    rows = re.findall(r"^\| (`.*?) \|", page, re.M)
    return [message for row in rows for message in re.findall(r"`([^`]+)`", row)]


def templates(source: str) -> Iterator[str]:
    """Every text of a Python file. Texts that stand beside each other are one, as Python's parser has them."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else ANYTHING for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def pattern(message: str) -> str:
    """What the message has between its placeholders, in that order, with something in between."""
    words = re.split(r"…|\b[NM]\b", message)
    return ".+?".join(re.escape(word) for word in words).removeprefix(".+?").removesuffix(".+?")


PLUGINS = [path.read_text(encoding="utf-8") for path in sorted(ROOT.glob("plugins/**/*.py"))]
TEXTS = [text for source in PLUGINS for text in templates(source)]


def test_a_message_needs_its_words_in_one_text() -> None:
    said, *_parts = templates('f"port {port} is "  f"taken by {owner!r}"')
    assert re.search(pattern("port N is taken by …"), said)
    assert re.search(pattern("… is taken by …"), said)
    assert not re.search(pattern("port N is used by …"), said)
    assert not re.search(pattern("port is taken"), said)


def test_the_page_has_messages() -> None:
    assert len(messages(PAGE.read_text(encoding="utf-8"))) > 30


@pytest.mark.parametrize("message", messages(PAGE.read_text(encoding="utf-8")))
def test_the_message_is_in_the_sources(message: str) -> None:
    assert any(re.search(pattern(message), text) for text in TEXTS), f"no text in plugins/ is like: {message}"


BREAKS = ROOT / "docs/when-things-break.md"
COLUMNS = 80
SECTIONS = dict(re.findall(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", BREAKS.read_text("utf-8"), re.M | re.S))


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_that_is_injected_is_on_the_page(fault: str) -> None:
    first = [section.strip().split("\n\n")[0] for section in SECTIONS.values()]
    named = [name for paragraph in first for name in re.findall(r"`([^`]+)`", paragraph)]
    assert fault in named, f"no section of {BREAKS.name} begins with: Injected as `{fault}`"


@pytest.mark.parametrize("section", SECTIONS.values(), ids=SECTIONS)
def test_a_section_shows_what_a_terminal_shows_and_what_to_do(section: str) -> None:
    outputs = re.findall(r"^```text\n(.*?)^```", section, re.M | re.S)
    assert max(len(line) for output in outputs for line in output.splitlines()) <= COLUMNS
    assert "\n**What to do.** " in section
    assert re.search(r"`tests/\S+::test_\w+`", section), "a test that injects it"
    look_for = re.search(r"\*\*Look for\*\* (.+?)\n\n", section, re.S)
    for message in re.findall(r"`([^`]+)`", look_for[1]) if look_for else ():
        assert any(re.search(pattern(message), text) for text in TEXTS), f"no text in plugins/ is like: {message}"
        assert any(re.search(pattern(message), " ".join(output.split())) for output in outputs), f"not shown: {message}"
